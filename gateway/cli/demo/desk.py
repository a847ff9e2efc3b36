"""What an operator of the hub does about a leaked key: the registry's calls for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import grpc
from hutong.v1 import registry_service_pb2 as pb

from gateway.cli.operator_client import CALL_SECONDS, OperatorClient
from gateway.hub.setup import OPERATOR_FILE, load_operator_profile
from gateway.wire.errors import failure_from_rpc_error

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from typing import Any

    from hutong.v1.distrust_pb2 import DistrustRule

    from gateway.cli.demo.federation import Federation


class Desk(OperatorClient):
    """The first operator of a hub, and what else one may do."""

    @classmethod
    def of(cls, federation: Federation) -> Self:
        """The operator of a federation's hub."""
        return cls(load_operator_profile(federation.hub_folder / OPERATOR_FILE))

    async def preview(self, rule: DistrustRule) -> pb.PreviewDistrustResponse:
        """What a distrust would touch."""
        request = pb.PreviewDistrustRequest(rule=rule)
        preview: pb.PreviewDistrustResponse = await self._do(
            self._registry.PreviewDistrust, request
        )
        return preview

    async def distrust(self, rule: DistrustRule, reason: str) -> tuple[str, int]:
        """Publish a distrust; returns what names it, and its number in the feed."""
        request = pb.DistrustRequest(rule=rule, reason=reason)
        done = await self._do(self._registry.Distrust, request)
        return done.distrust, done.sequence

    async def undo(self, distrust: str, reason: str) -> int:
        """Take a distrust back; returns the number in the feed."""
        request = pb.UndoDistrustRequest(distrust=distrust, reason=reason)
        done = await self._do(self._registry.UndoDistrust, request)
        return int(done.sequence)

    async def audit(self) -> Sequence[pb.AuditRecord]:
        """The newest lines of the audit."""
        listed = await self._do(self._registry.ListAudit, pb.ListAuditRequest())
        return list(listed.records)

    async def _do(self, method: Callable[..., Awaitable[Any]], request: object) -> Any:
        try:
            return await method(request, metadata=await self._metadata(), timeout=CALL_SECONDS)
        except grpc.aio.AioRpcError as error:
            raise failure_from_rpc_error(error) from None
