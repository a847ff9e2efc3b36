"""What both roles need around gRPC: channels, refusals, and a closer look at them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import grpc
from google.rpc import error_details_pb2, status_pb2

from conformance_tests.model import Observed
from conformance_tests.profile import ProfileError

if TYPE_CHECKING:
    from conformance_tests.profile import Profile

CONNECT_SECONDS = 5.0
"""A target that does not answer by then is not there."""
CALL_SECONDS = 10.0
"""Deadline of a call; an adapter has its platform to ask."""
_DETAILS = "grpc-status-details-bin"


async def connect(profile: Profile) -> grpc.aio.Channel:
    """Open a channel and wait until the target answers.

    Raises:
        ProfileError: nothing answers there, or the profile does not say how to connect.
    """
    channel = _open_channel(profile)
    try:
        await asyncio.wait_for(channel.channel_ready(), CONNECT_SECONDS)
    except TimeoutError:
        await channel.close()
        raise _unreachable(profile) from None
    return channel


def _open_channel(profile: Profile) -> grpc.aio.Channel:
    """Open a channel: TLS with the profile's ``ca``, or plain if it says so."""
    if profile.entries.get("insecure") is True:
        return grpc.aio.insecure_channel(profile.target)
    name = profile.need("ca")
    return grpc.aio.secure_channel(
        profile.target, grpc.ssl_channel_credentials(root_certificates=profile.read(str(name)))
    )


def refusal(error: grpc.aio.AioRpcError, *, secrets: tuple[str, ...] = ()) -> Observed:
    """Turn a failed call into what it shows.

    Args:
        error: what the call raised.
        secrets: texts that must not appear in message, details or trailers.
    """
    notes = []
    reason = ""
    trailers = error.trailing_metadata() or ()
    raw = next((value for name, value in trailers if name == _DETAILS), None)
    everything = (error.details() or "") + "".join(f"{name}{value!r}" for name, value in trailers)
    if any(secret in everything for secret in secrets):
        notes.append("the refusal repeats a value of the question (HT-ADP-10, HT-ERR-3)")
    if isinstance(raw, bytes):
        status = status_pb2.Status.FromString(raw)
        info = error_details_pb2.ErrorInfo()
        for detail in status.details:
            if detail.Unpack(info):
                reason = info.reason
                if info.domain != "hutong":
                    notes.append("the domain of ErrorInfo is not hutong (HT-ERR-1)")
    return Observed(code=error.code().name, reason=reason, notes=tuple(notes))


def retry_seconds(error: grpc.aio.AioRpcError) -> float:
    """Return when a refusal says that a retry may help; zero: it does not say."""
    for name, value in error.trailing_metadata() or ():
        if name == _DETAILS and isinstance(value, bytes):
            retry = error_details_pb2.RetryInfo()
            for detail in status_pb2.Status.FromString(value).details:
                if detail.Unpack(retry):
                    return float(retry.retry_delay.ToMilliseconds()) / 1000
    return 0.0


def named_fields(error: grpc.aio.AioRpcError) -> list[str]:
    """Return the fields that a refusal's BadRequest names."""
    fields = []
    for name, value in error.trailing_metadata() or ():
        if name == _DETAILS and isinstance(value, bytes):
            bad = error_details_pb2.BadRequest()
            for detail in status_pb2.Status.FromString(value).details:
                if detail.Unpack(bad):
                    fields += [violation.field for violation in bad.field_violations]
    return fields


def reach(error: grpc.aio.AioRpcError, profile: Profile) -> None:
    """Raise when the target itself cannot be reached.

    Raises:
        ProfileError: nothing answers there.
    """
    if error.code() is grpc.StatusCode.UNAVAILABLE and not (error.trailing_metadata() or ()):
        raise _unreachable(profile)


def _unreachable(profile: Profile) -> ProfileError:
    return ProfileError(f"nothing answers at {profile.target}; is it running, is `ca` right?")
