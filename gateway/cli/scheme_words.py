"""How moments, lengths and clocks of a scheme are worded, on screen and in documents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from gateway.codes.scheme_model import Clocks, ImportRule, Life, SchemeVersion

_UNITS: Final = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
_TWO: Final = 2
_ENTRY: Final = {
    "assessed_at": "assessment",
    "source_at": "the record's update",
    "declared_at": "declaration",
}


def duration(seconds: float) -> str:
    """Return a length in its two largest units: ``14 d``, ``1 d 12 h``."""
    left = round(seconds)
    parts: list[str] = []
    for size, unit in _UNITS:
        number, left = divmod(left, size)
        if number:
            parts.append(f"{number} {unit}")
    return " ".join(parts[:_TWO]) or "0 s"


def age(then: datetime, now: datetime) -> str:
    """Return how far a moment lies from now: ``3 h ago``, ``in 2 d``."""
    seconds = (now - then).total_seconds()
    return f"{duration(seconds)} ago" if seconds >= 0 else f"in {duration(-seconds)}"


def moment(at: datetime, zone: ZoneInfo) -> str:
    """Return a moment on the scheme's own clock; seconds only where there are any."""
    local = at.astimezone(zone)
    if (local.hour, local.minute, local.second) == (0, 0, 0):
        return f"{local:%Y-%m-%d} 00:00"
    return f"{local:%Y-%m-%d %H:%M:%S}" if local.second else f"{local:%Y-%m-%d %H:%M}"


def day(at: datetime, zone: ZoneInfo) -> str:
    """Return a bound of a version: the day alone where it begins at 00:00."""
    return moment(at, zone).removesuffix(" 00:00")


def span(version: SchemeVersion, zone: ZoneInfo) -> str:
    """Return when a version is in force; the end is exclusive."""
    start = day(version.valid_from, zone)
    if version.valid_until is None:
        return f"since {start}"
    return f"{start} to {day(version.valid_until, zone)}"


def life_words(life: Life | None) -> str:
    """Return how long something holds and from when."""
    if life is None:
        return "no end of its own"
    start = _ENTRY[life.start.value]
    if life.seconds is None:
        return f"until 24:00 of the day of {start}"
    return f"{duration(life.seconds)} from {start}"


def clock_words(clocks: Clocks) -> list[tuple[str, str]]:
    """Return every clock of a version as a name and what it says."""
    words = [("code holds", life_words(clocks.code))]
    if clocks.declaration is not None:
        words.append(("declaration", life_words(clocks.declaration)))
    oldest = clocks.source_max_age_seconds
    limit = "whatever its age" if oldest is None else f"up to {duration(oldest)} old"
    words.append(("record used", limit))
    words.append(("dates ahead", f"up to {clocks.future_leeway_seconds} s"))
    if clocks.required:
        words.append(("must state", ", ".join(sorted(clocks.required))))
    words.append(("carried", f"up to {duration(clocks.carried_max_seconds)}"))
    return words


def import_words(rule: ImportRule | None) -> str:
    """Return when another region's attestation becomes a local code."""
    if rule is None:
        return "never"
    parts = [
        f"{' '.join(sorted(rule.levels))} of {_prefixes(rule.origins)}",
        f"by {', '.join(rule.schemes)}" if rule.schemes else "",
        f"assessed within {duration(rule.max_age_seconds)}",
        ""
        if rule.negative_test_max_age_seconds is None
        else f"negative test within {duration(rule.negative_test_max_age_seconds)}",
        "every own answer no" if rule.answers_must_be_no else "",
        f"becomes {rule.state} for {duration(rule.life_seconds)}",
    ]
    return ", ".join(part for part in parts if part)


def _prefixes(origins: tuple[str, ...] | None) -> str:
    return "any other region" if origins is None else ", ".join(origins)
