"""The catalogue of reasons: one stable code, words in Chinese and in English.

Words are for a person at a gate and for the officer beside them. They say what
is the case and what helps, never who or what was asked about. A code that is
not in the catalogue (a newer peer may send one) gets general words and keeps
its code where it has the form of one; it is a refusal all the same.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from gateway.errors import CallerError
from gateway.recognition.refusal_words import REFUSALS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.codes.levels import Level, Outcome

MAX_WORDS: Final = 300
"""Longest text of a reason or a condition: what a gate's screen holds. Our choice."""

_CODE = re.compile(r"[A-Z][A-Z0-9_]{1,47}", re.ASCII)


class ReasonError(CallerError):
    """A reason without a proper code or without words in both languages."""

    default_code = "REASON_INVALID"


@dataclass(frozen=True, slots=True)
class Words:
    """The same thing said in two languages.

    Attributes:
        zh: Chinese.
        en: English.
    """

    zh: str
    en: str

    def __post_init__(self) -> None:
        for text in (self.zh, self.en):
            if not text.strip() or len(text) > MAX_WORDS or not text.isprintable():
                raise ReasonError(f"1 to {MAX_WORDS} printable characters in both languages")

    def to_json(self) -> dict[str, str]:
        """``zh`` and ``en``."""
        return {"zh": self.zh, "en": self.en}


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a decision is what it is.

    Attributes:
        code: stable, upper snake case.
        zh: in Chinese.
        en: in English.
    """

    code: str
    zh: str
    en: str

    def __post_init__(self) -> None:
        if not _CODE.fullmatch(self.code):
            raise ReasonError("a reason code is upper snake case, 2 to 48 characters")
        Words(self.zh, self.en)

    def to_json(self) -> dict[str, str]:
        """``code``, ``zh`` and ``en``."""
        return {"code": self.code, "zh": self.zh, "en": self.en}


def _catalogue(words: Mapping[str, tuple[str, str]]) -> dict[str, Reason]:
    return {code: Reason(code, zh, en) for code, (zh, en) in words.items()}


_LEVELS: Final = _catalogue(
    {
        "LEVEL_GREEN": ("绿码，出发地未发现异常。", "Green: the origin region knows of nothing."),
        "LEVEL_YELLOW": (
            "黄码，出发地要求较轻的限制。",
            "Yellow: the origin region restricts lightly.",
        ),
        "LEVEL_RED": ("红码，出发地要求严格限制。", "Red: the origin region restricts strictly."),
        "LEVEL_RESTRICTED": (
            "受限：出发地的码只有两种颜色，不说明轻重，不能当作黄码或红码。",
            "Restricted, severity not stated by a two-colour code: neither yellow nor red.",
        ),
    }
)

_OUTCOMES: Final = _catalogue(
    {
        "NOT_APPLIED": (
            "此人尚未申领出发地的健康码，请先申领。",
            "No code was applied for in the origin region; apply first.",
        ),
        "NOT_FOUND": (
            "出发地平台没有查到对应的记录。",
            "The origin's platform holds no record under what was shown.",
        ),
        "DECLARATION_EXPIRED": (
            "健康申报已过期，请重新申报后再出示。",
            "The health declaration has expired; declare again and come back.",
        ),
        "CODE_EXPIRED": (
            "健康码已过期，请刷新后再出示。",
            "The code has expired; refresh it and come back.",
        ),
        "WRONG_REGION": (
            "所出示的码属于其他地区。",
            "What was shown belongs to another region's scheme.",
        ),
        "HOLDER_MUST_UPDATE": (
            "持码人须先在出发地的系统中更新资料。",
            "The holder must first update a form in the origin's system.",
        ),
        "PENDING_REVIEW": (
            "出发地正在人工审核，尚无结果。",
            "The origin region is reviewing the case; there is no result yet.",
        ),
        "CANNOT_DETERMINE": (
            "出发地平台暂不能确认状态。",
            "The origin's platform cannot determine the state.",
        ),
        "AMBIGUOUS_SUBJECT": (
            "所出示的信息对应不止一人，请改用身份证件查验。",
            "What was shown matches more than one person; use an identity document.",
        ),
        "SOURCE_BUSY": (
            "出发地平台繁忙，暂无结果；这不代表健康状态异常。",
            "The origin's platform is busy; this says nothing about health.",
        ),
        "SOURCE_TIMED_OUT": (
            "出发地平台未及时答复；这不代表健康状态异常。",
            "The origin's platform did not answer in time; this says nothing about health.",
        ),
        "SOURCE_UNPARSABLE": (
            "出发地平台的答复无法识读；这不代表健康状态异常。",
            "The origin's answer could not be understood; this says nothing about health.",
        ),
        "EVIDENCE_ONLY": (
            "所出示的不是健康码，只可作为旁证，请另出示健康码。",
            "What was shown is no health code; it counts beside one, not in place of one.",
        ),
    }
)

_REFUSALS: Final = _catalogue(REFUSALS)

REFUSAL_CODES: Final = frozenset(_REFUSALS)
"""Every refusal a policy may name."""

TRUST_TOO_OLD: Final = Reason(
    "TRUST_TOO_OLD",
    "本机的信任数据过旧，不能据此自动放行，请人工核验。",
    "This checkpoint's trust data is too old to decide on; a person decides.",
)
TRUST_AGE_UNKNOWN: Final = Reason(
    "TRUST_AGE_UNKNOWN",
    "本机不知道信任数据的新旧，请人工核验。",
    "This checkpoint cannot tell how old its trust data is; a person decides.",
)
POLICY_TOO_OLD: Final = Reason(
    "POLICY_TOO_OLD",
    "本地互认政策太久没有确认，请人工核验。",
    "The recognition policy was not confirmed for too long; a person decides.",
)
POLICY_AGE_UNKNOWN: Final = Reason(
    "POLICY_AGE_UNKNOWN",
    "本机不知道互认政策的新旧，请人工核验。",
    "This checkpoint cannot tell how old its policy is; a person decides.",
)
STATUS_TOO_OLD: Final = Reason(
    "STATUS_TOO_OLD",
    "签发地的撤销名单太久没有更新，请人工核验。",
    "The issuer's word on revocations is too old to decide on; a person decides.",
)
TRUST_AGEING: Final = Reason(
    "TRUST_AGEING",
    "本机的信任数据有些旧了，请尽快联网同步。",
    "This checkpoint's trust data is getting old; synchronise soon.",
)
POLICY_AGEING: Final = Reason(
    "POLICY_AGEING",
    "本地互认政策有一段时间没有确认，请尽快联网同步。",
    "The recognition policy was not confirmed for a while; synchronise soon.",
)
STATUS_AGEING: Final = Reason(
    "STATUS_AGEING",
    "签发地的撤销名单有些旧了，其后的撤销本机并不知道。",
    "The issuer's word on revocations is getting old; later ones are not known here.",
)
TRUST_BEYOND_USE: Final = Reason(
    "TRUST_BEYOND_USE",
    "本机的信任数据过于陈旧，政策规定不得据此放行；这不代表健康状态异常。",
    "This checkpoint's trust data is too old for the policy to let anyone pass; this says "
    "nothing about health.",
)
POLICY_BEYOND_USE: Final = Reason(
    "POLICY_BEYOND_USE",
    "本地互认政策过久没有确认，不得据此放行；这不代表健康状态异常。",
    "The recognition policy was not confirmed for too long to let anyone pass; this says "
    "nothing about health.",
)
STATUS_BEYOND_USE: Final = Reason(
    "STATUS_BEYOND_USE",
    "签发地的撤销名单过于陈旧，不得据此放行；请重新获取凭证。",
    "The issuer's word on revocations is too old to let anyone pass; fetch a new attestation.",
)
SEEN_ELSEWHERE: Final = Reason(
    "SEEN_ELSEWHERE",
    "同一凭证不久前在另一查验点出示过，请人工核对持证人。",
    "The same attestation was shown at another checkpoint a short time ago; a person compares "
    "the holder.",
)
POLICY_NOT_IN_FORCE: Final = Reason(
    "POLICY_NOT_IN_FORCE",
    "本地互认政策此刻未生效，请人工核验。",
    "The recognition policy is not in force now; a person decides.",
)
SOURCE_TOO_OLD: Final = Reason(
    "SOURCE_TOO_OLD",
    "出发地记录太久没有更新，请人工核验。",
    "The origin's record was not updated for too long; a person decides.",
)
RECORDS_DISAGREE: Final = Reason(
    "RECORDS_DISAGREE",
    "此人有几份颜色不一致的记录。",
    "The person has several records, and they differ in level.",
)
DISCLOSE_MORE: Final = Reason(
    "DISCLOSE_MORE",
    "互认政策需要凭证中未出示的内容，请持码人多出示一些，或由人工核验。",
    "The policy asks for what was not disclosed; the holder may show more, or a person decides.",
)
NO_RULE: Final = Reason(
    "NO_RULE",
    "互认政策没有对应的规定，请人工核验。",
    "No rule of the policy covers this; a person decides.",
)


class AgeReasons(NamedTuple):
    """What is said of an age: not known, and beyond each step."""

    unknown: Reason
    ageing: Reason
    too_old: Reason
    beyond_use: Reason


AGE_REASONS: Final = {
    "TRUST": AgeReasons(TRUST_AGE_UNKNOWN, TRUST_AGEING, TRUST_TOO_OLD, TRUST_BEYOND_USE),
    "POLICY": AgeReasons(POLICY_AGE_UNKNOWN, POLICY_AGEING, POLICY_TOO_OLD, POLICY_BEYOND_USE),
    "STATUS": AgeReasons(
        _REFUSALS["STATUS_UNKNOWN"], STATUS_AGEING, STATUS_TOO_OLD, STATUS_BEYOND_USE
    ),
}


# By text, which a level is; its hash is then the text's own.
_BY_LEVEL: Final = {code.removeprefix("LEVEL_"): (reason,) for code, reason in _LEVELS.items()}


def level_reason(level: Level) -> Reason:
    """What a level means."""
    return _BY_LEVEL[level][0]


def level_reasons(level: Level) -> tuple[Reason, ...]:
    """The same alone in a row, as the reasons of a decision stand."""
    return _BY_LEVEL[level]


def outcome_reason(outcome: Outcome) -> Reason:
    """What an outcome means."""
    return _OUTCOMES[outcome]


def refusal_reason(code: str) -> Reason:
    """What a refusal means; an unknown code gets general words."""
    known = _REFUSALS.get(code)
    if known is not None:
        return known
    return Reason(
        code if _CODE.fullmatch(code) else "REFUSED",
        "查验未能完成，不能据此放行。",
        "The check could not be completed; nothing follows from it.",
    )
