"""The least scheme and the least policy that a region may publish, about nobody."""

from __future__ import annotations

from typing import Any

FAMILY = "suite-jkm"


def policy(division: str) -> dict[str, Any]:
    """Green passes; the rest is left to people."""
    return {
        "id": f"{division}@2020-04",
        "region": division,
        "name": {"zh": "一致性测试", "en": "Conformance suite"},
        "valid_from": "2020-04-01",
        "ages": {"trust_hours": 24, "policy_hours": 72, "source_hours": 36},
        "rules": [
            {
                "id": "green",
                "when": {"level": ["GREEN"], "max_age_hours": 72},
                "verdict": "ADMIT",
                "reason": {"code": "GREEN_PASSES", "zh": "绿码通行", "en": "Green passes."},
                "choice": "synthetic",
            }
        ],
    }


def scheme(division: str) -> dict[str, Any]:
    """One state, green, with the one vector that it needs."""
    moment = "2020-03-01T12:00:00+08:00"
    state = {"level": "GREEN", "meaning": {"zh": "通行", "en": "pass"}}
    shown = {"state": "绿码", "issued_by": division, "assessed_at": moment, "source_at": moment}
    prefix = division
    while prefix.endswith("00"):
        prefix = prefix[:-2]
    return {
        "hutong": "scheme/1",
        "family": FAMILY,
        "name": {"zh": "一致性测试码", "en": "Code of the conformance suite"},
        "authority": division,
        "prefixes": [prefix],
        "timezone": "Asia/Shanghai",
        "sources": {"S1": {"grade": "A", "text": "synthetic"}},
        "versions": [
            {
                "id": "2020-02",
                "valid_from": "2020-02-11",
                "evidence": ["S1"],
                "states_seen": ["绿码"],
                "states": {"绿码": state},
                "several": "report_all",
            }
        ],
        "vectors": {
            "hutong": "vectors/1",
            "scheme": FAMILY,
            "vectors": [
                {
                    "name": "green",
                    "at": moment,
                    "reports": [shown],
                    "expect": {"level": "GREEN"},
                }
            ],
        },
    }


def document(kind: str, division: str, *, broken: bool = False) -> dict[str, Any]:
    """A scheme or a policy; broken: one that speaks for its division and says nothing else."""
    made = scheme(division) if kind == "scheme" else policy(division)
    if broken:
        kept = {"family", "authority", "prefixes"} if kind == "scheme" else {"region"}
        return {name: value for name, value in made.items() if name in kept}
    return made


def subject(kind: str, division: str) -> str:
    """Under which subject of the feed it stands."""
    name = FAMILY if kind == "scheme" else division
    return f"urn:hutong:region:{division}#{name}"
