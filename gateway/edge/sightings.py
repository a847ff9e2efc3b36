"""One attestation at two places: tags that a hub can compare and cannot read.

A carried attestation bears no nonce, so a copy of it verifies at every checkpoint. Each
checkpoint whose policy has a ``replay`` window reports what it was shown, as tags::

    tag = first 16 bytes of SHA-256("hutong-sighting-1" NUL issuer NUL jti NUL span)

``span`` is the decimal number of the window that the moment falls into, counted from
1970-01-01 UTC in windows of the policy's minutes. The ``jti`` has 128 random bits that
the hub never sees, so it can neither make a tag nor tell whose it is, and the tags of
two spans do not link by themselves. A showing is reported under its own span and the
next one, so that a border between two spans hides no repeat; the hub tells how far apart
two showings were, and what lies outside the window counts for nothing (``freshness``).

Reported beside deciding, not before: a hub that is away or slow costs a moment at most,
the decision then rests on what is known here, says that it is unreported, and an
admission is reported later (:mod:`gateway.edge.reconcile`).
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from hutong.v1 import sighting_service_pb2

from gateway.edge.exchange_line import SCOPE
from gateway.wire.errors import RpcFailure, failure_from_rpc_error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hutong.v1.sighting_service_pb2_grpc import SightingServiceStub

    from gateway.attestation import Attestation
    from gateway.attestation.disclosed import DisclosedAttestation
    from gateway.edge.exchange_line import TokenSource
    from gateway.errors import HutongError

DOMAIN: Final = "hutong-sighting-1"
TAG_BYTES: Final = 16
MAX_REPORTED: Final = 1024
"""Sightings in one call, as the schema has it."""

REPORT_SECONDS: Final = 0.5
"""What somebody at a gate waits for the hub's word beyond the decision itself."""

_NEW_TOKEN = frozenset({"TOKEN_EXPIRED", "TOKEN_INVALID", "TOKEN_MISSING"})


@dataclass(frozen=True, slots=True)
class Sighting:
    """One showing, as it is reported.

    Attributes:
        tags: of its span and of the next one, 16 bytes each.
        seen_at: when, UTC, whole seconds.
        keep_until: when nobody can show it any more and the tags may be forgotten.
    """

    tags: tuple[bytes, bytes] = field(repr=False)
    seen_at: datetime
    keep_until: datetime


def span_of(moment: datetime, minutes: int) -> int:
    """Return the number of the window that a moment falls into."""
    return int(moment.timestamp()) // (minutes * 60)


def tag_of(issuer: str, token_id: str, span: int) -> bytes:
    """Return the tag of an attestation in a span; see the module."""
    text = "\0".join((DOMAIN, issuer, token_id, str(span)))
    return hashlib.sha256(text.encode()).digest()[:TAG_BYTES]


def sighting_of(
    attestation: Attestation | DisclosedAttestation, *, minutes: int, now: datetime
) -> Sighting:
    """Return what is reported of a showing.

    Args:
        attestation: verified, carried.
        minutes: of the policy's window.
        now: when it is shown.
    """
    span = span_of(now, minutes)
    end = datetime.fromtimestamp((span + 2) * minutes * 60, UTC)
    return Sighting(
        (
            tag_of(attestation.issuer, attestation.token_id, span),
            tag_of(attestation.issuer, attestation.token_id, span + 1),
        ),
        now.replace(microsecond=0),
        # A checkpoint that was offline reports late, as long as the attestation lives.
        max(end, attestation.expires_at + timedelta(minutes=1)),
    )


class SightingReporter:
    """Reports to the hub, with this checkpoint's own access token.

    Args:
        stub: of the hub's SightingService.
        tokens: access tokens.
    """

    def __init__(self, stub: SightingServiceStub, tokens: TokenSource) -> None:
        self._stub = stub
        self._tokens = tokens

    async def report(
        self, sightings: Sequence[Sighting], *, timeout_seconds: float = REPORT_SECONDS
    ) -> list[int | None]:
        """Report showings.

        Args:
            sightings: at most 512, in any order.
            timeout_seconds: for everything.

        Returns:
            For each, the seconds between it and the nearest showing at another
            checkpoint; None: the hub knows of none.

        Raises:
            HutongError: the hub did not take them, or not in time.
        """
        request = sighting_service_pb2.ReportRequest()
        for sighting in sightings:
            for tag in sighting.tags:
                request.sightings.add(
                    tag=tag,
                    seen_at=_timestamp(sighting.seen_at),
                    span_ends=_timestamp(sighting.keep_until),
                )
        try:
            async with asyncio.timeout(timeout_seconds):
                answers = await self._call(request, timeout_seconds)
        except TimeoutError:
            raise RpcFailure("DEADLINE_EXCEEDED", "the hub does not answer in time") from None
        if len(answers) != len(request.sightings):
            raise RpcFailure("ADAPTER_MISBEHAVED", "not one answer a sighting")
        return [
            min((one.seconds_apart for one in pair if one.elsewhere), default=None)
            for pair in zip(answers[::2], answers[1::2], strict=True)
        ]

    async def _call(
        self, request: sighting_service_pb2.ReportRequest, timeout_seconds: float
    ) -> Sequence[sighting_service_pb2.SightingAnswer]:
        for is_last in (False, True):
            token = await self._tokens.token(SCOPE)
            try:
                response = await self._stub.Report(
                    request,
                    metadata=(("authorization", f"Bearer {token}"),),
                    timeout=timeout_seconds,
                )
            except grpc.aio.AioRpcError as error:
                failure: HutongError = failure_from_rpc_error(error)
                if is_last or failure.code not in _NEW_TOKEN:
                    raise failure from None
                self._tokens.forget(SCOPE)
            else:
                return response.answers
        raise AssertionError("unreachable")


def _timestamp(moment: datetime) -> Timestamp:
    return Timestamp(seconds=int(moment.timestamp()))
