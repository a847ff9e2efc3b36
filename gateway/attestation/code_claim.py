"""The ``code`` claim: a unified code as JSON, field names those of ``hutong.v1``.

Times are integer seconds since the epoch, what is unknown is left out, and a
report in ``also`` has the members of the first but no ``also`` of its own.

Three steps, so that a reader pays only for what it uses: the types of the
structs refuse what is malformed while the JSON is parsed, ``check_code`` refuses
the rest, and ``read_code`` makes the value, which then cannot fail.
"""

from __future__ import annotations

import re
from dataclasses import fields, make_dataclass, replace
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Annotated, Any, Final, TypeVar, cast

import msgspec
from msgspec import UNSET, Meta, UnsetType

from gateway.attestation.errors import AttestationError, AttestationFault
from gateway.attestation.in_form import MAX_REMEMBERED, InForm
from gateway.codes.levels import Basis, Level, TriState
from gateway.codes.unified import (
    MAX_ALSO,
    Declarations,
    Release,
    UnifiedCode,
    UnifiedCodeError,
)

LAST_SECOND: Final = 253_402_300_799
"""The last second a datetime can hold; beyond it a reader would overflow."""
Seconds = Annotated[int, Meta(ge=0, le=LAST_SECOND)]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_SECONDS: Final = 86_400
# As `UnifiedCode.scheme` in code.proto.
_SCHEME: Final = re.compile(r"[a-z][a-z0-9-]{1,31}@[0-9a-z][0-9a-z.-]{0,31}", re.ASCII)
_DIVISION: Final = re.compile(r"[0-9]{6}", re.ASCII)
# Asking the class of an enumeration for a member costs more than the check does.
_ABSENT: Final = TriState.ABSENT


