"""What an answer about a person costs, done for nobody where there is nothing to attest.

A hub sees how long an answer takes. An outcome ends early: nothing is translated, stated,
written or signed for it. So an adapter does the rest all the same, with the very code that
does it for a person and a synthetic code of its own scheme (one of its vectors), and throws
the result away::

    fetch                     translate       claims, ledger         signature
    no record: read           translate       state for nobody       sign
    one of nobody             a vector        (an entry of nobody)

A carried question about somebody unknown therefore takes an entry of a status list too, as
a decoy takes one (HT-STS-16), and waits for the disk. What a platform itself takes longer
for is its own; so is what a connector in Python does that offers no ``read_stand_in``.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

from adapters.sdk.issued import NOBODY
from adapters.sdk.reports import LocalReport, OutcomeReport
from adapters.sdk.translation import translate
from gateway.attestation.sd_jwt import Draft
from gateway.codes.unified import UnifiedCode
from gateway.wire.interceptors import report_incident

if TYPE_CHECKING:
    from collections.abc import Callable

    from adapters.sdk.attest import Attester, Issuance
    from gateway.attestation.sd_jwt import Disclosure
    from gateway.codes.scheme_model import Scheme, Vector

_ENDLESS: Final = datetime(9999, 12, 31, tzinfo=UTC)
"""End of a code that no clock of its own ends."""
_NOTHING: Final = Draft(b"{}".ljust(640))
"""As long as an ordinary payload: signed where a scheme has no vector with a level."""


@runtime_checkable
class StandInReader(Protocol):
    """A connector that can read a record of nobody."""

    def read_stand_in(self) -> None:
        """Do what reading one person's record costs; nothing comes of it."""
        ...


class Nobody:
    """See the module. Nothing here raises: it must not cost anybody an answer.

    Args:
        scheme: the city's scheme.
        connector: reads an answer about nobody, where it can.
        attester: states and signs.
        prefixes: divisions that it may speak for.
    """

    def __init__(
        self, scheme: Scheme, connector: object, attester: Attester, prefixes: tuple[str, ...]
    ) -> None:
        self._scheme = scheme
        self._attester = attester
        self._reader = connector if isinstance(connector, StandInReader) else None
        self._vector = _example(scheme)
        self._reports: tuple[LocalReport, ...] = ()
        self._code: UnifiedCode | None = None
        if self._vector is not None:
            self._reports = tuple(LocalReport(**report) for report in self._vector.reports)
            code = translate(scheme, self._reports, self._vector.at)
            if isinstance(code, UnifiedCode):
                self._code = _for_ever(code, prefixes)

    def read(self) -> None:
        """Read a record: the platform's answer held none."""
        if self._reader is not None:
            _quietly(self._reader.read_stand_in)

    def translate(self) -> None:
        """Translate a record."""
        vector = self._vector
        if vector is not None:
            _quietly(lambda: translate(self._scheme, self._reports, vector.at))

    def claims(
        self,
        nonce: bytes | None,
        issuance: Issuance,
        *,
        is_import: bool,
        disclosure: Disclosure | None,
    ) -> Draft:
        """State a code, with an entry of a status list where it is carried; see the attester."""
        drafts = [_NOTHING]

        def work() -> None:
            if self._code is None:
                return
            payload = self._attester.claims(
                self._code, NOBODY, nonce, issuance, is_import=is_import
            )
            if isinstance(payload, OutcomeReport):
                return
            draft = (
                Draft(payload)
                # An import is whole whatever was asked for: to ask for a part is refused.
                if disclosure is None or is_import
                else self._attester.in_part(payload, disclosure, self._code)
            )
            if isinstance(draft, Draft):
                drafts.append(draft)

        _quietly(work)
        return drafts[-1]


def _example(scheme: Scheme) -> Vector | None:
    """The first vector of one record that is a level."""
    for vector in scheme.vectors:
        if vector.level is not None and len(vector.reports) == 1:
            return vector
    return None


def _for_ever(code: UnifiedCode, prefixes: tuple[str, ...]) -> UnifiedCode:
    """The code as this authority may state it at any time."""
    return replace(
        code,
        issued_by=prefixes[0].ljust(6, "0"),
        valid_until=None if code.valid_until is None else _ENDLESS,
        declaration_valid_until=None if code.declaration_valid_until is None else _ENDLESS,
    )


def _quietly(work: Callable[[], object]) -> None:
    try:
        work()
    except Exception as error:  # noqa: BLE001 - a defect here is nobody's
        report_incident(error, step="nobody")
