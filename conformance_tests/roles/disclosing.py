"""What an adapter answers when a part is asked for (docs/spec/disclosure.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance_tests.disclosures import MEMBERS, Part
from conformance_tests.model import CheckFailedError, Observed, VoidError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from conformance_tests.roles.asking import Asker

_MINIMUM = {"level", "valid_until", "issued_by"}
_SALT_BYTES = 16  # HT-DIS-3
_SEVERAL = 3


class Disclosing:
    """Plays the scenarios of parts.

    Args:
        asker: asks the adapter.
    """

    def __init__(self, asker: Asker) -> None:
        self._asker = asker

    async def scenario(self, name: str) -> Observed:
        """Play a named scenario."""
        scenarios = {
            "part_minimal": self._minimal,
            "part_selective": self._selective,
            "part_salts": self._salts,
        }
        return await scenarios[name]()

    async def _whole(self) -> Mapping[str, Any]:
        """The sound exchange beside a part: the same question without one."""
        seen = await self._asker.ask(self._asker.plan().changed({"person": "green"}))
        if seen.kind != "level":
            raise VoidError(f"{seen.code} {seen.reason} {seen.value}")
        return seen.claims

    async def _part(self, disclosure: str, use: str = "ONLINE", *, is_strict: bool = False) -> Part:
        plan = self._asker.plan().changed(
            {"person": "green", "question.disclosure": disclosure, "question.use": use}
        )
        seen = await self._asker.ask(plan)
        defects = seen.notes + (seen.form if is_strict else ())
        if defects:
            raise CheckFailedError(defects[0])
        if seen.kind != "level":
            raise CheckFailedError(f"no part was given: {seen.code} {seen.reason} {seen.value}")
        part: Part = seen.claims["part"]
        return part

    async def _minimal(self) -> Observed:
        whole = await self._whole()
        for use in ("ONLINE", "CARRIED"):
            part = await self._part("MINIMAL", use, is_strict=True)
            if set(part.told) != _MINIMUM:
                raise CheckFailedError("what can be disclosed is not the minimum (HT-DIS-4)")
            if part.beside or len(part.digests) != len(_MINIMUM):
                raise CheckFailedError("there is a digest of something else (HT-DIS-4)")
            if part.told["level"] != whole["code"]["level"]:
                raise CheckFailedError("a part states another level than the whole (HT-DIS-4)")
        return Observed(kind="answer")

    async def _selective(self) -> Observed:
        whole = await self._whole()
        for use in ("ONLINE", "CARRIED"):
            part = await self._part("SELECTIVE", use)
            if set(part.told) != {*MEMBERS, "sub"}:
                raise CheckFailedError("sub or a member has no disclosure (HT-DIS-5)")
            if len(part.digests) != len(MEMBERS) or len(part.beside) != 1:
                raise CheckFailedError("there is a digest of something else (HT-DIS-5)")
            stated = {name for name in MEMBERS if part.told[name] is not None}
            if stated != set(whole["code"]):
                raise CheckFailedError("null stands for another member (HT-DIS-5)")
            if part.told["sub"] != whole["sub"]:
                raise CheckFailedError("sub is another than in the whole (HT-ATT-10)")
        return Observed(kind="answer")

    async def _salts(self) -> Observed:
        await self._whole()
        parts = [
            await self._part(disclosure)
            for disclosure in ("MINIMAL", "SELECTIVE")
            for _ in range(_SEVERAL)
        ]
        salts = [salt for part in parts for salt in part.salts]
        if min(map(len, salts)) < _SALT_BYTES:
            raise CheckFailedError("a salt has fewer than 128 bits (HT-DIS-3)")
        if len(set(salts)) != len(salts):
            raise CheckFailedError("two disclosures have one salt (HT-DIS-3)")
        for part in parts:
            if list(part.digests) != sorted(part.digests):
                raise CheckFailedError("the digests of an object are not sorted (HT-DIS-3)")
        return Observed(kind="answer")
