"""What a change of a person does to their attestations, and what it does not tell.

With ``person.turned`` the profile says how somebody is turned to another level and back.
Within that entry two more requests may stand, each with ``arrange`` and ``restore``:

* ``meanwhile``: the platform holds back its answers about them until they are turned, and
  then says what was true when it was asked;
* ``gap`` (capability ``changes.gap``): turns them without a word, and lets the platform
  lose its place, so that it cannot say any more what happened since.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from conformance_tests.model import CheckFailedError, Observed, UntestableError, VoidError
from conformance_tests.roles.arranging import arranged
from conformance_tests.roles.watching import Watch, carried, watching

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from conformance_tests.roles.asking import Asker

_ROUNDS = 3
_AT_ONCE = 4


class Revoking:
    """Plays the scenarios of revocations.

    Args:
        asker: asks the adapter.

    Attributes:
        scenarios: by name.
    """

    def __init__(self, asker: Asker) -> None:
        self._asker = asker
        self.scenarios: Mapping[str, Callable[[], Awaitable[Observed]]] = {
            "changes_decoys": self._decoys,
            "changes_kept": self._kept,
            "changes_meanwhile": self._meanwhile,
            "changes_gap": self._gap,
        }

    def _person(self, needed: str = "arrange") -> dict[str, Any]:
        person = self._asker.person("turned")
        if needed not in person:
            raise UntestableError(f"person.turned lacks `{needed}`")
        return person

    async def _held(self, watch: Watch) -> Mapping[str, Any]:
        """An attestation of who will be turned, which stands."""
        claims = await carried(self._asker, "turned")
        await watch.until_word_on(claims["status"]["status_list"]["uri"])
        if watch.value(claims) != 0:
            raise VoidError("revoked before anything was turned")
        return claims

    async def _decoys(self) -> Observed:
        person = self._person()
        told = []
        async with watching(self._asker) as watch:
            # What this person holds from before goes with the first turn, and is not counted.
            for _ in range(1 + _ROUNDS):
                claims = await self._held(watch)
                before = watch.revoked()
                async with arranged(person):
                    await watch.until_revoked([claims])
                told.append(watch.revoked() - before)
        if set(told[1:]) == {1}:
            raise CheckFailedError("as many entries change as attestations end (HT-STS-16)")
        return Observed(kind="answer")

    async def _kept(self) -> Observed:
        person = self._person()
        held = []
        async with watching(self._asker) as watch:
            for _ in range(_ROUNDS):
                held.append(await self._held(watch))
                async with arranged(person):
                    await watch.until_revoked(held[-1:])
                self._still(watch, held)
        async with watching(self._asker) as again:
            for claims in held:
                await again.until_word_on(claims["status"]["status_list"]["uri"])
            self._still(again, held)
        return Observed(kind="answer")

    def _still(self, watch: Watch, held: list[Mapping[str, Any]]) -> None:
        if not all(watch.value(claims) for claims in held):
            raise CheckFailedError("a newer word or base takes a change back (HT-STS-13)")

    async def _meanwhile(self) -> Observed:
        person = self._person()
        plan = self._asker.plan().changed({"person": "turned", "question.use": "CARRIED"})
        # Where the platform holds answers back, one is enough; else some may be in the making.
        questions = 1 if "meanwhile" in person else _AT_ONCE
        async with watching(self._asker) as watch:
            before = await self._held(watch)
            async with arranged(person.get("meanwhile", {})):
                asking = asyncio.gather(*(self._asker.ask(plan) for _ in range(questions)))
                async with contextlib.AsyncExitStack() as turned:
                    turned.callback(asking.cancel)
                    await turned.enter_async_context(arranged(person))
                    seen = await asking
                    green = [each.claims for each in seen if each.value == "GREEN"]
                    if not all("status" in claims for claims in green):
                        raise CheckFailedError("what cannot be revoked left (HT-STS-15)")
                    for claims in green:
                        await watch.until_word_on(claims["status"]["status_list"]["uri"])
                    await watch.until_revoked([before, *green])
        return Observed(kind="answer")

    async def _gap(self) -> Observed:
        person = self._person("gap")
        async with watching(self._asker) as watch:
            mine = [await self._held(watch) for _ in range(_AT_ONCE)]
            async with arranged(person["gap"]):
                await watch.until_revoked(mine)
        return Observed(kind="answer")
