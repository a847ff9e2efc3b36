"""The second leg of a conversion: one import, sealed to the destination, and its answer.

``encode_import`` and ``decode_answer`` are the plaintext of ``hutong.v1.ImportBatch``
and ``ImportAnswerBatch`` for one traveller; :class:`ImportClient` carries it through
``ExchangeService.Convert``. The hub between sees an envelope of one length, whatever
is asked and whatever comes.

An import may be sent twice: the destination knows an attestation that it has
converted and gives the same code again. So a lost line, an expired token and a
sealing key that the destination no longer holds are mended once, within the deadline
and with a fresh reply key.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import grpc
from google.protobuf.message import DecodeError
from hutong.v1 import exchange_pb2, exchange_service_pb2

from gateway.attestation.errors import SealingError
from gateway.attestation.padding import IMPORT_BUCKET_BYTES, pad
from gateway.attestation.sealing import Binding, open_import_answer, seal_import
from gateway.codes import region_urn
from gateway.codes.proto import (
    declarations_to_proto,
    document_to_proto,
    local_code_from_proto,
    refusal_from_proto,
)
from gateway.codes.unified import UnifiedCodeError
from gateway.edge.exchange_line import SCOPE
from gateway.edge.questions import ENVELOPE_PLAINTEXT_BYTES, REPLY_KEY_BYTES
from gateway.wire.errors import RpcFailure, failure_from_item, failure_from_rpc_error

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from hutong.v1.exchange_service_pb2_grpc import ExchangeServiceStub

    from gateway.codes import Declarations, Document
    from gateway.codes.conversion import ImportRefusal, LocalCode
    from gateway.edge.envelopes import SealingKeys
    from gateway.edge.exchange_line import TokenSource

_NEW_LINE: Final = frozenset({"PEER_UNREACHABLE", "SHUTTING_DOWN"})
_NEW_TOKEN: Final = frozenset({"TOKEN_EXPIRED", "TOKEN_INVALID", "TOKEN_MISSING"})
_NEW_TRUST: Final = frozenset({"SEALING_KEY_UNKNOWN"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportAsked:
    """One import.

    Attributes:
        nonce: of the question that brought the attestation.
        token: the attestation, of use import, for the destination.
        document: that the origin was asked about.
        name: as in the document, 1 to 64 characters.
        declarations: the holder's own answers; none is ABSENT.
    """

    nonce: bytes = field(repr=False)
    token: str = field(repr=False)
    document: Document = field(repr=False)
    name: str = field(repr=False)
    declarations: Declarations = field(repr=False)


def encode_import(asked: ImportAsked, *, reply_key: bytes, asked_at: datetime) -> bytes:
    """Write the plaintext of an import envelope, padded.

    Args:
        asked: what is to be converted.
        reply_key: fresh AES-256 key.
        asked_at: the clock when sealing.
    """
    batch = exchange_pb2.ImportBatch(reply_key=reply_key)
    batch.asked_at.FromDatetime(asked_at)
    one = batch.imports.add(nonce=asked.nonce, attestation=asked.token, name=asked.name)
    one.document.CopyFrom(document_to_proto(asked.document))
    one.declarations.CopyFrom(declarations_to_proto(asked.declarations))
    return pad(batch.SerializeToString(), IMPORT_BUCKET_BYTES, max_bytes=ENVELOPE_PLAINTEXT_BYTES)


def decode_answer(plaintext: bytes, nonce: bytes) -> LocalCode | ImportRefusal | RpcFailure:
    """Read the plaintext of the answer to one import.

    Returns:
        The local code or the destination's refusal; a failure where the destination
        refused this import for a fault, or answered something else (ADAPTER_MISBEHAVED).
    """
    try:
        batch = exchange_pb2.ImportAnswerBatch.FromString(plaintext)
    except DecodeError:
        return _misbehaved("the answer does not parse")
    if len(batch.answers) != 1 or batch.answers[0].nonce != nonce:
        return _misbehaved("not one answer to this import")
    return _read(batch.answers[0])


def _read(answer: exchange_pb2.ImportAnswer) -> LocalCode | ImportRefusal | RpcFailure:
    kind = answer.WhichOneof("result")
    try:
        if kind == "local_code":
            return local_code_from_proto(answer.local_code)
        if kind == "refusal":
            return refusal_from_proto(answer.refusal)
    except UnifiedCodeError:
        return _misbehaved("an answer that breaks its rule")
    if kind == "error" and answer.error.reason:
        return failure_from_item(answer.error)
    return _misbehaved("an empty answer")


class ImportClient:
    """Asks destinations through the hub to convert. One event loop.

    Args:
        stub: of the hub's ExchangeService.
        caller: URN under which this checkpoint is enrolled.
        tokens: access tokens.
        keys: gives the trust bundle of the moment.
        refresh_trust: fetches what is new in the feed.
        clock: now, UTC.
        random_bytes: for reply keys.
    """

    def __init__(
        self,
        stub: ExchangeServiceStub,
        *,
        caller: str,
        tokens: TokenSource,
        keys: Callable[[], SealingKeys],
        refresh_trust: Callable[[], Awaitable[None]],
        clock: Callable[[], datetime],
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self._stub = stub
        self._caller = caller
        self._tokens = tokens
        self._keys = keys
        self._refresh_trust = refresh_trust
        self._clock = clock
        self._random_bytes = random_bytes

    async def convert(
        self,
        destination: str,
        asked: ImportAsked,
        *,
        purpose: exchange_pb2.Purpose.ValueType,
        timeout_seconds: float,
    ) -> LocalCode | ImportRefusal:
        """Ask one destination to make a local code.

        Args:
            destination: six digits of the region whose code is wanted.
            asked: what is to be converted.
            purpose: HOLDER or PLATFORM.
            timeout_seconds: until when the answer is worth anything.

        Raises:
            RpcFailure: it was refused for a fault; ``code`` is a reason of the wire.
            TrustError: the feed knows no authority or key for the destination.
            TokenError: the hub gives no access token.
        """
        try:
            async with asyncio.timeout(timeout_seconds):
                deadline = asyncio.get_running_loop().time() + timeout_seconds
                try:
                    return await self._once(destination, asked, purpose, deadline)
                except RpcFailure as failure:
                    if failure.code not in _NEW_LINE | _NEW_TOKEN | _NEW_TRUST:
                        raise
                    if failure.code in _NEW_TOKEN:
                        self._tokens.forget(SCOPE)
                    if failure.code in _NEW_TRUST:
                        await self._refresh_trust()
                return await self._once(destination, asked, purpose, deadline)
        except TimeoutError:
            raise RpcFailure("DEADLINE_EXCEEDED", "no answer within the time given") from None

    async def _once(
        self,
        destination: str,
        asked: ImportAsked,
        purpose: exchange_pb2.Purpose.ValueType,
        deadline: float,
    ) -> LocalCode | ImportRefusal:
        now = self._clock()
        key = self._keys().sealing_key(destination, now=now)
        name = exchange_pb2.Purpose.Name(purpose).removeprefix("PURPOSE_")
        binding = Binding(region_urn(destination), self._caller, name)
        reply_key = self._random_bytes(REPLY_KEY_BYTES)
        plaintext = encode_import(asked, reply_key=reply_key, asked_at=now)
        request = exchange_service_pb2.ConvertRequest(
            sealed=exchange_pb2.SealedQuestion(
                region=destination,
                purpose=purpose,
                key_id=key.key_id,
                envelope=seal_import(key, plaintext, binding),
            )
        )
        token = await self._tokens.token(SCOPE)
        left = deadline - asyncio.get_running_loop().time()
        try:
            response = await self._stub.Convert(
                request,
                timeout=max(left, 0.001),
                metadata=(("authorization", f"Bearer {token}"),),
            )
        except grpc.aio.AioRpcError as error:
            raise failure_from_rpc_error(error) from None
        try:
            answer = open_import_answer(reply_key, response.envelope, binding, key.profile)
        except SealingError:
            raise _misbehaved("the answer does not open here") from None
        result = decode_answer(answer, asked.nonce)
        if isinstance(result, RpcFailure):
            raise result
        return result


def _misbehaved(message: str) -> RpcFailure:
    return RpcFailure("ADAPTER_MISBEHAVED", message)
