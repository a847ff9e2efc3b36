"""The national issuer's rule, as data: dated, explained, sourced.

The files beside this module are the versions; :mod:`.loading` says how one is written
and :mod:`.model` what it means. ``gateway.issuer.assess`` compiles one to SQL.
"""

from __future__ import annotations

from gateway.issuer.rules.loading import NOTABLE_FROM_DECICELSIUS, load_version, shipped_rules
from gateway.issuer.rules.model import (
    AnswerWhen,
    Condition,
    ContactWhen,
    Rule,
    RuleBook,
    RuleVersion,
    StayWhen,
    SymptomsWhen,
    TemperatureWhen,
)

__all__ = [
    "NOTABLE_FROM_DECICELSIUS",
    "AnswerWhen",
    "Condition",
    "ContactWhen",
    "Rule",
    "RuleBook",
    "RuleVersion",
    "StayWhen",
    "SymptomsWhen",
    "TemperatureWhen",
    "load_version",
    "shipped_rules",
]
