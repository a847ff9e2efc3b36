"""The ``http`` form of a connector, as values; the format stands in ``connectors``.

:mod:`adapters.sdk.http_spec_reader` reads it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.codes.documents import DocumentType
    from gateway.codes.levels import Outcome

PLACEHOLDER: Final = re.compile(r"\{([a-z_]+)(?::([A-Za-z0-9_.-]+))?\}", re.ASCII)

REPORT_TEXTS: Final = ("state", "issued_by", "reason", "rule", "scope", "area")
"""Members of a report that are text."""
REPORT_TIMES: Final = (
    "assessed_at",
    "source_at",
    "valid_until",
    "declared_at",
    "declaration_valid_until",
    "negative_test_at",
)
"""Members of a report that are moments."""

FieldValue: TypeAlias = "str | Mapping[str, FieldValue]"
"""A field of a request: a template, or fields inside it."""


class Method(StrEnum):
    """HTTP methods that a platform is asked with."""

    GET = "GET"
    POST = "POST"


class Send(StrEnum):
    """Where the fields of a request travel."""

    JSON = "json"
    FORM = "form"
    QUERY = "query"


class AuthKind(StrEnum):
    """How the platform knows the adapter."""

    HEADER = "header"
    BASIC = "basic"
    SIGNED = "signed"


class Algorithm(StrEnum):
    """What a signed request is signed with; all three were seen deployed."""

    MD5 = "md5"
    SHA256 = "sha256"
    HMAC_SHA256 = "hmac-sha256"


@dataclass(frozen=True, slots=True)
class Auth:
    """How the platform knows the adapter; unused members are empty."""

    kind: AuthKind
    name: str = ""
    prefix: str = ""
    user: str = ""
    secret: str = field(default="", repr=False)  # the name of the secret, not the secret
    fields: Mapping[str, str] = field(default_factory=dict)
    algorithm: Algorithm = Algorithm.SHA256
    over: str = ""
    key: str = ""
    sign: str = ""
    upper: bool = False


@dataclass(frozen=True, slots=True)
class Ask:
    """One kind of request."""

    method: Method
    path: str
    send: Send
    idempotent: bool
    fields: Mapping[str, FieldValue]
    document_types: Mapping[int, str] | None


@dataclass(frozen=True, slots=True)
class CodeCheck:
    """The platform's own return code at one level of its envelopes."""

    path: tuple[str, ...]
    ok: tuple[str, ...]
    outcomes: Mapping[str, Outcome]
    retry_after_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class Flag:
    """A member whose value is an outcome."""

    path: tuple[str, ...]
    value: Any
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Member:
    """Where one member of a report is found, and how it is read.

    Attributes:
        path: where; None: it is ``value``, or ``join`` says.
        value: the same for every record.
        map: the platform's words to ours; another word is unreadable.
        time: how a moment is written.
        zone: of a moment without one; None: the scheme's.
        pad: digits that a shorter division is filled up to with zeros.
        join: parts that make the text together, those that are absent left out.
        separator: stands between the parts.
    """

    path: tuple[str, ...] | None
    value: str | None = None
    map: Mapping[str, str] | None = None
    time: str | None = None
    zone: str | None = None
    pad: int | None = None
    join: tuple[Member, ...] = ()
    separator: str = ""


@dataclass(frozen=True, slots=True)
class StarMember:
    """Whether a place is starred: the words for yes and, where named, for no."""

    path: tuple[str, ...]
    yes: str | bool
    no: str | bool | None


@dataclass(frozen=True, slots=True)
class ItineraryMember:
    """Where the places of a record are found."""

    records: tuple[str, ...]
    division: Member
    starred: StarMember | None
    window_days: Member
    as_of: Member


@dataclass(frozen=True, slots=True)
class SubjectMember:
    """Where a record says whose it is."""

    path: tuple[str, ...]
    document_type: DocumentType


@dataclass(frozen=True, slots=True)
class ImportCode:
    """A return code at the import door; any word that is not listed is a failure."""

    path: tuple[str, ...]
    ok: tuple[str, ...]
    own_record: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ImportAsk:
    """How a converted code is entered, and where the new QR text stands.

    Attributes:
        ask: the request.
        times: how moments are written into it.
        zone: of the moments; None: the scheme's.
        json_strings: as in :class:`HttpSpec`.
        codes: outermost first.
        own_record_statuses: HTTP statuses that say the same as ``own_record``.
        qr_text: where the QR text stands.
        valid_until: where the platform states an end; None: it does not.
    """

    ask: Ask
    times: str
    zone: str | None
    json_strings: tuple[tuple[str, ...], ...]
    codes: tuple[ImportCode, ...]
    own_record_statuses: tuple[int, ...]
    qr_text: tuple[str, ...]
    valid_until: Member | None


@dataclass(frozen=True, slots=True)
class HttpSpec:
    """The whole form.

    Attributes:
        auth: how the platform knows the adapter; None: it asks for nothing.
        ask: request of each kind of presentation.
        import_ask: enters converted codes; None: the platform takes none.
        statuses: HTTP statuses that are outcomes.
        json_strings: members that hold JSON as text, outermost first.
        codes: return codes, outermost first.
        flags: members whose value is an outcome.
        records: where the records stand; empty: the answer is the record.
        same_person: records that differ here are of several people.
        subject: where a record says whose it is; None: it does not.
        report: member of a report to where it is found.
        itinerary: where places are found; None: the platform tells none.
        secret_names: secrets that the form names.
    """

    auth: Auth | None
    ask: Mapping[str, Ask]
    import_ask: ImportAsk | None
    statuses: Mapping[int, Outcome]
    json_strings: tuple[tuple[str, ...], ...]
    codes: tuple[CodeCheck, ...]
    flags: tuple[Flag, ...]
    records: tuple[str, ...]
    same_person: tuple[str, ...] | None
    subject: SubjectMember | None
    report: Mapping[str, Member]
    itinerary: ItineraryMember | None
    secret_names: frozenset[str]
