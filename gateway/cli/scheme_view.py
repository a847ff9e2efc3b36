"""How a scheme is shown: as a page for people, as JSON for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.text import Text

from gateway.cli.scheme_look import block, facts, heading, result_text, table
from gateway.cli.scheme_words import clock_words, import_words, span
from gateway.cli.terminal import console
from gateway.codes.divisions import DivisionError, division_name
from gateway.codes.levels import Level

if TYPE_CHECKING:
    from datetime import datetime

    from gateway.cli.scheme_files import City
    from gateway.codes.scheme_model import Clocks, Life, Scheme, SchemeVersion, StateRule


def scheme_json(city: City, versions: list[SchemeVersion]) -> dict[str, Any]:
    """Return everything a scheme says, JSON-able."""
    scheme = city.scheme
    return {
        "city": city.name,
        "family": scheme.family,
        "authority": scheme.authority,
        "prefixes": list(scheme.prefixes),
        "name": {"zh": scheme.name_zh, "en": scheme.name_en},
        "timezone": scheme.timezone.key,
        "versions": [version_json(version) for version in versions],
        "sources": [
            {"key": source.key, "grade": source.grade, "text": source.text}
            for source in scheme.sources
        ],
    }


def version_json(version: SchemeVersion) -> dict[str, Any]:
    """Return everything a version says, JSON-able."""
    rule = version.import_rule
    return {
        "id": version.id,
        "valid_from": version.valid_from.isoformat(),
        "valid_until": version.valid_until.isoformat() if version.valid_until else None,
        "evidence": list(version.evidence),
        "states": [_state_json(state) for state in version.states.values()],
        "clocks": _clocks_json(version.clocks),
        "scopes": sorted(version.scopes) if version.scopes is not None else None,
        "reasons": [
            {"contains": hint.contains, "basis": sorted(hint.basis)} for hint in version.reasons
        ],
        "qr": [
            {"pattern": p.pattern, "region": p.region, "presentation": p.presentation}
            for p in version.qr_patterns
        ],
        "foreign": str(version.foreign) if version.foreign else None,
        "import": None
        if rule is None
        else {
            "levels": sorted(rule.levels),
            "origins": rule.origins,
            "schemes": rule.schemes,
            "max_age_seconds": rule.max_age_seconds,
            "negative_test_max_age_seconds": rule.negative_test_max_age_seconds,
            "answers_must_be_no": rule.answers_must_be_no,
            "life_seconds": rule.life_seconds,
            "state": rule.state,
        },
        "lost": None
        if version.lost is None
        else [{"zh": loss.zh, "en": loss.en} for loss in version.lost],
        "choices": [{"what": choice.what, "why": choice.why} for choice in version.choices],
    }


def _state_json(rule: StateRule) -> dict[str, Any]:
    return {
        "state": rule.state,
        "result": str(rule.level or rule.outcome),
        "basis": sorted(rule.basis),
        "meaning": {"zh": rule.meaning_zh, "en": rule.meaning_en},
        "release": {
            "days": rule.release_days_needed,
            "zh": rule.release_zh,
            "en": rule.release_en,
        },
        "evidence": list(rule.evidence),
        "vectors": list(rule.vectors),
    }


def _clocks_json(clocks: Clocks) -> dict[str, Any]:
    def life(one: Life | None) -> dict[str, Any] | None:
        if one is None:
            return None
        length = {"life": "end_of_day"} if one.seconds is None else {"life_seconds": one.seconds}
        return {**length, "from": one.start.value}

    return {
        "code": life(clocks.code),
        "declaration": life(clocks.declaration),
        "source_max_age_seconds": clocks.source_max_age_seconds,
        "future_leeway_seconds": clocks.future_leeway_seconds,
        "carried_max_seconds": clocks.carried_max_seconds,
        "required": sorted(clocks.required),
    }


def print_scheme(city: City, versions: list[SchemeVersion], now: datetime) -> None:
    """Print a scheme as the officer of another city reads it."""
    scheme = city.scheme
    console.print(
        Text.assemble(
            (scheme.name_zh, "bold"),
            " · ",
            (scheme.name_en, "bold"),
            (f"   {scheme.family}   {_authority(scheme)}", "dim"),
        ),
        soft_wrap=True,
    )
    for version in versions:
        print_version(city, version, now)
    _print_sources(scheme, versions)


def print_version(city: City, version: SchemeVersion, now: datetime) -> None:
    """Print a version: states, clocks, QR texts, what is lost, what was chosen."""
    force = "in force" if version.in_force(now) else ""
    line = f"scheme.yaml:{city.version_line(version)}"
    heading(version.id, span(version, city.scheme.timezone), *filter(None, (force,)), line)
    states = table("state", "means", "back to green", "evidence")
    states.leading = 1
    states.columns[0].no_wrap = True
    states.columns[2].ratio = 2
    states.columns[1].ratio = 3
    for rule in version.states.values():
        result = str(rule.level or rule.outcome)
        states.add_row(
            Text.assemble(block(result), (rule.state, "bold"), "\n", _short(result)),
            f"{rule.meaning_zh}\n{rule.meaning_en}",
            way_back(rule),
            Text(" ".join(rule.evidence), style="dim"),
        )
    console.print(states)
    facts("clocks", [f"{name} {words}" for name, words in clock_words(version.clocks)])
    facts("QR", [Text(f"{p.pattern} → {p.region}") for p in version.qr_patterns] or ["none"])
    if version.scopes is not None:
        facts("scopes", [", ".join(sorted(version.scopes))])
    if version.reasons:
        words = [f"{hint.contains} → {' '.join(sorted(hint.basis))}" for hint in version.reasons]
        facts("free text", [", ".join(words)])
    if version.foreign is not None:
        facts("foreign", [str(version.foreign)])
    if version.import_rule is not None:
        facts("imports", [import_words(version.import_rule)])
    if version.lost is not None:
        facts("lost", [f"{loss.zh} · {loss.en}" for loss in version.lost] or ["nothing"])
    facts(
        "chosen",
        [Text.assemble(choice.what, (f" ({choice.why})", "dim")) for choice in version.choices],
    )


def way_back(rule: StateRule) -> str:
    """The way back to green, in both languages; a dash where there is none to go."""
    days = f"{rule.release_days_needed} d" if rule.release_days_needed else ""
    parts = [part for part in (days, rule.release_zh, rule.release_en) if part]
    if not parts:
        return "—" if rule.level in (None, Level.GREEN) else "未知\nunknown"
    return "\n".join(parts)


def _short(result: str) -> Text:
    """The word of a level or an outcome, under its state."""
    return Text("  ") + result_text(result)[2:]


def _authority(scheme: Scheme) -> str:
    try:
        name = f" {division_name(scheme.authority)}"
    except DivisionError:
        name = ""
    return f"{scheme.authority}{name}, for {' '.join(scheme.prefixes)}"


def _print_sources(scheme: Scheme, versions: list[SchemeVersion]) -> None:
    used = {key for version in versions for key in version.evidence}
    used |= {key for one in versions for rule in one.states.values() for key in rule.evidence}
    shown = [source for source in scheme.sources if source.key in used]
    if shown:
        heading("Sources", "grade in brackets")
        for source in shown:
            facts(f"{source.key} ({source.grade})", [source.text])
