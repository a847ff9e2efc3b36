"""Two regions and a conversion: an origin that attests, a destination that imports.

The origin is a region of the simulated feed and signs with its own key; the
destination is an adapter's import pipeline with a city in memory behind it, or a
whole adapter on loopback (``tests.adapters.sdk.test_import_on_the_wire``). Everything
is synthetic.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from hutong.v1 import code_pb2, exchange_pb2

from adapters.sdk import Deadline, Imported, LocalReport, Reports
from adapters.sdk.grants import CallerContext
from adapters.sdk.importing import ImportPipeline
from gateway.attestation import (
    Attestation,
    AttestationUse,
    AttestationVerifier,
    Binding,
    bound_to,
    generate_sealing_key,
    open_import_answer,
    seal_import,
    sign_attestation,
)
from gateway.attestation.sealing import Profile
from gateway.codes.documents import Document, DocumentType
from gateway.codes.levels import Level
from gateway.codes.proto import document_to_proto
from gateway.codes.schemes import load_scheme
from gateway.codes.unified import UnifiedCode
from gateway.trust import KeyUse
from tests.codes.scheme_samples import SCHEME, VECTORS
from tests.trust.simulator import START, FederationSimulator

if TYPE_CHECKING:
    from adapters.sdk import ImportOrder, OutcomeReport
    from gateway.codes.conversion import ImportRefusal
    from gateway.codes.schemes import Scheme

NOW = START + timedelta(hours=2)
ORIGIN = "440100"
DESTINATION = "330100"
URN = "urn:hutong:region:"
CALLER = "urn:hutong:checkpoint:330100:north-gate"
NAME = "合成甲"
PERSON = Document(DocumentType.RESIDENT_IDENTITY_CARD, "330102199001010055")
SOMEBODY_ELSE = Document(DocumentType.RESIDENT_IDENTITY_CARD, "330102199001010063")
TESTED = NOW - timedelta(days=2)

IMPORT = """\
    import:
      levels: [GREEN]
      origins: ["44", "990000"]
      schemes: [gz-skm]
      max_age_seconds: 86400
      negative_test_max_age_seconds: 604800
      answers_must_be_no: true
      life_seconds: 43200
      state: 绿码
"""


def destination_scheme(rule: str = IMPORT, connector: str = "") -> Scheme:
    """The sample scheme, whose version of this moment converts."""
    return load_scheme((SCHEME + rule + connector).encode(), vectors=VECTORS.encode())


def green(**changes: Any) -> UnifiedCode:
    """A code that converts; a test changes one property of it."""
    code = UnifiedCode(
        level=Level.GREEN,
        scheme="gz-skm@v2",
        state="绿码",
        assessed_at=NOW - timedelta(hours=3),
        source_at=NOW - timedelta(hours=3),
        issued_by=ORIGIN,
        negative_test_at=TESTED,
    )
    return replace(code, **changes)


@dataclass
class City:
    """A city in memory: what it holds, and the door where codes are entered."""

    held: tuple[LocalReport, ...] | OutcomeReport = ()
    refusal: ImportRefusal | OutcomeReport | None = None
    qr_text: str = "https://code.example/?id={:032x}"
    valid_until: datetime | None = None
    fails: Exception | None = None
    entered: dict[str, ImportOrder] = field(default_factory=dict)
    fetched: list[Any] = field(default_factory=list)
    orders: list[ImportOrder] = field(default_factory=list)
    hold: asyncio.Event | None = None
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    async def fetch(self, presentation: Any, deadline: Deadline) -> Any:
        self.fetched.append(presentation)
        return Reports(self.held) if isinstance(self.held, tuple) else self.held

    async def import_code(self, order: ImportOrder, deadline: Deadline) -> Any:
        self.orders.append(order)
        self.asked.set()
        if self.hold is not None:
            await self.hold.wait()
        if self.fails is not None:
            raise self.fails
        if self.refusal is not None:
            return self.refusal
        self.entered.setdefault(order.reference, order)
        number = list(self.entered).index(order.reference)
        return Imported(self.qr_text.format(number), self.valid_until)

    async def close(self) -> None:
        pass


def held(state: str, **changes: Any) -> LocalReport:
    """A record of the destination's own."""
    report = LocalReport(
        state=state,
        issued_by=DESTINATION,
        assessed_at=NOW - timedelta(hours=1),
        source_at=NOW - timedelta(hours=1),
        scope="全域",
    )
    return replace(report, **changes)


@dataclass
class Trust:
    """Believes the simulated federation as it stands, or nobody."""

    federation: FederationSimulator
    is_fresh: bool = True

    def verifier(self, now: datetime) -> AttestationVerifier | None:
        if not self.is_fresh:
            return None
        return AttestationVerifier(self.federation.replica().bundle)


