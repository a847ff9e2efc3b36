"""Two regions, a source in memory, and files made for one by the other. All synthetic."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from adapters.platforms.people import Population
from gateway.attestation import base64url
from gateway.catalogue import (
    CatalogueHeader,
    CatalogueKind,
    CatalogueRow,
    CatalogueSourceError,
    ReasonClass,
    SourcePage,
    SourceRecord,
    encode_row,
    shanghai_day,
    sign_header,
)
from gateway.catalogue.exporting import ExportOrder
from gateway.catalogue.importing import import_file
from gateway.catalogue.judging import Reader, Taken
from gateway.catalogue.ledger import Ledger
from gateway.catalogue.report import Report
from gateway.codes import Basis, Level, UnifiedCode, parse_document, region_urn
from gateway.trust import KeyUse
from tests.edge.world import scheme_document
from tests.trust.simulator import FederationSimulator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from pathlib import Path

    from gateway.catalogue.counts import CountKey
    from gateway.catalogue.store import CatalogueStore

NOON = datetime(2020, 6, 1, 4, 0, tzinfo=UTC)
"""12:00 of 1 June in Shanghai."""
ISSUER = region_urn("330100")
AUDIENCE = region_urn("440100")
FOREIGN = region_urn("440300")
SECRET = hashlib.sha256(b"synthetic pseudonym secret").digest()
CORRECTION = "杭州 12345"
SCHEME = "hz-jkm@2020-02"

PEOPLE = Population(("330102",), size=5_000, seed=1)


def sub(number: int) -> str:
    """The pseudonym of a made-up person."""
    return base64url.encode(hashlib.sha256(f"person {number}".encode()).digest())


def row(number: int = 0, **changes: Any) -> CatalogueRow:
    one = CatalogueRow(
        sub=sub(number),
        level="RED",
        scheme=SCHEME,
        state="红码",
        basis=(Basis.CONTACT,),
        reason=ReasonClass.CONTACT,
        assessed_at=NOON - timedelta(hours=3),
        source_at=NOON - timedelta(hours=2),
        issued_by="330100",
        area="330106",
    )
    return replace(one, **changes)


def code(**changes: Any) -> UnifiedCode:
    one = UnifiedCode(
        level=Level.RED,
        scheme=SCHEME,
        state="红码",
        assessed_at=NOON - timedelta(hours=3),
        source_at=NOON - timedelta(hours=2),
        issued_by="330100",
        basis=frozenset({Basis.CONTACT}),
    )
    return replace(one, **changes)


def record(number: int = 0, **changes: Any) -> SourceRecord:
    return SourceRecord(parse_document(10, PEOPLE.person(number).number), code(**changes))


@dataclass
class MemorySource:
    """Gives records in pages; stops before a page where it is told to."""

    records: list[SourceRecord]
    page_rows: int = 3
    outcomes: dict[CountKey, int] = field(default_factory=dict)
    fails_at: int | None = None
    taken_at: datetime = NOON
    asked: list[str | None] = field(default_factory=list)

    async def pages(self, after: str | None) -> AsyncIterator[SourcePage]:
        start = int(after or 0)
        self.asked.append(after)
        while True:
            if self.fails_at is not None and start >= self.fails_at:
                raise CatalogueSourceError("synthetic failure")
            end = start + self.page_rows
            is_last = end >= len(self.records)
            yield SourcePage(
                tuple(self.records[start:end]),
                self.outcomes if start == 0 else {},
                None if is_last else str(end),
                self.taken_at,
            )
            if is_last:
                return
            start = end


@dataclass
class Chain:
    """Makes one file after the other, each following the one before."""

    federation: FederationSimulator
    folder: Path
    sequence: int = 0
    previous: str | None = None

    def write(self, lines: Iterable[bytes], *, key: Any = None, **changes: Any) -> Path:
        content = b"".join(lines)
        header = self.header(content, **changes)
        signing = self.federation.regions["330100"].signing[KeyUse.STATE] if key is None else key
        signed = sign_header(header, signing)
        self.sequence, self.previous = header.sequence, signed.digest
        path = self.folder / f"{header.sequence}-{secrets.token_hex(3)}.catalogue"
        path.write_bytes(signed.token.encode() + b"\n" + content)
        return path

    def header(self, content: bytes, **changes: Any) -> CatalogueHeader:
        made_at = changes.get("made_at", NOON)
        honest = CatalogueHeader(
            issuer=ISSUER,
            audience=AUDIENCE,
            made_at=made_at,
            kind=CatalogueKind.RECORDS,
            day=shanghai_day(changes.get("taken_at", made_at)),
            taken_at=made_at,
            sequence=self.sequence + 1,
            previous=self.previous,
            rows=content.count(b"\n"),
            size_bytes=len(content),
            digest=base64url.encode(hashlib.sha256(content).digest()),
            correction=CORRECTION,
        )
        return replace(honest, **changes)

    def rows(self, *rows: CatalogueRow, **changes: Any) -> Path:
        return self.write([encode_row(one) for one in rows], **changes)


@dataclass
class World:
    """Everything around one receiving region."""

    federation: FederationSimulator
    chain: Chain
    store: CatalogueStore
    folder: Path

    def reader(self, **changes: Any) -> Reader:
        bundle = self.federation.replica().bundle
        return replace(Reader(audience=AUDIENCE, bundle=bundle, now=NOON), **changes)

    async def take(self, path: Path, report: Path | None = None, **changes: Any) -> Taken:
        with Report(report) as written:
            return await import_file(path, self.store, self.reader(**changes), written)

    def order(self, **changes: Any) -> ExportOrder:
        return replace(
            ExportOrder(
                issuer=ISSUER,
                audience=AUDIENCE,
                correction=CORRECTION,
                key=self.federation.regions["330100"].signing[KeyUse.STATE],
                pseudonym_secret=SECRET,
                out=self.folder / "out.catalogue",
                ledger=Ledger(self.folder / "ledger.json"),
            ),
            **changes,
        )


def make_federation() -> FederationSimulator:
    federation = FederationSimulator(now=NOON - timedelta(days=30))
    federation.add_region("330100", name_zh="杭州市", name_en="Hangzhou")
    federation.add_region("440100", name_zh="广州市", name_en="Guangzhou")
    federation.add_region("440300", name_zh="深圳市", name_en="Shenzhen")
    federation.publish_scheme("330100", scheme_document("hangzhou"))
    federation.now = NOON
    return federation
