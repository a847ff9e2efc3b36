"""The suite as an application, a gate, a feeding system and a reviewer of an issuer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import grpc
from hutong.v1 import (
    code_pb2,
    issuer_desk_service_pb2,
    issuer_pb2,
    issuer_service_pb2,
)

from conformance_tests.model import Case, CheckFailedError, Observed
from conformance_tests.roles import calls
from conformance_tests.roles.issuer_codes import CodeChecks
from conformance_tests.roles.issuer_facts import FactChecks
from conformance_tests.roles.issuing import (
    NORMAL_TEMPERATURE,
    Holder,
    IssuerCaller,
    level_name,
    outcome_name,
    somebody,
)
from conformance_tests.roles.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType

    from conformance_tests.profile import Profile

_ANOTHER = "urn:hutong:region:990000"


@dataclass(frozen=True, slots=True)
class IssuerPlan(Plan):
    """A sound declaration; a case changes one property."""

    token_present: bool = True
    token_signed_by: str = "client"  # noqa: S105 - who, not a secret
    token_for_another: bool = False
    token_age_seconds: int = 0
    token_client: str = "application"  # noqa: S105 - who, not a secret
    declaration_division: str = ""
    declaration_temperature: int = NORMAL_TEMPERATURE
    declaration_symptoms: tuple[str, ...] = ("NONE",)
    declaration_contact: str = "NO"
    declaration_risk_area: str = "NO"
    declaration_name: str = ""


class IssuerBench:
    """Connects to the issuer and plays the cases of the role."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._caller = IssuerCaller(profile)
        codes, facts = CodeChecks(self._caller), FactChecks(self._caller)
        self._scenarios: dict[str, Callable[[], Awaitable[Observed]]] = {
            "assertion_replay": self._assertion_replay,
            "desk_role": self._desk_role,
            "nobody": self._nobody,
            **codes.scenarios(),
            **facts.scenarios(),
        }

    async def __aenter__(self) -> Self:
        """Connect."""
        self._channel = await calls.connect(self._profile)
        self._caller.connect(self._channel)
        await self._caller.read_clock()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the channel."""
        await self._channel.close()

    async def exchange(self, case: Case) -> Observed:
        """Declare once, sound but for the case's change; a refusal must change nothing."""
        plan = IssuerPlan().changed(case.change)
        holder, caller = somebody(), self._caller
        token = caller.assertion(
            plan.token_client,
            signed_by=plan.token_signed_by,
            audience=_ANOTHER if plan.token_for_another else None,
            age_seconds=plan.token_age_seconds,
        )
        request = _declaration(caller.declaration(holder), plan)
        try:
            answered = await caller.call(
                caller.service.DeclareHealth,
                request,
                assertion=token if plan.token_present else "",
            )
        except grpc.aio.AioRpcError as error:
            calls.reach(error, self._profile)
            seen = calls.refusal(error, secrets=(holder.number, holder.name))
            return replace(seen, notes=(*seen.notes, *await self._after(case, holder, error)))
        return Observed(kind="level", value=level_name(answered.state.level))

    async def scenario(self, name: str) -> Observed:
        """Play a named scenario."""
        return await self._scenarios[name]()

    async def _after(
        self, case: Case, holder: Holder, error: grpc.aio.AioRpcError
    ) -> tuple[str, ...]:
        """What a refusal left undone: the field it names, and that nothing changed."""
        notes = []
        field = case.expect.get("field")
        if field is not None and field not in calls.named_fields(error):
            notes.append(f"the refusal does not name {field} (HT-ISS-3)")
        if (await self._caller.query(holder)).HasField("state"):
            notes.append("what was refused changed something (HT-ISS-3)")
        return tuple(notes)

    # -- scenarios ------------------------------------------------------------------

    async def _assertion_replay(self) -> Observed:
        caller, token = self._caller, self._caller.assertion()
        request = issuer_service_pb2.QueryHealthRequest(document=somebody().document())
        seen = []
        for _ in range(2):
            try:
                await caller.call(caller.service.QueryHealth, request, assertion=token)
                seen.append(Observed(kind="answer"))
            except grpc.aio.AioRpcError as error:
                calls.reach(error, self._profile)
                seen.append(calls.refusal(error))
        if seen[0].code != "OK":
            raise CheckFailedError(f"the first use failed: {seen[0].code} {seen[0].reason}")
        return seen[1]

    async def _desk_role(self) -> Observed:
        holder = somebody()
        await self._caller.declare(holder)
        request = issuer_desk_service_pb2.ReadTraceRequest(document=holder.document())
        await self._caller.need(self._caller.desk.ReadTrace, request, "reviewer")
        return await self._caller.refused(self._caller.desk.ReadTrace, request)

    async def _nobody(self) -> Observed:
        answer = await self._caller.query(somebody())
        if answer.HasField("state"):
            return Observed(kind="level", value=level_name(answer.state.level))
        return Observed(kind="outcome", value=outcome_name(answer.outcome))


def _declaration(
    request: issuer_service_pb2.DeclareHealthRequest, plan: IssuerPlan
) -> issuer_service_pb2.DeclareHealthRequest:
    """Put the change of a case into a sound declaration."""
    request.temperature_decicelsius = plan.declaration_temperature
    del request.symptoms[:]
    names = plan.declaration_symptoms
    request.symptoms.extend(issuer_pb2.Symptom.Value(f"SYMPTOM_{name}") for name in names)
    answers = request.answers
    answers.contact = code_pb2.TriState.Value(f"TRI_STATE_{plan.declaration_contact}")
    answers.risk_area = code_pb2.TriState.Value(f"TRI_STATE_{plan.declaration_risk_area}")
    request.identity.division = plan.declaration_division or request.identity.division
    request.identity.name = plan.declaration_name or request.identity.name
    return request
