"""Who asks on a stream: a member itself, or callers that another hub speaks for.

An edge's stream belongs to one member, whose access token opened it. A stream
that a hub opened carries many callers: each is introduced by a grant
(``hutong-grant+jwt``) that this hub below, or the superior above, signed for this
hub alone, and named by its handle in every question. The grant says who asks and
which hubs it has passed (``via``), and is believed as far as its signer reaches:

* a hub below speaks only for callers that stand inside its own prefixes;
* the last hub of ``via`` is the signer, and no hub stands in it twice;
* a grant that passed this hub before is a loop (``ROUTE_LOOP``);
* its end is held against the clock at every batch.

A hub's stream may outlive the access token that opened it: whoever asks on it is
vouched for anew every few minutes by a grant, and the hub's membership is held
against the directory at every batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from gateway.hub.directory import CallerKind, CallerRecord
from gateway.trust import names
from gateway.wire.errors import RpcFailure
from gateway.wire.hub_tokens import (
    EXCHANGE_SCOPE,
    GRANT_METADATA_KEY,
    GRANT_TYPE,
    MAX_VIA,
    Bounded,
    ClaimError,
    HubTokenVerifier,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    import grpc
    from hutong.v1.exchange_pb2 import CallerGrant, SealedQuestion

    from gateway.attestation.keys import VerificationKey
    from gateway.hub.access import Access, AccessControl
    from gateway.hub.directory import HubDirectory, HubRecord

MAX_CALLERS: Final = 16_384
"""Callers introduced on one stream; a province has fewer gates that ask at once."""

MAX_HUBS: Final = 1024
"""Verifiers kept, one a hub: three times the prefectures of the country."""

Group = tuple["CallerRecord | RpcFailure", "Iterable[SealedQuestion]"]
"""Questions of one caller, or why none of them may go on."""


class Batch(Protocol):
    """A batch of any stream that carries questions."""

    @property
    def questions(self) -> Iterable[SealedQuestion]:
        """The questions."""

    @property
    def callers(self) -> Iterable[CallerGrant]:
        """Callers that appear from here on."""


class Admission(Protocol):
    """Who asks on one stream."""

    @property
    def member(self) -> str:
        """URN of who opened the stream: bounded by the registry."""

    def check(self) -> object:
        """Hold who opened the stream against the directory; raises RpcFailure."""

    def admit(self, batch: Batch) -> Iterable[Group]:
        """Sort a batch by caller; raises RpcFailure where none of it may go on."""


@dataclass(frozen=True, slots=True)
class MemberAdmission:
    """The stream of one member.

    Attributes:
        control: holds it against tokens and directory.
        access: what its token said.
    """

    control: AccessControl
    access: Access

    @property
    def member(self) -> str:
        """URN of the member."""
        return self.access.caller

    def check(self) -> CallerRecord:
        """Return the member as it is now.

        Raises:
            RpcFailure: it may not ask any more.
        """
        return self.control.authorise(self.access, EXCHANGE_SCOPE)

    def admit(self, batch: Batch) -> Iterable[Group]:
        """All questions are the member's own; handles are not looked at.

        Raises:
            RpcFailure: the token has expired, or the member may not ask any more.
        """
        self.control.check_expiry(self.access)
        return ((self.check(), batch.questions),)


class _GrantClaims(msgspec.Struct):
    sub: str
    region: str
    scope: str
    purposes: list[str]
    via: list[str]
    exp: int


class GrantReader:
    """Reads the grants that other hubs sign for this one.

    Args:
        hub_urn: this hub, the only audience.
        clock: now, UTC.
        of_hubs: read what hubs ask on their own behalf, and nothing else; False: what
            they ask for callers, and nothing else.
    """

    def __init__(
        self, hub_urn: str, *, clock: Callable[[], datetime], of_hubs: bool = False
    ) -> None:
        self._hub_urn = hub_urn
        self._clock = clock
        self._read_grant = _read_hub_grant if of_hubs else _read_grant
        self._verifiers: Bounded[
            tuple[Mapping[str, VerificationKey], HubTokenVerifier[_Delegated]]
        ] = Bounded(MAX_HUBS)

    def read(
        self,
        grant: str,
        *,
        signer: str,
        keys: Mapping[str, VerificationKey],
        prefixes: tuple[str, ...] | None,
    ) -> CallerRecord:
        """Return the caller that a grant introduces.

        Args:
            grant: the JWT.
            signer: URN of the hub that must have signed it.
            keys: its token keys.
            prefixes: inside which the caller must stand; None: anywhere.

        Raises:
            RpcFailure: TOKEN_INVALID, TOKEN_EXPIRED, SCOPE_MISSING, ROUTE_LOOP, or
                AUDIENCE_NOT_ALLOWED where the caller stands outside the prefixes.
        """
        kept = self._verifiers.get(signer)
        if kept is None or kept[0] is not keys:
            kept = (keys, self._verifier(signer, keys))
            self._verifiers.put(signer, kept)
        record = kept[1].verify(grant).record
        if self._hub_urn in record.via:
            raise RpcFailure("ROUTE_LOOP", "the question has passed this hub before")
        if (
            prefixes is not None
            and record.urn != signer
            and not names.covers(prefixes, names.shortest(record.region))
        ):
            raise RpcFailure(
                "AUDIENCE_NOT_ALLOWED", "the caller stands outside the prefixes of its hub"
            )
        return record

    def _verifier(
        self, signer: str, keys: Mapping[str, VerificationKey]
    ) -> HubTokenVerifier[_Delegated]:
        def read(claims: dict[str, Any]) -> _Delegated:
            return self._read_grant(claims, signer)

        return HubTokenVerifier(
            GRANT_TYPE,
            named="grant",
            issuer=signer,
            audience=self._hub_urn,
            keys=keys,
            read=read,
            refuse=RpcFailure,
            clock=self._clock,
        )


@dataclass(frozen=True, slots=True)
class _Delegated:
    record: CallerRecord
    expires_at: int


def _read_grant(claims: dict[str, Any], signer: str) -> _Delegated:
    said, via = _read_claims(claims, signer)
    if (names.region_of(said.sub) or names.checkpoint_region_of(said.sub)) != said.region:
        raise ClaimError
    is_region = names.region_of(said.sub) is not None
    return _delegated(said, via, CallerKind.REGION if is_region else CallerKind.CHECKPOINT)


def _read_hub_grant(claims: dict[str, Any], signer: str) -> _Delegated:
    said, via = _read_claims(claims, signer)
    if names.hub_of(said.sub) != said.region or via[0] != said.sub or said.purposes:
        raise ClaimError
    return _delegated(said, via, CallerKind.HUB)


def _read_claims(claims: dict[str, Any], signer: str) -> tuple[_GrantClaims, tuple[str, ...]]:
    try:
        said = msgspec.convert(claims, _GrantClaims)
    except msgspec.ValidationError:
        raise ClaimError from None
    via = tuple(said.via)
    if not (
        1 <= len(via) < MAX_VIA
        and via[-1] == signer
        and len(set(via)) == len(via)
        and all(map(names.is_hub_urn, via))
        and names.is_division(said.region)
        and 0 < len(said.sub) <= names.MAX_URN_LENGTH
    ):
        raise ClaimError
    if EXCHANGE_SCOPE not in said.scope.split():
        raise RpcFailure("SCOPE_MISSING", f"the grant lacks {EXCHANGE_SCOPE}")
    return said, via


def _delegated(said: _GrantClaims, via: tuple[str, ...], kind: CallerKind) -> _Delegated:
    record = CallerRecord(
        urn=said.sub,
        kind=kind,
        region=said.region,
        scopes=frozenset({EXCHANGE_SCOPE}),
        purposes=frozenset(said.purposes),
        active=True,
        via=via,
        grant_expires_at=said.exp,
    )
    return _Delegated(record, said.exp)


class HubAdmission:
    """A stream that a hub opened.

    Args:
        read: returns the caller of a grant; raises RpcFailure.
        signer: returns who opened the stream as it is now; raises RpcFailure.
        member: URN of that hub.
        clock: now, UTC.
    """

    def __init__(
        self,
        read: Callable[[str], CallerRecord],
        check: Callable[[], object],
        member: str,
        clock: Callable[[], datetime],
    ) -> None:
        self._read = read
        self._check = check
        self._clock = clock
        self._callers: dict[int, CallerRecord | RpcFailure] = {}
        self.member = member

    def check(self) -> object:
        """Hold the hub against the directory.

        Raises:
            RpcFailure: nobody it speaks for gets in.
        """
        return self._check()

    def admit(self, batch: Batch) -> Iterable[Group]:
        """Take introductions, then sort the questions by their handles.

        Raises:
            RpcFailure: as :meth:`check`.
        """
        self._check()
        for introduction in batch.callers:
            self._introduce(introduction)
        now = self._clock().timestamp()
        by_caller: dict[int, list[SealedQuestion]] = {}
        for question in batch.questions:
            by_caller.setdefault(question.caller, []).append(question)
        return [(self._caller(handle, now), items) for handle, items in by_caller.items()]

    def _introduce(self, introduction: CallerGrant) -> None:
        callers = self._callers
        if introduction.handle not in callers and len(callers) >= MAX_CALLERS:
            # The oldest goes; a hub that still speaks for it introduces it again.
            del callers[next(iter(callers))]
        try:
            callers[introduction.handle] = self._read(introduction.grant)
        except RpcFailure as failure:
            callers[introduction.handle] = failure

    def _caller(self, handle: int, now: float) -> CallerRecord | RpcFailure:
        caller = self._callers.get(handle)
        if caller is None:
            return RpcFailure("TOKEN_MISSING", "no caller was introduced under this handle")
        if isinstance(caller, CallerRecord) and now >= (caller.grant_expires_at or 0):
            return RpcFailure("TOKEN_EXPIRED", "the grant is past its lifetime")
        return caller


class HubCallers:
    """Admits what the hubs below ask on the exchange.

    Args:
        hubs: the hubs below.
        reader: reads their grants.
        clock: now, UTC.
    """

    def __init__(
        self, hubs: HubDirectory, reader: GrantReader, *, clock: Callable[[], datetime]
    ) -> None:
        self._hubs = hubs
        self._reader = reader
        self._clock = clock

    def admission(self, control: AccessControl, access: Access) -> HubAdmission:
        """Return who asks on a stream that a hub below opened."""

        def check() -> object:
            return control.authorise(access, EXCHANGE_SCOPE)

        def read(grant: str) -> CallerRecord:
            return self.read(access.caller, grant)

        return HubAdmission(read, check, access.caller, self._clock)

    def read(self, hub: str, grant: str) -> CallerRecord:
        """Return the caller of a grant that a hub below signed.

        Raises:
            RpcFailure: as :meth:`GrantReader.read`, or CALLER_SUSPENDED.
        """
        record = self._hub(hub)
        return self._reader.read(
            grant, signer=hub, keys=record.token_keys, prefixes=record.prefixes
        )

    def _hub(self, urn: str) -> HubRecord:
        record = self._hubs.hub(urn)
        if record is None or not record.active:
            raise RpcFailure("CALLER_SUSPENDED", "the hub is not an active member")
        return record


def grant_of(context: grpc.aio.ServicerContext[Any, Any]) -> str:
    """Return the grant of a unary call's metadata.

    Raises:
        RpcFailure: ``TOKEN_MISSING``: there is none, or more than one.
    """
    found = [
        value for key, value in context.invocation_metadata() or () if key == GRANT_METADATA_KEY
    ]
    if len(found) != 1 or not isinstance(found[0], str):
        raise RpcFailure("TOKEN_MISSING", "one grant is needed")
    return found[0]
