"""The half of ``hutong.v1.RegistryService`` on living trust: keys, distrust, audit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
from hutong.v1 import registry_service_pb2 as pb
from hutong.v1 import registry_service_pb2_grpc as pb_grpc

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from typing import NoReturn

    Context = grpc.aio.ServicerContext[Any, Any]


async def _unimplemented(request: object, context: Context) -> NoReturn:
    del request
    await context.abort(grpc.StatusCode.UNIMPLEMENTED, "this method is not served here")


class TrustRpcs(pb_grpc.RegistryServiceServicer):
    """Mixed into the registry service."""

    async def Withdraw(  # noqa: N802  the name of the RPC
        self, request: pb.WithdrawRequest, context: Context
    ) -> pb.WithdrawResponse:
        """End a member for good."""
        await _unimplemented(request, context)

    async def ChangeKeys(  # noqa: N802  the name of the RPC
        self, request: pb.ChangeKeysRequest, context: Context
    ) -> pb.ChangeKeysResponse:
        """Take a change of keys."""
        await _unimplemented(request, context)

    async def Rehearse(  # noqa: N802  the name of the RPC
        self, request: pb.RehearseRequest, context: Context
    ) -> pb.RehearseResponse:
        """Begin a rehearsal."""
        await _unimplemented(request, context)

    async def GetRehearsal(  # noqa: N802  the name of the RPC
        self, request: pb.GetRehearsalRequest, context: Context
    ) -> pb.GetRehearsalResponse:
        """Tell what the edges said so far."""
        await _unimplemented(request, context)

    async def PreviewDistrust(  # noqa: N802  the name of the RPC
        self, request: pb.PreviewDistrustRequest, context: Context
    ) -> pb.PreviewDistrustResponse:
        """Tell what a distrust would touch."""
        await _unimplemented(request, context)

    async def Distrust(  # noqa: N802  the name of the RPC
        self, request: pb.DistrustRequest, context: Context
    ) -> pb.DistrustResponse:
        """Publish a distrust."""
        await _unimplemented(request, context)

    async def UndoDistrust(  # noqa: N802  the name of the RPC
        self, request: pb.UndoDistrustRequest, context: Context
    ) -> pb.UndoDistrustResponse:
        """Take a distrust back."""
        await _unimplemented(request, context)

    async def Lint(  # noqa: N802  the name of the RPC
        self, request: pb.LintRequest, context: Context
    ) -> pb.LintResponse:
        """Check a statement without publishing it."""
        await _unimplemented(request, context)

    async def GetStanding(  # noqa: N802  the name of the RPC
        self, request: pb.GetStandingRequest, context: Context
    ) -> pb.GetStandingResponse:
        """Tell how a member stands."""
        await _unimplemented(request, context)

    async def ListAudit(  # noqa: N802  the name of the RPC
        self, request: pb.ListAuditRequest, context: Context
    ) -> pb.ListAuditResponse:
        """List the audit."""
        await _unimplemented(request, context)

    async def MakePack(  # noqa: N802  the name of the RPC
        self, request: pb.MakePackRequest, context: Context
    ) -> AsyncIterator[pb.MakePackResponse]:
        """Make an air-gapped pack."""
        if request is not None:
            await _unimplemented(request, context)
        yield pb.MakePackResponse()  # an async generator yields
