"""Checks of an issuer's codes: applied calls, the two clocks, gates, proxies."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hutong.v1 import code_pb2, issuer_pb2, issuer_service_pb2

from conformance_tests.model import CheckFailedError, Observed, VoidError
from conformance_tests.roles.issuing import (
    DAY_SECONDS,
    FEVER_TEMPERATURE,
    level_name,
    outcome_name,
    somebody,
    stamp,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from conformance_tests.roles.issuing import IssuerCaller

_MAKE = issuer_service_pb2.CALL_KIND_MAKE
_VERIFY = issuer_service_pb2.CALL_KIND_VERIFY
_FOREIGN = "https://code.example/another-region/0123456789"
_NO_CODE = {"NOT_FOUND", "WRONG_REGION"}


class CodeChecks:
    """Plays the scenarios around MakeCode and VerifyCode."""

    def __init__(self, caller: IssuerCaller) -> None:
        self._caller = caller

    def scenarios(self) -> dict[str, Callable[[], Awaitable[Observed]]]:
        """The scenarios by name."""
        return {
            "call_twice": self._call_twice,
            "call_of_other_kind": self._call_of_other_kind,
            "call_of_other_client": self._call_of_other_client,
            "call_expired": self._call_expired,
            "code_says_nothing": self._code_says_nothing,
            "code_needs_declaration": self._code_needs_declaration,
            "code_expired": self._code_expired,
            "declaration_expired": self._declaration_expired,
            "code_unknown": self._code_unknown,
            "holder_masked": self._holder_masked,
            "gate_fever": self._gate_fever,
            "proxy_of_stranger": self._proxy_of_stranger,
            "proxy_unknown": self._proxy_unknown,
            "proxy_recorded": self._proxy_recorded,
        }

    # -- applied calls ----------------------------------------------------------------

    async def _call_twice(self) -> Observed:
        caller, holder = self._caller, somebody()
        await caller.declare(holder)
        request = await caller.make_request(holder)
        await caller.need(caller.service.MakeCode, request)
        return await caller.refused(caller.service.MakeCode, request)

    async def _call_of_other_kind(self) -> Observed:
        caller, holder = self._caller, somebody()
        await caller.declare(holder)
        made = await caller.make(holder)
        # The client of the gate may not make; a call for making is shown at a gate.
        request = issuer_service_pb2.VerifyCodeRequest(
            call=await caller.apply(_MAKE), code_content=made.code_content
        )
        await caller.verify(made.code_content)
        return await caller.refused(caller.service.VerifyCode, request, "gate")

    async def _call_of_other_client(self) -> Observed:
        caller, holder = self._caller, somebody()
        await caller.declare(holder)
        theirs = await caller.apply(_MAKE, "other-application")
        await caller.make(holder)
        request = await caller.make_request(holder, call=theirs)
        return await caller.refused(caller.service.MakeCode, request)

    async def _call_expired(self) -> Observed:
        caller, holder = self._caller, somebody()
        await caller.declare(holder)
        request = issuer_service_pb2.ApplyCallRequest(kind=_MAKE)
        applied = await caller.need(caller.service.ApplyCall, request)
        await caller.advance(applied.expires_at.ToSeconds() - caller.now())
        call = issuer_service_pb2.AppliedCall(serial=applied.serial, nonce=applied.nonce)
        return await caller.refused(
            caller.service.MakeCode, await caller.make_request(holder, call=call)
        )

    # -- codes and their clocks ---------------------------------------------------------

    async def _code_says_nothing(self) -> Observed:
        caller, holder = self._caller, somebody()
        await caller.declare(holder)
        first = (await caller.make(holder)).code_content
        again = (await caller.make(holder)).code_content
        if first == again:
            raise CheckFailedError("two codes of one person are the same text (HT-ISS-9)")
        if holder.number in first or holder.name in first:
            raise CheckFailedError("a code's text holds the number or the name (HT-ISS-9)")
        return Observed(kind="answer")

    async def _code_needs_declaration(self) -> Observed:
        request = await self._caller.make_request(somebody())
        return await self._caller.refused(self._caller.service.MakeCode, request)

    async def _code_expired(self) -> Observed:
        caller, holder = self._caller, somebody()
        await caller.declare(holder)
        made = await caller.make(holder)
        if not (await caller.verify(made.code_content)).HasField("holder"):
            raise VoidError("a code that was just made does not hold")
        await caller.advance(made.code_valid_until.ToSeconds() - caller.now())
        return await self._at_gate(made.code_content)

    async def _declaration_expired(self) -> Observed:
        caller, holder = self._caller, somebody()
        state = await caller.declare(holder)
        ends = state.declaration_valid_until.ToSeconds()
        await caller.advance(ends - caller.now() - 60)
        paper = await caller.make(holder, medium=issuer_service_pb2.MEDIUM_PAPER)
        await caller.advance(ends - caller.now())
        held = await caller.query(holder)
        if held.HasField("state"):
            raise CheckFailedError("an expired declaration still has a level (HT-ISS-10)")
        if outcome_name(held.outcome) != "DECLARATION_EXPIRED":
            raise CheckFailedError(f"it became {outcome_name(held.outcome)} (HT-ISS-10)")
        refused = await caller.refused(caller.service.MakeCode, await caller.make_request(holder))
        if refused.reason != "DECLARATION_MISSING":
            raise CheckFailedError("a code was made on an expired declaration (HT-ISS-7)")
        if paper.code_valid_until.ToSeconds() <= ends:
            # A code may end with its declaration; then only the second clock is left.
            return Observed(kind="outcome", value="DECLARATION_EXPIRED")
        return await self._at_gate(paper.code_content)

    async def _code_unknown(self) -> Observed:
        caller, holder = self._caller, somebody()
        await caller.declare(holder)
        text = (await caller.make(holder)).code_content
        last = "B" if text[-1] != "B" else "C"
        for shown in (text[:-1] + last, _FOREIGN):
            seen = await self._at_gate(shown)
            if seen.kind != "outcome" or seen.value not in _NO_CODE:
                return seen
        return Observed(kind="outcome", value="NOT_FOUND")

    async def _at_gate(self, text: str) -> Observed:
        answer = await self._caller.verify(text)
        if answer.HasField("holder"):
            return Observed(kind="level", value=level_name(answer.holder.gate_level))
        return Observed(kind="outcome", value=outcome_name(answer.outcome))

    # -- at the gate ----------------------------------------------------------------------

    async def _holder_masked(self) -> Observed:
        caller, holder = self._caller, somebody()
        await caller.declare(holder)
        seen = (await caller.verify((await caller.make(holder)).code_content)).holder
        number, name = holder.number, holder.name
        if seen.masked_name != name[0] + "*" * (len(name) - 1):
            raise CheckFailedError("a gate is told more or less than the masked name (HT-ISS-12)")
        masked = re.fullmatch(rf"{number[:4]}\*+{number[-2:]}", seen.masked_number)
        if masked is None or len(seen.masked_number) != len(number):
            raise CheckFailedError("a gate is told more or less than the masked number (HT-ISS-12)")
        return Observed(kind="level", value=level_name(seen.gate_level))

    async def _gate_fever(self) -> Observed:
        caller, holder = self._caller, somebody()
        await caller.declare(holder)
        text = (await caller.make(holder)).code_content
        before = len(await caller.trace(holder))
        seen = (await caller.verify(text, FEVER_TEMPERATURE)).holder
        if level_name(seen.state.level) != "GREEN":
            raise CheckFailedError("the state that is held changed with the gate's (HT-ISS-13)")
        held = await caller.query(holder)
        later = (await caller.verify(text)).holder
        kept = {level_name(held.state.level), level_name(later.gate_level)} != {"GREEN"}
        if kept or len(await caller.trace(holder)) != before:
            raise CheckFailedError("what a gate measured was kept (HT-ISS-13)")
        return Observed(kind="level", value=level_name(seen.gate_level))

    # -- proxies ----------------------------------------------------------------------------

    async def _proxy_of_stranger(self) -> Observed:
        caller, holder, stranger = self._caller, somebody(), somebody()
        await caller.declare(holder)
        await caller.declare(stranger)
        await caller.make(holder)
        stay = issuer_pb2.Stay(
            division=caller.division, entered_at=stamp(caller.now() - DAY_SECONDS)
        )
        itinerary = issuer_service_pb2.DeclareItineraryRequest(
            document=holder.document(), proxy=stranger.proxy(), stays=[stay]
        )
        correction = issuer_service_pb2.CorrectHealthRequest(
            document=holder.document(),
            proxy=stranger.proxy(),
            open=issuer_service_pb2.OpenCorrection(
                subject=issuer_service_pb2.CORRECTION_SUBJECT_DECLARATION, statement="测试"
            ),
        )
        service = caller.service
        attempts = (
            (service.DeclareItinerary, itinerary),
            (service.CorrectHealth, correction),
            (service.MakeCode, await caller.make_request(holder, proxy=stranger)),
        )
        seen = Observed(kind="answer")
        for method, request in attempts:
            seen = await caller.refused(method, request)
            if seen.reason != "PROXY_NOT_ALLOWED":
                return seen
        return seen

    async def _proxy_unknown(self) -> Observed:
        caller, holder = self._caller, somebody()
        request = caller.declaration(holder, proxy=somebody())
        seen = await caller.refused(caller.service.DeclareHealth, request)
        if (await caller.query(holder)).HasField("state"):
            raise CheckFailedError("a declaration by somebody unknown was taken (HT-ISS-14)")
        return seen

    async def _proxy_recorded(self) -> Observed:
        caller, holder, parent = self._caller, somebody(), somebody()
        await caller.declare(parent, contact=code_pb2.TRI_STATE_YES)
        await caller.declare(holder, proxy=parent)
        made = await caller.make(holder, proxy=parent)
        seen = (await caller.verify(made.code_content)).holder
        if level_name(made.state.level) != level_name(seen.gate_level):
            raise CheckFailedError("a proxy's code shows another state than was made (HT-ISS-14)")
        return Observed(kind="level", value=level_name(seen.gate_level))
