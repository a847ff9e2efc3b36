"""The order of one issuer's files: none twice, none back, none silently missing.

Pure. A file is a whole list, not a change to one, so a missing file costs no record;
it is refused all the same until a person says that the gap is known, because a file
held back on its way looks exactly like one that was never made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.catalogue.errors import CatalogueError, CatalogueFault

if TYPE_CHECKING:
    from datetime import date

    from gateway.catalogue.header import SignedHeader


@dataclass(frozen=True, slots=True)
class LastTaken:
    """The newest file taken of one issuer, audience and kind.

    Attributes:
        sequence: its number.
        digest: of its header.
        day: that it stands for.
    """

    sequence: int
    digest: str
    day: date


def is_repeat(signed: SignedHeader, last: LastTaken | None) -> bool:
    """Whether the file is the newest one taken, once more."""
    return last is not None and last.digest == signed.digest


def check_order(signed: SignedHeader, last: LastTaken | None, *, allow_gap: bool) -> None:
    """Refuses a file that does not follow what was taken before.

    Args:
        signed: a verified header, not a repeat.
        last: the newest taken; None: this is the first of its issuer.
        allow_gap: a person knows that files between are missing.

    Raises:
        CatalogueError: CATALOGUE_ROLLED_BACK, CATALOGUE_FORKED or CATALOGUE_GAP.
    """
    header = signed.header
    if last is None:
        return  # whoever joins late does not have the first one
    if header.sequence < last.sequence or header.day < last.day:
        raise CatalogueError(
            f"file {last.sequence} of {last.day} was taken already; this is file "
            f"{header.sequence} of {header.day}",
            code=CatalogueFault.CATALOGUE_ROLLED_BACK,
        )
    if header.sequence == last.sequence or (
        header.sequence == last.sequence + 1 and header.previous != last.digest
    ):
        raise CatalogueError(
            f"it does not follow file {last.sequence} that was taken: its issuer made two",
            code=CatalogueFault.CATALOGUE_FORKED,
            fix="ask the issuer which of the two it stands by",
        )
    if header.sequence > last.sequence + 1 and not allow_gap:
        raise CatalogueError(
            f"files {last.sequence + 1} to {header.sequence - 1} are missing",
            code=CatalogueFault.CATALOGUE_GAP,
            fix="take them first, or say that they are lost with --allow-gap",
        )
