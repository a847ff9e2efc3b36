"""The client's half: a profile file, a channel, and an assertion for each call.

A profile says how one client reaches the issuer; it may be copied, with its key and
the root beside it, to wherever the client works::

    issuer = "localhost:7460"
    client = "window"
    key = "window-key.json"
    ca = "ca.pem"

Example::

    async with IssuerClient(load_profile(path), clock) as client:
        response = await client.call(client.service.QueryHealth, request)
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Self

import grpc
from hutong.v1 import issuer_service_pb2
from hutong.v1.issuer_desk_service_pb2_grpc import IssuerDeskServiceStub
from hutong.v1.issuer_service_pb2_grpc import IssuerServiceStub
from pydantic import StringConstraints

from gateway.attestation.keys import signing_key_from_jwk
from gateway.codes import region_urn
from gateway.issuer.clients import make_assertion
from gateway.issuer.connector import AUTHORITY
from gateway.issuer.service_errors import IssuerSetupError
from gateway.wire.channel import open_channel
from gateway.wire.errors import failure_from_rpc_error
from gateway.wire.files import read_bounded, refused_as
from gateway.wire.private_files import read_private_key
from gateway.wire.settings_file import SettingsTable, check_members, read_toml

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from types import TracebackType

CALL_SECONDS: Final = 20.0
"""Deadline of a call: one transaction, on a slow line."""
LONG_SECONDS: Final = 60.0
"""Deadline of a call that assesses many people."""
MAX_CA_BYTES: Final = 256 * 1024


class ClientProfile(SettingsTable):
    """How a client reaches the issuer; paths from the folder of the file."""

    issuer: Annotated[str, StringConstraints(pattern=r"^.+:[0-9]{1,5}$")]
    """gRPC target, ``host:port``."""
    client: str
    """Name of the client, as the issuer lists it."""
    key: Path
    """Private JWK that signs its assertions."""
    ca: Path | None = None
    """PEM of the roots of the issuer's certificate; absent: the system's."""


def load_profile(path: Path) -> ClientProfile:
    """Read a client's profile.

    Raises:
        IssuerSetupError: missing, malformed, or a member is missing or unknown.
    """
    with refused_as(
        IssuerSetupError, when_missing="name the profile of a client: --as FILE, or --dir FOLDER"
    ):
        profile = check_members(ClientProfile, read_toml(path), path)
    folder = path.parent
    return profile.model_copy(
        update={
            "key": folder / profile.key,
            "ca": None if profile.ca is None else folder / profile.ca,
        }
    )


class IssuerClient:
    """Speaks to one issuer as one client; within a running loop.

    Args:
        profile: where the issuer is and who asks.
        clock: now, aware, UTC.

    Attributes:
        service: stub of IssuerService.
        desk: stub of IssuerDeskService.

    Raises:
        IssuerSetupError: the key or the root cannot be read.
    """

    def __init__(self, profile: ClientProfile, clock: Callable[[], datetime]) -> None:
        with refused_as(IssuerSetupError):
            self._key = read_private_key(profile.key, signing_key_from_jwk)
            ca_pem = None if profile.ca is None else read_bounded(profile.ca, MAX_CA_BYTES)
        self._profile = profile
        self._clock = clock
        self._channel = open_channel(profile.issuer, ca_pem=ca_pem)
        self.service = IssuerServiceStub(self._channel)
        self.desk = IssuerDeskServiceStub(self._channel)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._channel.close()

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What authenticates one call."""
        assertion = make_assertion(
            self._profile.client, self._key, region_urn(AUTHORITY), self._clock()
        )
        return (("authorization", f"Bearer {assertion}"),)

    async def call(
        self, method: Callable[..., Any], request: Any, *, seconds: float = CALL_SECONDS
    ) -> Any:
        """Make one call.

        Raises:
            RpcFailure: the issuer refuses or cannot be reached.
        """
        try:
            return await method(request, metadata=self.metadata(), timeout=seconds)
        except grpc.aio.AioRpcError as error:
            raise failure_from_rpc_error(error) from None

    async def applied(
        self, kind: issuer_service_pb2.CallKind.ValueType
    ) -> issuer_service_pb2.AppliedCall:
        """Apply for a call.

        Raises:
            RpcFailure: as :meth:`call`.
        """
        response = await self.call(
            self.service.ApplyCall, issuer_service_pb2.ApplyCallRequest(kind=kind)
        )
        return issuer_service_pb2.AppliedCall(serial=response.serial, nonce=response.nonce)
