"""What the reference hub does not serve of the registry: no check of the suite asks for it."""

from __future__ import annotations

from typing import Any, NoReturn

import grpc
from hutong.v1 import registry_service_pb2 as pb
from hutong.v1 import registry_service_pb2_grpc as pb_grpc

_Context = grpc.aio.ServicerContext[Any, Any]


class UnservedRegistry(pb_grpc.RegistryServiceServicer):
    """Refuses rehearsals, lint and standing; they bind nobody else."""

    async def GetEnrolment(  # noqa: N802 - the service's own name
        self, request: pb.GetEnrolmentRequest, context: _Context
    ) -> pb.GetEnrolmentResponse:
        """Refuse."""
        return await _unserved(context)

    async def Rehearse(  # noqa: N802 - the service's own name
        self, request: pb.RehearseRequest, context: _Context
    ) -> pb.RehearseResponse:
        """Refuse."""
        return await _unserved(context)

    async def GetRehearsal(  # noqa: N802 - the service's own name
        self, request: pb.GetRehearsalRequest, context: _Context
    ) -> pb.GetRehearsalResponse:
        """Refuse."""
        return await _unserved(context)

    async def Lint(  # noqa: N802 - the service's own name
        self, request: pb.LintRequest, context: _Context
    ) -> pb.LintResponse:
        """Refuse."""
        return await _unserved(context)

    async def GetStanding(  # noqa: N802 - the service's own name
        self, request: pb.GetStandingRequest, context: _Context
    ) -> pb.GetStandingResponse:
        """Refuse."""
        return await _unserved(context)


async def _unserved(context: _Context) -> NoReturn:
    await context.abort(grpc.StatusCode.UNIMPLEMENTED, "not served by the reference hub")
    raise AssertionError  # abort never returns