class ImportWorld:
    """An origin, a destination, and who converts."""

    def __init__(self, *, scheme: Scheme | None = None, profile: Profile = Profile.HPKE) -> None:
        self.federation = FederationSimulator()
        self.origin = self.federation.add_region(ORIGIN)
        self.federation.add_region(DESTINATION)
        self.trust = Trust(self.federation)
        self.city = City()
        self.key = generate_sealing_key(profile)
        self.scheme = scheme or destination_scheme()
        self.now = NOW
        self.caller = CallerContext(
            CALLER, DESTINATION, frozenset({"HOLDER", "CHECKPOINT"}), 9_999_999_999
        )
        self.pipeline = self.new_pipeline()

    def new_pipeline(self, **options: Any) -> ImportPipeline:
        """The destination's pipeline, with no memory of another."""
        return ImportPipeline(
            prefixes=("3301",),
            scheme=self.scheme,
            connector=self.city,
            importer=self.city,
            trust=self.trust,
            sealing_keys={self.key.key_id: self.key},
            clock=lambda: self.now,
            **options,
        )

    def attest(
        self,
        code: UnifiedCode | None = None,
        *,
        nonce: bytes,
        document: Document = PERSON,
        issuer: str = ORIGIN,
        **changes: Any,
    ) -> str:
        """The origin's attestation of a code, for this destination."""
        region = self.federation.regions[issuer]
        members: dict[str, Any] = {
            "issuer": region.urn,
            "audience": URN + DESTINATION,
            "issued_at": self.now,
            "not_before": self.now,
            "expires_at": self.now + timedelta(minutes=10),
            "token_id": os.urandom(16).hex(),
            "subject": "S" * 43,
            "code": code or green(),
            "use": AttestationUse.IMPORT,
            "bound": bound_to(nonce, document),
            "nonce": nonce if changes.get("use") is AttestationUse.ONLINE else None,
        }
        return sign_attestation(
            Attestation(**{**members, **changes}), region.signing[KeyUse.ATTEST]
        )

    def ask(self, attestation: str | None = None, **changes: Any) -> exchange_pb2.Import:
        """An import that converts; a test changes one property of it."""
        nonce = changes.pop("nonce", None) or os.urandom(16)
        answers = {"contact": "NO", "risk_area": "NO", "overseas": "NO"}
        answers |= changes.pop("declarations", {})
        return exchange_pb2.Import(
            nonce=nonce,
            attestation=self.attest(nonce=nonce) if attestation is None else attestation,
            document=document_to_proto(changes.pop("document", PERSON)),
            name=changes.pop("name", NAME),
            declarations=code_pb2.Declarations(
                **{
                    member: code_pb2.TriState.Value(f"TRI_STATE_{answer}")
                    for member, answer in answers.items()
                }
            ),
        )

    def seal(
        self,
        *imports: exchange_pb2.Import,
        purpose: str = "HOLDER",
        region: str = DESTINATION,
        asked_at: datetime | None = None,
        reply_key: bytes = bytes(32),
        **changes: Any,
    ) -> exchange_pb2.SealedQuestion:
        """An envelope of imports, as the caller seals it."""
        batch = exchange_pb2.ImportBatch(reply_key=reply_key, imports=imports)
        batch.asked_at.FromDatetime(asked_at or self.now)
        binding = changes.pop("binding", Binding(URN + region, CALLER, purpose))
        sealer = changes.pop("sealer", seal_import)
        members = {
            "region": region,
            "purpose": exchange_pb2.Purpose.Value("PURPOSE_" + purpose),
            "key_id": self.key.key_id,
            "envelope": sealer(self.key.public, batch.SerializeToString(), binding),
        }
        return exchange_pb2.SealedQuestion(**{**members, **changes})

    def open(self, envelope: bytes, purpose: str = "HOLDER") -> list[exchange_pb2.ImportAnswer]:
        """The answers in an envelope."""
        binding = Binding(URN + DESTINATION, CALLER, purpose)
        plaintext = open_import_answer(bytes(32), envelope, binding, self.key.profile)
        return list(exchange_pb2.ImportAnswerBatch.FromString(plaintext).answers)

    async def convert(
        self, *imports: exchange_pb2.Import, seconds: float = 5.0, **sealing: Any
    ) -> list[exchange_pb2.ImportAnswer]:
        """Convert through the pipeline."""
        sealed = self.seal(*imports, **sealing)
        envelope = await self.pipeline.convert(sealed, self.caller, Deadline.after(seconds))
        return self.open(envelope, sealing.get("purpose", "HOLDER"))

    async def refusal(self, asked: exchange_pb2.Import | None = None) -> str:
        """Why one import was refused; fails where it was not, or the door was asked."""
        (answer,) = await self.convert(asked or self.ask())
        assert answer.WhichOneof("result") == "refusal", answer.WhichOneof("result")
        return exchange_pb2.ImportRefusal.Name(answer.refusal).removeprefix("IMPORT_REFUSAL_")
