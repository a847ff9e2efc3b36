"""Makes catalogues: reads a source to its end, signs what was read, gives it a name.

Bounded memory whatever the source holds; a run that ends early is taken up where it
stopped, on the same day; the file stands under its name whole or not at all. The
order of the last steps is: note the header in the draft, note it in the ledger, name
the file. A kill between any two of them leads to the same file when it is run again,
never to two files of one number.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.attestation import base64url, pseudonym
from gateway.catalogue.counts import (
    DEFAULT_THRESHOLD,
    MIN_THRESHOLD,
    CountKey,
    count_rows,
    encode_count,
)
from gateway.catalogue.documents import seal_document
from gateway.catalogue.draft import Draft, DraftState
from gateway.catalogue.errors import CatalogueError, CatalogueSourceError, CatalogueUseError
from gateway.catalogue.header import (
    CATALOGUE_TYPE,
    MAX_HEADER_BYTES,
    MAX_ROWS,
    CatalogueHeader,
    CatalogueKind,
    SignedHeader,
    read_header,
    shanghai_day,
    sign_header,
)
from gateway.catalogue.judging import tell_nobody
from gateway.catalogue.ledger import Ledger, lock
from gateway.catalogue.rows import CatalogueRow, encode_row, reason_class
from gateway.codes.levels import Level
from gateway.trust import jws
from gateway.wire.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from pathlib import Path

    from gateway.attestation import SealingPublicKey, SigningKey
    from gateway.catalogue.source import CatalogueSource, SourcePage, SourceRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOrder:
    """What to make.

    Attributes:
        issuer: URN of the region that speaks.
        audience: URN of the region it speaks to.
        correction: where a person asks the issuer to correct a record.
        key: the issuer's statement key.
        pseudonym_secret: the one its attestations are made with, at least 32 bytes.
        out: the file to be.
        ledger: what was made before.
        seal_to: the audience's encryption key, which makes the file identified; None:
            it is pseudonymous.
    """

    issuer: str
    audience: str
    correction: str
    key: SigningKey = field(repr=False)
    pseudonym_secret: bytes = field(repr=False)
    out: Path
    ledger: Ledger
    seal_to: SealingPublicKey | None = None

    def row(self, record: SourceRecord) -> CatalogueRow:
        """The row of a person, under the pseudonym that attestations for the audience carry."""
        document, code = record.document, record.code
        if code.level is Level.GREEN:
            raise CatalogueSourceError("the source gave a green record as one that is not")
        sub = pseudonym(self.pseudonym_secret, self.audience, int(document.type), document.number)
        sealed = None
        if self.seal_to is not None:
            sealed = seal_document(
                self.seal_to, document, issuer=self.issuer, audience=self.audience, sub=sub
            )
        return CatalogueRow(
            sub=sub,
            level=code.level,
            scheme=code.scheme,
            state=code.state,
            basis=tuple(sorted(code.basis)),
            reason=reason_class(code.basis),
            assessed_at=code.assessed_at,
            source_at=code.source_at,
            issued_by=code.issued_by,
            area=code.area,
            sealed=sealed,
        )


async def export_records(
    source: CatalogueSource,
    order: ExportOrder,
    *,
    clock: Callable[[], datetime],
    is_resumed: bool = True,
    allow_empty: bool = False,
    on_rows: Callable[[int], None] = tell_nobody,
) -> SignedHeader:
    """Make a file of records.

    Args:
        source: who is not green.
        order: what to make.
        clock: now, UTC.
        is_resumed: go on where an earlier run of the same day stopped.
        allow_empty: make a file without rows; else a source that gives nobody failed.
        on_rows: told how many rows there are, after each page.

    Raises:
        CatalogueSourceError: the source failed; run it again to go on.
        CatalogueUseError: another process makes the same file.
        OSError: a file cannot be written.
    """
    begin = DraftState(
        issuer=order.issuer,
        audience=order.audience,
        identified=order.seal_to is not None,
        taken_at=clock(),
    )
    order.out.parent.mkdir(parents=True, exist_ok=True)
    with (
        lock(order.out.with_name(order.out.name + ".part.lock"), wait=False),
        Draft(order.out, begin, is_resumed=is_resumed) as draft,
    ):
        on_rows(draft.state.rows)
        if not draft.state.is_complete:
            async for page in source.pages(draft.state.after):
                if draft.state.rows + len(page.records) > MAX_ROWS:
                    raise CatalogueUseError(f"more than {MAX_ROWS} people are not green")
                # The platform's clock may lag; what it read is not newer than either says.
                taken_at = min(draft.state.taken_at, page.taken_at)
                if shanghai_day(taken_at) != shanghai_day(draft.state.taken_at):
                    taken_at = draft.state.taken_at  # begun at midnight: the day stands
                draft.append(
                    (encode_row(order.row(record)) for record in page.records),
                    after=page.after,
                    taken_at=taken_at,
                )
                on_rows(draft.state.rows)
        if draft.state.rows == 0 and not allow_empty:
            draft.restart()
            raise CatalogueSourceError(
                "the source says that everybody is green",
                fix="if that is so, say --allow-empty",
            )
        return _publish(draft, order, clock())


def _publish(draft: Draft, order: ExportOrder, now: datetime) -> SignedHeader:
    state = draft.state
    with order.ledger.locked():
        signed = _noted(state.token, order)
        if signed is None:
            header = _header(
                order,
                CatalogueKind.RECORDS,
                now=now,
                taken_at=state.taken_at,
                size=(state.rows, state.size_bytes, draft.digest),
            )
            signed = sign_header(header, order.key)
            draft.sign(signed.token)
        order.ledger.note(signed)
    draft.publish(order.out, signed.token)
    return signed


def _noted(token: str | None, order: ExportOrder) -> SignedHeader | None:
    """The header that a killed run signed, where it is still the one to give away."""
    if token is None:
        return None
    try:
        parsed = jws.take_apart(token, typ=CATALOGUE_TYPE, max_bytes=MAX_HEADER_BYTES)
        signed = SignedHeader(read_header(parsed.claims()), token)
    except (jws.MalformedError, CatalogueError):
        return None
    last = order.ledger.last(order.audience, CatalogueKind.RECORDS)
    is_newest = last is not None and last.digest == signed.digest
    return signed if is_newest or order.ledger.follows(signed.header) else None


def _header(
    order: ExportOrder,
    kind: CatalogueKind,
    *,
    now: datetime,
    taken_at: datetime,
    size: tuple[int, int, str],
    threshold: int = 0,
) -> CatalogueHeader:
    last = order.ledger.last(order.audience, kind)
    rows, size_bytes, digest = size
    return CatalogueHeader(
        issuer=order.issuer,
        audience=order.audience,
        made_at=now,
        kind=kind,
        day=shanghai_day(taken_at),
        taken_at=taken_at,
        sequence=1 if last is None else last.sequence + 1,
        previous=None if last is None else last.digest,
        rows=rows,
        size_bytes=size_bytes,
        digest=digest,
        correction=order.correction,
        identified=order.seal_to is not None,
        threshold=threshold,
    )


def _counted(page: SourcePage) -> Iterator[CountKey]:
    for record in page.records:
        yield CountKey(record.code.issued_by, "level", record.code.level.value)


async def export_counts(
    source: CatalogueSource,
    order: ExportOrder,
    *,
    clock: Callable[[], datetime],
    threshold: int = DEFAULT_THRESHOLD,
    on_rows: Callable[[int], None] = tell_nobody,
) -> SignedHeader:
    """Make a file of counts.

    Args:
        source: who is not green, and how many have an outcome instead.
        order: what to make; identifies nobody, so ``seal_to`` is None.
        clock: now, UTC.
        threshold: numbers below it are not stated.
        on_rows: told how many people were counted, after each page.

    Raises:
        CatalogueSourceError: the source failed.
        CatalogueUseError: a threshold that hides nothing, or somebody is to be identified.
        OSError: a file cannot be written.
    """
    if threshold < MIN_THRESHOLD:
        raise CatalogueUseError(f"a threshold is at least {MIN_THRESHOLD}")
    if order.seal_to is not None:
        raise CatalogueUseError("counts identify nobody")
    taken_at = clock()
    numbers: Counter[CountKey] = Counter()
    people = 0
    async for page in source.pages(None):
        numbers.update(_counted(page))
        numbers.update(page.outcomes)
        people += len(page.records)
        on_rows(people)
    lines = [encode_count(row) for row in count_rows(numbers, threshold)]
    content = b"".join(lines)
    digest = base64url.encode(hashlib.sha256(content).digest())
    with order.ledger.locked():
        header = _header(
            order,
            CatalogueKind.COUNTS,
            now=clock(),
            taken_at=taken_at,
            size=(len(lines), len(content), digest),
            threshold=threshold,
        )
        signed = sign_header(header, order.key)
        order.ledger.note(signed)
    write_atomically(order.out, signed.token.encode("ascii") + b"\n" + content)
    return signed