class _Release(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    days_done: Annotated[int, Meta(ge=0, le=366)]
    days_needed: Annotated[int, Meta(ge=1, le=366)]


class _Declarations(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    contact: TriState | UnsetType = UNSET
    risk_area: TriState | UnsetType = UNSET
    overseas: TriState | UnsetType = UNSET


class ReportClaim(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """One report, members in the order of ``UnifiedCode``."""

    level: Level
    scheme: str
    state: Annotated[str, Meta(min_length=1, max_length=64)]
    assessed_at: Seconds
    source_at: Seconds
    issued_by: str
    basis: Annotated[tuple[Basis, ...], Meta(min_length=1, max_length=6)] | UnsetType = UNSET
    valid_until: Seconds | UnsetType = UNSET
    declared_at: Seconds | UnsetType = UNSET
    declaration_valid_until: Seconds | UnsetType = UNSET
    release: _Release | UnsetType = UNSET
    area: str | UnsetType = UNSET
    declarations: _Declarations | UnsetType = UNSET
    rule: Annotated[str, Meta(min_length=1, max_length=64)] | UnsetType = UNSET
    negative_test_at: Seconds | UnsetType = UNSET


class CodeClaim(ReportClaim, forbid_unknown_fields=True, gc=False):
    """The first report, and the others."""

    also: (
        Annotated[tuple[ReportClaim, ...], Meta(min_length=1, max_length=MAX_ALSO)] | UnsetType
    ) = UNSET


_R = TypeVar("_R", bound=ReportClaim)
_NO_BASIS: Final[frozenset[Basis]] = frozenset()


def to_seconds(moment: datetime) -> int:
    """Returns seconds since the epoch, fractions dropped.

    In integers throughout: half the price of ``timestamp()``, which goes through a
    floating-point number.
    """
    since = moment - _EPOCH
    return since.days * _DAY_SECONDS + since.seconds


def write_code(code: UnifiedCode) -> CodeClaim:
    """Writes a unified code, which has checked itself."""
    claim = _write_report(CodeClaim, code)
    if code.also:
        claim.also = tuple(_write_report(ReportClaim, other) for other in code.also)
    return claim


def check_code(claim: CodeClaim, expires: int) -> None:
    """Checks what the types do not say.

    Args:
        claim: as parsed.
        expires: ``exp`` of the attestation, seconds since the epoch.

    Raises:
        AttestationError: ``CLAIMS_INVALID``, or ``LIFETIME_TOO_LONG`` when the
            attestation would outlive a report.
    """
    also = claim.also
    try:
        _check_report(claim, expires)
        if also is not UNSET:
            for other in also:
                _check_report(other, expires)
            # What reports must be beside each other is checked on construction.
            read_code(claim)
    except (ValueError, UnifiedCodeError):
        raise AttestationError(
            "the code breaks an invariant", code=AttestationFault.CLAIMS_INVALID
        ) from None


def read_code(claim: CodeClaim) -> UnifiedCode:
    """Makes the value of a checked claim."""
    code = _read_report(claim)
    if claim.also is UNSET:
        return code
    return replace(code, also=tuple(map(_read_report, claim.also)))


def outlived() -> AttestationError:
    """An attestation may not say more than its reports still hold."""
    return AttestationError(
        "exp lies after the end of a report", code=AttestationFault.LIFETIME_TOO_LONG
    )


def _check_scheme(text: str) -> None:
    if not _SCHEME.fullmatch(text):
        raise ValueError("not the name of a scheme")


def _check_division(text: str) -> None:
    if not _DIVISION.fullmatch(text):
        raise ValueError("not a division")


def _check_basis(basis: tuple[Basis, ...]) -> None:
    if len(_read_basis(basis)) != len(basis):
        raise ValueError("a basis is named twice")


_SCHEMES: Final = InForm(_check_scheme)
_DIVISIONS: Final = InForm(_check_division)
_BASES: Final = InForm(_check_basis)


def _check_report(report: ReportClaim, expires: int) -> None:
    scheme, issued_by, area = report.scheme, report.issued_by, report.area
    if scheme not in _SCHEMES:
        _SCHEMES.learn(scheme)
    if issued_by not in _DIVISIONS:
        _DIVISIONS.learn(issued_by)
    if area is not UNSET and area not in _DIVISIONS:
        _DIVISIONS.learn(area)
    valid_until, basis, declarations = report.valid_until, report.basis, report.declarations
    if valid_until is not UNSET and expires > valid_until:
        raise outlived()
    if basis is not UNSET and basis not in _BASES:
        _BASES.learn(basis)
    if declarations is not UNSET and (
        declarations.contact is _ABSENT
        or declarations.risk_area is _ABSENT
        or declarations.overseas is _ABSENT
    ):
        raise ValueError("what is absent is left out")


def _write_report(kind: type[_R], code: UnifiedCode) -> _R:
    release, declarations = code.release, code.declarations
    valid_until, declared_at = code.valid_until, code.declared_at
    declaration_end, test_at = code.declaration_valid_until, code.negative_test_at
    return kind(
        code.level,
        code.scheme,
        code.state,
        to_seconds(code.assessed_at),
        to_seconds(code.source_at),
        code.issued_by,
        _write_basis(code.basis) if code.basis else UNSET,
        UNSET if valid_until is None else to_seconds(valid_until),
        UNSET if declared_at is None else to_seconds(declared_at),
        UNSET if declaration_end is None else to_seconds(declaration_end),
        UNSET if release is None else _Release(release.days_done, release.days_needed),
        UNSET if code.area is None else code.area,
        UNSET
        if declarations is None
        else _write_declarations(
            declarations.contact, declarations.risk_area, declarations.overseas
        ),
        UNSET if code.rule is None else code.rule,
        UNSET if test_at is None else to_seconds(test_at),
    )


def _read_report(claim: ReportClaim) -> UnifiedCode:
    release, declarations = claim.release, claim.declarations
    code = _UncheckedCode(
        claim.level,
        claim.scheme,
        claim.state,
        datetime.fromtimestamp(claim.assessed_at, UTC),
        datetime.fromtimestamp(claim.source_at, UTC),
        claim.issued_by,
        _NO_BASIS if claim.basis is UNSET else _read_basis(claim.basis),
        _moment(claim.valid_until),
        _moment(claim.declared_at),
        _moment(claim.declaration_valid_until),
        None if release is UNSET else Release(release.days_done, release.days_needed),
        None if claim.area is UNSET else claim.area,
        None if declarations is UNSET else _read_declarations(declarations),
        None if claim.rule is UNSET else claim.rule,
        _moment(claim.negative_test_at),
        (),
    )
    code.__class__ = UnifiedCode
    return cast("UnifiedCode", code)


def unchecked(kind: type[Any]) -> Any:
    """Makes a class with the slots of ``kind`` and neither its guard nor its checks.

    A frozen dataclass fills its members one by one through a guard and then checks
    its invariants. For what was parsed and checked here they hold already (property
    tests hold that they do), and doing both twice is a twentieth of a verification.
    So a value is filled in this class and then given its own by assigning
    ``__class__``, which the language allows exactly when the slots are the same.

    Args:
        kind: a dataclass with slots.
    """
    members = [(member.name, object) for member in fields(kind)]
    return make_dataclass(f"_Unchecked{kind.__name__}", members, slots=True)


_UncheckedCode: Final = unchecked(UnifiedCode)


def _moment(seconds: int | UnsetType) -> datetime | None:
    return None if seconds is UNSET else datetime.fromtimestamp(seconds, UTC)


# Few sets of bases exist (2**6), all in all; every report shares them.
@cache
def _write_basis(basis: frozenset[Basis]) -> tuple[Basis, ...]:
    return tuple(sorted(basis))


@lru_cache(MAX_REMEMBERED)
def _read_basis(basis: tuple[Basis, ...]) -> frozenset[Basis]:
    return frozenset(basis)


# Likewise few triples of answers (4**3). The result is shared and never changed.
@cache
def _write_declarations(
    contact: TriState, risk_area: TriState, overseas: TriState
) -> _Declarations:
    return _Declarations(
        UNSET if contact is _ABSENT else contact,
        UNSET if risk_area is _ABSENT else risk_area,
        UNSET if overseas is _ABSENT else overseas,
    )


def _read_declarations(claim: _Declarations) -> Declarations:
    contact, risk_area, overseas = claim.contact, claim.risk_area, claim.overseas
    return Declarations(
        _ABSENT if contact is UNSET else contact,
        _ABSENT if risk_area is UNSET else risk_area,
        _ABSENT if overseas is UNSET else overseas,
    )
