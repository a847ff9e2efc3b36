"""A destination's condition as a function: what it lets through holds every rule of it."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from adapters.sdk.conditions import LEEWAY, RULES, Conversion, first_refusal, own_record
from adapters.sdk.reports import OutcomeReport, Reports
from gateway.attestation import Attestation, AttestationUse
from gateway.codes.conversion import ImportRefusal
from gateway.codes.levels import RESTRICTIVENESS, Level, Outcome, TriState
from gateway.codes.scheme_model import ImportRule
from gateway.codes.unified import Declarations
from tests.adapters.sdk.import_world import NOW, URN, destination_scheme, green, held
from tests.codes.strategies import gather

VERSION = destination_scheme().version_at(NOW)
HOURS = st.integers(-3, 400).map(lambda hours: NOW - timedelta(hours=hours))
REPORTS = st.builds(
    green,
    level=st.sampled_from(Level),
    scheme=st.sampled_from(["gz-skm@v2", "gd-ykm@2020-02"]),
    assessed_at=HOURS,
    negative_test_at=st.none() | HOURS,
    valid_until=st.none() | HOURS.map(lambda moment: moment + timedelta(hours=48)),
    declaration_valid_until=st.none() | HOURS.map(lambda moment: moment + timedelta(hours=48)),
)
RULE = st.builds(
    ImportRule,
    levels=st.frozensets(st.sampled_from(Level), min_size=1),
    origins=st.sampled_from([None, ("44",), ("440000", "42"), ("11",)]),
    schemes=st.sampled_from([None, ("gz-skm",), ("gz-skm@v2", "gd-ykm"), ("hz-jkm",)]),
    max_age_seconds=st.integers(1, 10 * 86400),
    negative_test_max_age_seconds=st.none() | st.integers(1, 10 * 86400),
    answers_must_be_no=st.booleans(),
    life_seconds=st.integers(60, 86400),
    state=st.just("绿码"),
)
ANSWERS = st.builds(Declarations, *[st.sampled_from(["YES", "NO", "UNSURE"]).map(TriState)] * 3)


@st.composite
def conversions(draw: st.DrawFn) -> Conversion:
    code = gather(draw(st.lists(REPORTS, min_size=1, max_size=3)))
    attestation = Attestation(
        issuer=URN + draw(st.sampled_from(["440100", "420100", "330100", "330200"])),
        audience=URN + "330100",
        issued_at=NOW,
        not_before=NOW,
        expires_at=NOW + timedelta(minutes=5),
        token_id="T" * 22,
        subject="S" * 43,
        code=code,
        use=AttestationUse.IMPORT,
    )
    return Conversion(attestation, draw(ANSWERS), draw(RULE), ("3301",), NOW)


@given(conversions())
def test_what_converts_holds_every_rule_of_the_condition(conversion: Conversion) -> None:
    if first_refusal(conversion) is not None:
        return
    rule, reports = conversion.rule, conversion.attestation.code.reports
    assert not conversion.origin.startswith("3301")
    assert rule.origins is None or conversion.origin[:2] in {origin[:2] for origin in rule.origins}
    for report in reports:
        assert report.level in rule.levels
        assert timedelta(seconds=rule.max_age_seconds) >= NOW - report.assessed_at >= -LEEWAY
        assert report.valid_until is None or conversion.valid_until <= report.valid_until
    assert NOW < conversion.valid_until <= NOW + timedelta(seconds=rule.life_seconds)
    if rule.negative_test_max_age_seconds is not None:
        newest = conversion.negative_test_at
        assert newest is not None
        assert NOW - newest <= timedelta(seconds=rule.negative_test_max_age_seconds)
    if rule.answers_must_be_no:
        assert conversion.declarations == Declarations(*[TriState.NO] * 3)


@given(conversions())
def test_the_first_rule_that_does_not_hold_is_told(conversion: Conversion) -> None:
    told = [refusal for rule in RULES if (refusal := rule(conversion)) is not None]
    assert first_refusal(conversion) == (told[0] if told else None)


@given(conversions())
def test_a_green_state_is_made_of_nothing_but_the_levels_the_rule_names(
    conversion: Conversion,
) -> None:
    worst = max(RESTRICTIVENESS[code.level] for code in conversion.attestation.code.reports)
    if conversion.rule.levels == {Level.GREEN} and worst:
        assert first_refusal(conversion) is not None


@given(st.sampled_from(Outcome))
def test_no_outcome_of_the_destination_is_taken_for_green(outcome: Outcome) -> None:
    refusal = own_record(VERSION, OutcomeReport(outcome))
    if outcome.name.startswith("SOURCE_"):
        assert refusal is ImportRefusal.PLATFORM
    elif refusal is None:
        assert outcome in {
            Outcome.NOT_FOUND,
            Outcome.NOT_APPLIED,
            Outcome.WRONG_REGION,
            Outcome.EVIDENCE_ONLY,
        }
    else:
        assert refusal is ImportRefusal.OWN_RECORD


@given(st.lists(st.sampled_from(["绿码", "红码", "灰码"]), max_size=3))
def test_only_green_records_of_its_own_let_a_conversion_through(states: list[str]) -> None:
    refusal = own_record(VERSION, Reports(tuple(held(state) for state in states)))
    assert (refusal is None) is (set(states) <= {"绿码"})
