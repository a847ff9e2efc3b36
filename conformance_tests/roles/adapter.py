"""The suite as a hub and an edge towards an adapter under test."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

import grpc
from hutong.v1 import adapter_service_pb2, adapter_service_pb2_grpc, exchange_pb2

from conformance_tests.feed import serve_feed
from conformance_tests.model import Case, CheckFailedError, Observed, UntestableError, VoidError
from conformance_tests.roles import calls
from conformance_tests.roles.arranging import arranged
from conformance_tests.roles.asking import Asker, Sealed, reason_name
from conformance_tests.roles.changes import Changes
from conformance_tests.roles.disclosing import Disclosing
from conformance_tests.roles.importing import Importing

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from conformance_tests.profile import Profile
    from conformance_tests.roles.asking import AdapterPlan

_STREAM_ITEMS = 8
_SEVERAL = 4
_OTHER_REGION = "310000"
"""A second audience; any region but the caller's would do."""


class AdapterBench:
    """Connects to the adapter and plays the cases of the role."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._asker = Asker(profile)
        self._importing = Importing(profile, self._asker)
        self._changes = Changes(profile, self._asker)
        self._disclosing = Disclosing(self._asker)

    async def __aenter__(self) -> Self:
        """Connect, and serve the feed where the profile asks for it."""
        async with contextlib.AsyncExitStack() as stack:
            feed = self._importing.feed()
            if feed is not None:
                await stack.enter_async_context(serve_feed(*feed))
            channel = await calls.connect(self._profile)
            stack.push_async_callback(channel.close)
            self._asker.stub = adapter_service_pb2_grpc.AdapterServiceStub(channel)
            self._open = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the channel and the feed."""
        await self._open.aclose()

    async def exchange(self, case: Case) -> Observed:
        """Ask one question, sound but for the case's change."""
        if "import" in case.needs:
            return await self._importing.exchange(case)
        plan = self._asker.plan().changed(case.given).changed(case.change)
        person = self._asker.person(plan.person)
        if "arrange" in person:
            sound = await self._asker.ask(plan)
            if sound.notes or not (sound.kind == "level" or sound.value == "EVIDENCE_ONLY"):
                raise VoidError(f"before anything is arranged: {sound.code} {sound.value}")
        async with arranged(person):
            seen = await self._asker.ask(plan)
        return _as_declared(case, person, seen)

    async def scenario(self, name: str) -> Observed:
        """Play a named scenario."""
        if name.startswith("import_"):
            return await self._importing.scenario(name)
        if name.startswith("part_"):
            return await self._disclosing.scenario(name)
        if name.startswith(("changes_", "count_")):
            return await self._changes.scenario(name)
        scenarios = {
            "describe": self._describe,
            "replay": self._replay,
            "lengths": self._lengths,
            "pseudonyms": self._pseudonyms,
            "subjects_apart": self._subjects_apart,
            "token_ids": self._token_ids,
            "own_record": self._own_record,
            "stream_batch": self._stream_batch,
        }
        return await scenarios[name]()

    # -- scenarios ----------------------------------------------------------

    async def _describe(self) -> Observed:
        seen = await self._importing.describe()
        if isinstance(seen, Observed):
            return seen
        if seen.authority != self._asker.authority:
            raise CheckFailedError("Describe names another authority than the profile")
        if not seen.prefixes or not seen.sealing_key_ids:
            raise CheckFailedError("Describe names no prefix or no sealing key")
        if self._asker.seal_key.kid not in seen.sealing_key_ids:
            raise CheckFailedError("Describe does not name the sealing key of the profile")
        return Observed(kind="answer")

    async def _replay(self) -> Observed:
        plan = self._asker.plan()
        sealed = self._asker.seal(plan)
        first = await self._asker.ask(plan, sealed)
        if first.code != "OK" or first.notes:
            raise CheckFailedError(f"the first asking failed: {first.code} {first.reason}")
        return await self._asker.ask(plan, sealed)

    async def _lengths(self) -> Observed:
        lengths = set()
        for person in ("green", "unknown"):
            plan = self._asker.plan().changed({"person": person})
            answered = await self._asker.query(plan, self._asker.seal(plan))
            if isinstance(answered, Observed):
                return answered
            lengths.add(len(answered))
        if len(lengths) > 1:
            raise CheckFailedError("the length of an answer tells whether it attests (HT-SEAL-8)")
        return Observed(kind="answer")

    async def _attested(self, plan: AdapterPlan) -> Mapping[str, Any]:
        seen = await self._asker.ask(plan)
        if seen.kind != "level" or seen.notes:
            raise VoidError(f"{seen.code} {seen.value} ")
        return seen.claims

    async def _pseudonyms(self) -> Observed:
        here = self._asker.plan().changed({"person": "green"})
        there = here.changed(
            {
                "grant.region": _OTHER_REGION,
                "question.audience": f"urn:hutong:region:{_OTHER_REGION}",
            }
        )
        first, again = await self._attested(here), await self._attested(here)
        other = await self._attested(there)
        if first["sub"] != again["sub"]:
            raise CheckFailedError("sub changes for one person and one audience (HT-ATT-10)")
        if first["sub"] == other["sub"]:
            raise CheckFailedError("two audiences can link a person by sub (HT-ATT-10)")
        return Observed(kind="answer")

    async def _subjects_apart(self) -> Observed:
        plan = self._asker.plan().changed({"person": "green"})
        gate = await self._attested(plan)
        imported = await self._attested(plan.changed({"question.use": "IMPORT"}))
        if gate["sub"] == imported["sub"]:
            raise CheckFailedError("an import bears the sub that gates know (HT-EXC-17)")
        return Observed(kind="answer")

    async def _token_ids(self) -> Observed:
        plan = self._asker.plan().changed({"person": "green"})
        found = {(await self._attested(plan))["jti"] for _ in range(_SEVERAL)}
        if len(found) != _SEVERAL:
            raise CheckFailedError("two attestations have the same jti (HT-ATT-11)")
        return Observed(kind="answer")

    async def _own_record(self) -> Observed:
        person = self._asker.person("proxy")
        if "acting" not in person or "level" not in person:
            raise UntestableError("person.proxy needs `level`, and `acting`, who shows it")
        plan = self._asker.plan().changed({"person": "proxy"})
        seen = await self._asker.ask(plan)
        if seen.kind != "level" or seen.notes:
            return seen
        acting = await self._attested(plan.changed({"person": str(person["acting"])}))
        if seen.claims["sub"] == acting["sub"]:
            raise CheckFailedError("the record of who acts was attested (HT-CODE-13)")
        wrong = _differences(("level",), person, seen.claims)
        if wrong:
            raise CheckFailedError(f"{wrong[0]}: not the subject's own record (HT-CODE-13)")
        return Observed(kind="answer")

    async def _stream_batch(self) -> Observed:
        plan = self._asker.plan()
        sealed = [self._asker.seal(plan, item=number + 1) for number in range(_STREAM_ITEMS)]
        for each in sealed:
            each.question.caller = 1
            each.question.timeout_ms = int(calls.CALL_SECONDS * 1000)
        spoilt = sealed[_STREAM_ITEMS // 2].question
        spoilt.envelope = b"\x00" * len(spoilt.envelope)
        request = adapter_service_pb2.AdapterServiceQueryStreamRequest(
            callers=[exchange_pb2.CallerGrant(handle=1, grant=self._asker.grant(plan))],
            questions=[each.question for each in sealed],
        )
        call = self._asker.stub.QueryStream()
        answers: dict[int, exchange_pb2.SealedAnswer] = {}
        try:
            async with asyncio.timeout(calls.CALL_SECONDS):
                await call.write(request)
                await call.done_writing()
                async for response in call:
                    for answer in response.answers:
                        if answer.id in answers:
                            raise CheckFailedError("an id was answered twice (HT-ADP-6)")
                        answers[answer.id] = answer
                status = await call.code()
        except TimeoutError:
            call.cancel()
            raise CheckFailedError("the stream did not end after the half-close") from None
        except grpc.aio.AioRpcError as error:
            calls.reach(error, self._profile)
            raise CheckFailedError(f"one bad item failed the stream: {error.code().name}") from None
        if status is not grpc.StatusCode.OK:
            raise CheckFailedError(f"the stream ended with {status.name} (HT-ADP-9)")
        return self._judge_stream(plan, sealed, spoilt.id, answers)

    def _judge_stream(
        self,
        plan: AdapterPlan,
        sealed: list[Sealed],
        spoilt: int,
        answers: dict[int, exchange_pb2.SealedAnswer],
    ) -> Observed:
        if set(answers) != {each.question.id for each in sealed}:
            raise CheckFailedError("an id was left without an answer (HT-ADP-6)")
        if reason_name(answers[spoilt].error) != "ENVELOPE_UNREADABLE":
            raise CheckFailedError("the spoilt item was not refused as unreadable")
        for each in sealed:
            if each.question.id != spoilt:
                seen = self._asker.read(plan, each, answers[each.question.id].envelope)
                if seen.notes:
                    raise CheckFailedError(f"a sound item beside it suffered: {seen.notes[0]}")
        return Observed(kind="answer")


def _as_declared(case: Case, person: Mapping[str, Any], seen: Observed) -> Observed:
    """Hold a level against what the profile says must come out of this person."""
    wanted = case.expect.get("as_declared", ())
    missing = [name for name in wanted if name not in person]
    if missing:
        raise UntestableError(f"the person's entry lacks {', '.join(missing)}")
    if seen.kind != "level" or seen.notes:
        return seen
    wrong = _differences(wanted, person, seen.claims)
    return replace(seen, notes=tuple(wrong))


def _differences(
    wanted: tuple[str, ...] | list[str], person: Mapping[str, Any], claims: Mapping[str, Any]
) -> list[str]:
    """Members that are not as declared, in words; values stay out of reports."""
    code = claims["code"]
    # Which of the others stands where means nothing; each must be there.
    stated = {**code, "also": sorted(report["level"] for report in code.get("also", ()))}
    return [
        f"{name} is not what the profile declares"
        for name in wanted
        if stated.get(name) != (sorted(person[name]) if name == "also" else person[name])
    ]
