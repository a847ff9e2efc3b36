"""What a checkpoint refuses on its own, before or beside the federation.

Faults of the wire stay what they are (``gateway.wire.errors.RpcFailure``), and
so do faults of signatures (``TrustError``); this module adds only what the edge
itself finds::

    CallerError
    ├── PresentationError     what the traveller shows cannot be used
    │   └── AmbiguousPresentationError   several schemes recognise it: ask back
    ├── ConversionError       a name or an answer that a conversion needs is missing
    ├── ImageError            the picture holds no readable code
    ├── ManifestError         the batch file cannot be accepted; knows its line
    └── SettingsError         checkpoint.toml; knows how to mend it
    TrustError
    └── ReplicaError          no usable replica of the feed (of gateway.wire)

No message repeats what was presented.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.errors import CallerError
from gateway.wire.replica_store import ReplicaError as ReplicaError


class PresentationError(CallerError):
    """What the traveller shows cannot be used.

    Codes: PRESENTATION_MALFORMED, PRESENTATION_TOO_LONG,
    PRESENTATION_UNRECOGNISED, ORIGIN_REQUIRED, ORIGIN_NOT_SERVED.
    """

    default_code = "PRESENTATION_MALFORMED"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A region whose scheme recognises the presentation.

    Attributes:
        region: six digits to ask with ``--from``.
        scheme: the dated scheme, for example ``hz-jkm@2020-02``.
        name_zh: Chinese name of the scheme.
        name_en: English name of the scheme.
    """

    region: str
    scheme: str
    name_zh: str
    name_en: str


class AmbiguousPresentationError(PresentationError):
    """Several schemes recognise the text; a person must say where it is from."""

    default_code = "AMBIGUOUS_PRESENTATION"

    def __init__(self, candidates: tuple[Candidate, ...]) -> None:
        names = ", ".join(f"{c.name_zh} {c.name_en} ({c.region})" for c in candidates)
        super().__init__(f"several schemes recognise this code: {names}")
        self.candidates = candidates


class ConversionError(CallerError):
    """A name or an answer that a conversion needs is missing."""

    default_code = "CONVERSION_INCOMPLETE"


class ImageError(CallerError):
    """The picture holds no readable code.

    Codes: IMAGE_TOO_LARGE, IMAGE_UNREADABLE, IMAGE_NO_CODE, IMAGE_SEVERAL_CODES.
    """

    default_code = "IMAGE_UNREADABLE"


class ManifestError(CallerError):
    """The batch file cannot be accepted as a whole.

    Codes: MANIFEST_TOO_LARGE, MANIFEST_ENCODING, MANIFEST_HEADER,
    MANIFEST_DUPLICATE_COLUMN, MANIFEST_MALFORMED, MANIFEST_DUPLICATE_REF,
    MANIFEST_EMPTY, RESULTS_MISMATCH.

    Attributes:
        line: line of the file, from 1; None where no line can be named.
    """

    default_code = "MANIFEST_MALFORMED"

    def __init__(self, message: str, *, code: str | None = None, line: int | None = None) -> None:
        super().__init__(message if line is None else f"line {line}: {message}", code=code)
        self.line = line


class SettingsError(CallerError):
    """checkpoint.toml, or a file that it names, cannot be used."""

    default_code = "SETTINGS_INVALID"
