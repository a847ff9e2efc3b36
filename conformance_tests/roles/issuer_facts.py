"""Checks of an issuer's facts: days, itineraries, contacts, areas, corrections."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
from hutong.v1 import code_pb2, issuer_desk_service_pb2, issuer_pb2, issuer_service_pb2

from conformance_tests.model import CheckFailedError, Observed, UntestableError, VoidError
from conformance_tests.roles import calls
from conformance_tests.roles.issuing import DAY_SECONDS, Holder, level_name, somebody, stamp

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from conformance_tests.roles.issuing import IssuerCaller

_YES = code_pb2.TRI_STATE_YES
_MOST_DAYS = 40
"""No rule that was deployed asked for more consecutive days."""
_DESK = issuer_desk_service_pb2


class FactChecks:
    """Plays the scenarios around what an issuer is told."""

    def __init__(self, caller: IssuerCaller) -> None:
        self._caller = caller

    def scenarios(self) -> dict[str, Callable[[], Awaitable[Observed]]]:
        """The scenarios by name."""
        return {
            "yes_is_not_green": self._yes_is_not_green,
            "declarations_kept": self._declarations_kept,
            "days_counted": self._days_counted,
            "day_missed": self._day_missed,
            "itinerary_whole": self._itinerary_whole,
            "itinerary_needs_declaration": self._itinerary_needs_declaration,
            "contacts": self._contacts,
            "areas": self._areas,
            "correction_twice": self._correction_twice,
            "correction_keeps": self._correction_keeps,
            "correction_answered_twice": self._correction_answered_twice,
        }

    # -- declarations and days -----------------------------------------------------------

    async def _yes_is_not_green(self) -> Observed:
        state = await self._caller.declare(somebody(), contact=_YES)
        if not (state.rule and state.reason_zh and state.reason_en):
            raise CheckFailedError("a level comes without its rule or reason (HT-ISS-5)")
        return Observed(kind="level", value=level_name(state.level))

    async def _declarations_kept(self) -> Observed:
        caller, holder = self._caller, somebody()
        await caller.declare(holder, contact=_YES)
        before = {entry.id for entry in await caller.trace(holder)}
        await caller.declare(holder)
        after = await caller.trace(holder)
        declared = [entry for entry in after if entry.kind == "declaration"]
        if not before <= {entry.id for entry in after} or len(declared) != 2:  # noqa: PLR2004 - two were made
            raise CheckFailedError("a declaration replaced an earlier one (HT-ISS-5)")
        if any(holder.number in entry.text or holder.name in entry.text for entry in after):
            raise CheckFailedError("the trace names the person (HT-ISS-16)")
        return Observed(kind="answer")

    async def _restricted(self) -> tuple[Holder, int]:
        """Somebody on the way back to green, and how many days it takes."""
        holder = somebody()
        state = await self._caller.declare(holder, contact=_YES)
        if level_name(state.level) == "GREEN" or not state.HasField("release"):
            raise VoidError("a contact leads to green, or to no way back")
        return holder, min(state.release.days_needed, _MOST_DAYS)

    async def _days_counted(self) -> Observed:
        caller = self._caller
        holder, needed = await self._restricted()
        for day in range(1, needed):
            await caller.advance(DAY_SECONDS)
            # A second check-in on the same day is none.
            for state in (await caller.declare(holder), await caller.declare(holder)):
                if level_name(state.level) == "GREEN":
                    raise CheckFailedError(f"green after {day} of {needed} days (HT-ISS-17)")
                if state.release.days_done != day:
                    raise CheckFailedError(f"day {day} is not counted once (HT-ISS-17)")
        await caller.advance(DAY_SECONDS)
        state = await caller.declare(holder)
        return Observed(kind="level", value=level_name(state.level))

    async def _day_missed(self) -> Observed:
        caller = self._caller
        holder, _ = await self._restricted()
        await caller.advance(DAY_SECONDS)
        await caller.declare(holder)
        await caller.advance(2 * DAY_SECONDS)
        state = await caller.declare(holder)
        if level_name(state.level) == "GREEN" or state.release.days_done > 1:
            raise CheckFailedError("a missed day does not begin the count anew (HT-ISS-17)")
        return Observed(kind="answer")

    # -- itineraries ---------------------------------------------------------------------

    def _itinerary(
        self, holder: Holder, *spans: tuple[float, float]
    ) -> issuer_service_pb2.DeclareItineraryRequest:
        now = self._caller.now()
        return issuer_service_pb2.DeclareItineraryRequest(
            document=holder.document(),
            stays=[
                issuer_pb2.Stay(
                    division=self._caller.division,
                    entered_at=stamp(now - begins * DAY_SECONDS),
                    left_at=stamp(now - ends * DAY_SECONDS),
                )
                for begins, ends in spans
            ],
        )

    async def _itinerary_whole(self) -> Observed:
        caller, holder = self._caller, somebody()
        await caller.declare(holder)
        sound = self._itinerary(holder, (6, 5), (4, 3))
        await caller.need(caller.service.DeclareItinerary, sound)
        before = len(await caller.trace(holder))
        # The first of the two is sound by itself; together they overlap.
        bad = self._itinerary(holder, (2.9, 1), (2, 0.5))
        try:
            await caller.call(caller.service.DeclareItinerary, bad)
        except grpc.aio.AioRpcError as error:
            seen = calls.refusal(error)
            if not any(name.startswith("stays[1]") for name in calls.named_fields(error)):
                raise CheckFailedError("the offending stay is not named (HT-ISS-3)") from None
        else:
            raise CheckFailedError("stays that overlap were taken (HT-ISS-6)")
        if len(await caller.trace(holder)) != before:
            raise CheckFailedError("one stay of a refused itinerary was taken (HT-ISS-6)")
        return seen

    async def _itinerary_needs_declaration(self) -> Observed:
        request = self._itinerary(somebody(), (2, 1))
        return await self._caller.refused(self._caller.service.DeclareItinerary, request)

    # -- what feeding systems bring --------------------------------------------------------

    def _contact(self, holder: Holder, *, days_ago: float = 1.0) -> issuer_desk_service_pb2.Contact:
        return _DESK.Contact(
            document=holder.document(),
            kind=_DESK.CONTACT_KIND_CLOSE,
            at=stamp(self._caller.now() - days_ago * DAY_SECONDS),
            division=self._caller.division,
            reference=f"suite-{holder.number[-8:]}",
        )

    async def _report(self, *contacts: issuer_desk_service_pb2.Contact) -> list[str]:
        request = _DESK.ReportContactsRequest(contacts=contacts)
        answer = await self._caller.need(self._caller.desk.ReportContacts, request, "feeder")
        return [
            _DESK.ContactOutcome.Name(outcome).removeprefix("CONTACT_OUTCOME_")
            for outcome in answer.outcomes
        ]

    async def _contacts(self) -> Observed:
        caller, known, unknown = self._caller, somebody(), somebody()
        await caller.declare(known)
        ahead = self._contact(somebody(), days_ago=-3)
        found = await self._report(self._contact(known), ahead, self._contact(unknown))
        if found != ["TAKEN", "REFUSED", "KEPT"]:
            raise CheckFailedError(f"contacts came out as {', '.join(found)} (HT-ISS-18)")
        if await self._report(self._contact(known)) != ["KNOWN"]:
            raise CheckFailedError("a contact was taken twice (HT-ISS-18)")
        if level_name((await caller.query(known)).state.level) == "GREEN":
            raise CheckFailedError("a close contact stays green (HT-ISS-18)")
        state = await caller.declare(unknown)
        return Observed(kind="level", value=level_name(state.level))

    async def _publish(self, *divisions: str) -> int:
        request = _DESK.PublishAreasRequest(
            areas=[_DESK.Area(division=each, risk=_DESK.AREA_RISK_HIGH) for each in divisions],
            valid_from=stamp(self._caller.now()),
            source="conformance suite",
        )
        answer = await self._caller.need(self._caller.desk.PublishAreas, request, "feeder")
        return int(answer.revision)

    async def _areas(self) -> Observed:
        caller = self._caller
        place = caller.profile.entries.get("area-division")
        if not isinstance(place, str) or place == caller.division:
            raise UntestableError("areas is declared, but `area-division` is missing or at home")
        holder = somebody()
        state = await caller.declare(holder, division=place)
        if level_name(state.level) != "GREEN":
            raise VoidError("the division of `area-division` is not of low risk")
        first = await self._publish(place)
        try:
            touched = await caller.query(holder)
        finally:
            second = await self._publish()
        later = await caller.declare(somebody(), division=place)
        if level_name(touched.state.level) == "GREEN":
            raise CheckFailedError("who lives in an area of risk was not assessed (HT-ISS-19)")
        if second <= first:
            raise CheckFailedError("the number of a list does not count up (HT-ISS-19)")
        return Observed(kind="level", value=level_name(later.level))

    # -- corrections --------------------------------------------------------------------------

    async def _open(
        self, holder: Holder, subject: str = "CONTACT"
    ) -> issuer_service_pb2.CorrectHealthRequest:
        number = issuer_service_pb2.CorrectionSubject.Value(f"CORRECTION_SUBJECT_{subject}")
        return issuer_service_pb2.CorrectHealthRequest(
            document=holder.document(),
            open=issuer_service_pb2.OpenCorrection(subject=number, statement="测试：不属实"),
        )

    async def _correction_twice(self) -> Observed:
        caller, holder = self._caller, somebody()
        await caller.declare(holder)
        opened = await caller.need(caller.service.CorrectHealth, await self._open(holder))
        await caller.need(caller.service.CorrectHealth, await self._open(holder, "STAY"))
        shown = await caller.need(
            caller.service.CorrectHealth,
            issuer_service_pb2.CorrectHealthRequest(
                document=holder.document(), show=opened.correction.id
            ),
        )
        if shown.correction.status != issuer_service_pb2.CORRECTION_STATUS_OPEN:
            raise CheckFailedError("a correction that nobody answered is not open (HT-ISS-15)")
        return await caller.refused(caller.service.CorrectHealth, await self._open(holder))

    async def _upheld(self) -> tuple[Holder, str, issuer_desk_service_pb2.AnswerCorrectionRequest]:
        """Somebody whose contact was withdrawn; the contact's identifier; the answer."""
        caller, holder = self._caller, somebody()
        await caller.declare(holder)
        await self._report(self._contact(holder))
        if level_name((await caller.query(holder)).state.level) == "GREEN":
            raise VoidError("a close contact stays green")
        opened = await caller.need(caller.service.CorrectHealth, await self._open(holder))
        fact = next(each.id for each in await caller.trace(holder) if each.kind == "contact")
        answer = _DESK.AnswerCorrectionRequest(
            id=opened.correction.id,
            status=issuer_service_pb2.CORRECTION_STATUS_UPHELD,
            answer="测试：撤回",
            withdrawn=[fact],
        )
        await caller.need(caller.desk.AnswerCorrection, answer, "reviewer")
        return holder, fact, answer

    async def _correction_keeps(self) -> Observed:
        caller = self._caller
        holder, fact, _ = await self._upheld()
        entries = await caller.trace(holder)
        kept = [each for each in entries if each.id == fact and each.kind == "contact"]
        if len(kept) != 1:
            raise CheckFailedError("what was withdrawn is gone from the trace (HT-ISS-16)")
        if not kept[0].HasField("withdrawn_at"):
            raise CheckFailedError("the trace does not say that it was withdrawn (HT-ISS-16)")
        return Observed(kind="level", value=level_name((await caller.query(holder)).state.level))

    async def _correction_answered_twice(self) -> Observed:
        _, _, answer = await self._upheld()
        return await self._caller.refused(self._caller.desk.AnswerCorrection, answer, "reviewer")
