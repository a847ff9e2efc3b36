"""The linter finds what is wrong, by name; the page of its findings is complete."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.attestation import base64url
from gateway.codes.schemes import load_scheme
from gateway.recognition import load_policy
from gateway.trust import KeyChange, KeyUse, StatementKind, sign_statement, signing_member_key
from gateway.trust.findings import (
    WEIGHTS,
    FindingName,
    LintError,
    Weight,
    finding,
    refuse_errors,
)
from gateway.trust.linter import lint_keys, lint_statement
from tests.hub.hub_world import (
    HANGZHOU,
    START,
    policy,
    region,
    scheme,
    signing_key,
)
from tests.hub.trust_world import ending, key_of, move

N = FindingName
YEAR = timedelta(days=365)
WHO = ending(region(), START + YEAR)
PAGE = Path(__file__).parents[2] / "docs/reference/lint.md"


def found(kind: StatementKind, body: dict[str, Any], **options: Any) -> set[FindingName]:
    token = sign_statement(kind, HANGZHOU, body, WHO.state_key, now=START)
    findings = lint_statement(token, now=START, check_policy=load_policy, **options)
    weights = [item.weight for item in findings]
    assert weights == sorted(weights, key=lambda weight: weight is not Weight.ERROR)
    return {item.name for item in findings}


def enrolment(change: Any = None) -> dict[str, Any]:
    body = deepcopy(WHO.body.to_body())
    if change is not None:
        change(body)
    return body


def test_what_is_right_has_no_finding() -> None:
    assert found(StatementKind.ENROLMENT, enrolment()) == set()
    assert found(StatementKind.SCHEME, scheme(), record=WHO.body) == set()
    assert found(StatementKind.POLICY, policy(), record=WHO.body) == set()


def _with_end(body: dict[str, Any], end: int | None) -> None:
    if end is None:
        body["keys"][1].pop("not_after")
    else:
        body["keys"][1]["not_after"] = end


def _short(text: str) -> str:
    return base64url.encode(base64url.decode(text.encode())[1:])


NOW = int(START.timestamp())


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda b: b["keys"].append(b["keys"][0]), N.KEY_DUPLICATE_ID),
        (lambda b: b["keys"][0]["jwk"].update(x=_short(b["keys"][0]["jwk"]["x"])), N.KEY_LENGTH),
        (lambda b: b["keys"][0]["jwk"].update(x="!" * 43), N.KEY_ENCODING),
        (lambda b: b["keys"][0]["jwk"].update(kid="k" * 43), N.KEY_ENCODING),
        (lambda b: b["keys"][0]["jwk"].update(y=b["keys"][0]["jwk"]["x"]), N.KEY_ENCODING),
        (lambda b: b["keys"].pop(), N.KEY_ENCODING),
        (lambda b: b["keys"][0].update(published_at=NOW), N.KEY_HISTORY_CLAIMED),
        (lambda b: _with_end(b, NOW + 4 * 366 * 86_400), N.KEY_LIFETIME_TOO_LONG),
        (lambda b: _with_end(b, None), N.KEY_WITHOUT_END),
        (lambda b: b["keys"][1].update(not_before=NOW + 1), N.KEY_NOT_ACTIVE),
        (lambda b: b.update(endpoint="nowhere"), N.STATEMENT_MEMBER),
        (lambda b: b.update(prefixes=["3399"]), N.STATEMENT_MEMBER),
        (lambda b: b.pop("keys"), N.STATEMENT_MEMBER),
    ],
)
def test_an_enrolment_with_a_fault_is_named(change: Any, name: FindingName) -> None:
    assert found(StatementKind.ENROLMENT, enrolment(change)) == {name}


def test_a_key_that_has_ended_is_named_and_leaves_its_use_without_one() -> None:
    body = enrolment(lambda b: _with_end(b, NOW))
    assert found(StatementKind.ENROLMENT, body) == {N.KEY_ENDED, N.KEY_NOT_ACTIVE}


def test_what_is_no_statement_is_malformed() -> None:
    (item,) = lint_statement("nonsense", now=START)
    assert item.name is N.STATEMENT_MALFORMED


# --- schemes and policies


def _scheme(change: Any) -> dict[str, Any]:
    document = deepcopy(scheme())
    change(document)
    return document


def _second_version(document: dict[str, Any]) -> None:
    document["versions"].append(document["versions"][0] | {"id": "2020-03"})


def _without_meaning(document: dict[str, Any]) -> None:
    document["versions"][0]["states"]["绿码"].pop("meaning")


def _unseen_state(document: dict[str, Any]) -> None:
    document["versions"][0]["states_seen"].append("红码")


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda d: d.update(name=1), N.SCHEME_MALFORMED),
        (_second_version, N.SCHEME_OVERLAP),
        (_without_meaning, N.SCHEME_INCOMPLETE),
        (_unseen_state, N.SCHEME_INCOMPLETE),
        (lambda d: d["versions"][0].update(valid_until="2020-03-24"), N.SCHEME_NOT_IN_FORCE),
    ],
)
def test_a_scheme_with_a_fault_is_named(change: Any, name: FindingName) -> None:
    assert name in found(StatementKind.SCHEME, _scheme(change), record=WHO.body)


def _qr(code: str, family: str, text: str) -> dict[str, Any]:
    document = scheme(code, family)
    document["versions"][0]["qr"] = [
        {
            "pattern": "^https://code\\.example/\\?id=[0-9a-f]{8}$",
            "region": code,
            "presentation": "qr_text",
            "examples": [f"https://code.example/?id={text}"],
        }
    ]
    return document


def test_a_qr_text_that_reads_as_another_regions_is_named() -> None:
    mine = _qr("330100", "ex-jkm", "0123abcd")
    others = [load_scheme(_qr("440100", "gd-jkm", "deadbeef"))]
    assert found(StatementKind.SCHEME, mine, others=others) == {N.SCHEME_QR_AMBIGUOUS}
    assert found(StatementKind.SCHEME, mine, others=[load_scheme(mine)]) == set()


def _covered(document: dict[str, Any]) -> None:
    document["rules"].append(document["rules"][0] | {"id": "again"})


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda d: d.update(rules=[]), N.POLICY_MALFORMED),
        (_covered, N.POLICY_UNREACHABLE_RULE),
        (lambda d: d.update(valid_from="2020-05-01"), N.POLICY_FUTURE),
        (lambda d: d.update(valid_until="2020-04-02"), N.POLICY_ENDED),
        (lambda d: d.update(region="440100", id="440100@2020-04"), N.POLICY_REGION),
    ],
)
def test_a_policy_with_a_fault_is_named(change: Any, name: FindingName) -> None:
    document = deepcopy(policy())
    change(document)
    assert found(StatementKind.POLICY, document, record=WHO.body) == {name}


def test_a_scheme_for_foreign_divisions_and_a_foreign_signer_are_named() -> None:
    names = found(StatementKind.SCHEME, scheme("440100"), record=WHO.body)
    assert names == {N.STATEMENT_SCOPE}
    tainted = replace(
        WHO.body, keys=tuple(replace(key, tainted_from=START) for key in WHO.body.keys)
    )
    assert found(StatementKind.SCHEME, scheme(), record=tainted) == {N.STATEMENT_SIGNATURE}


# --- changes of keys, and keys that are held


def change_of(**parts: Any) -> dict[str, Any]:
    return KeyChange(**parts).to_body()


def test_a_change_of_keys_is_looked_at_as_the_hub_would() -> None:
    lead = timedelta(minutes=1)
    in_time = signing_member_key(
        signing_key("lint/next"), KeyUse.ATTEST, not_before=START + lead, not_after=START + YEAR
    )
    options = {"record": WHO.body, "lead": lead}
    assert found(StatementKind.KEYS, change_of(add=(in_time,)), **options) == set()
    too_soon = replace(in_time, not_before=START)
    assert found(StatementKind.KEYS, change_of(add=(too_soon,)), **options) == {
        N.LEAD_TIME_TOO_SHORT
    }
    last = key_of(WHO, KeyUse.ATTEST)
    assert found(StatementKind.KEYS, change_of(retire=(move(last.key_id, START),)), **options) == {
        N.KEY_CHANGE_REFUSED
    }
    assert found(StatementKind.KEYS, {}, **options) == {N.STATEMENT_MALFORMED}


def test_what_ends_soon_is_named_and_whether_something_follows() -> None:
    end = START + timedelta(days=300)
    key = replace(key_of(WHO, KeyUse.ATTEST), not_after=end)
    follows = replace(
        signing_member_key(signing_key("lint/next"), KeyUse.ATTEST, not_before=end),
        not_after=end + YEAR,
    )
    late = replace(follows, not_before=end + timedelta(seconds=1))

    def names(now: Any, *keys: Any) -> set[FindingName]:
        return {item.name for item in lint_keys(keys, now=now)}

    assert names(end - timedelta(days=31), key) == set()
    assert names(end - timedelta(days=30), key, follows) == {N.KEY_EXPIRES_SOON}
    for others in ((), (late,), (replace(follows, tainted_from=START),)):
        assert names(end - timedelta(days=1), key, *others) == {
            N.KEY_EXPIRES_SOON,
            N.KEY_WITHOUT_SUCCESSOR,
        }


# --- refusing, and the page


@pytest.mark.parametrize(
    ("name", "code"),
    [
        (N.KEY_LENGTH, "KEY_MALFORMED"),
        (N.KEY_CHANGE_REFUSED, "STATEMENT_INVALID"),
        (N.LEAD_TIME_TOO_SHORT, "LEAD_TIME_TOO_SHORT"),
        (N.SCHEME_OVERLAP, "SCHEME_INVALID"),
        (N.POLICY_UNREACHABLE_RULE, "POLICY_INVALID"),
        (N.STATEMENT_SCOPE, "STATEMENT_INVALID"),
    ],
)
def test_an_error_refuses_by_its_name(name: FindingName, code: str) -> None:
    warning = finding(N.KEY_WITHOUT_END, "", "synthetic")
    with pytest.raises(LintError, match=name.value) as caught:
        refuse_errors([warning, finding(name, "subject", "synthetic")])
    assert caught.value.code == code
    refuse_errors([warning])


def test_the_page_names_every_finding_with_its_weight() -> None:
    rows = [line.split("|") for line in PAGE.read_text("utf-8").splitlines() if line[:3] == "| `"]
    table = {row[1].strip(" `"): row[2].strip() for row in rows}
    assert table == {name.value: weight.value for name, weight in WEIGHTS.items()}
