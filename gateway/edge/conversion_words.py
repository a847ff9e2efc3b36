"""Words for what comes of a conversion: one stable code, in Chinese and in English.

Refusals are the destination's own condition and named as on the wire
(``hutong.v1.ImportRefusal``); what failed at the destination keeps its reason, and
the words say at which end. Words never say who was asked about.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.codes.conversion import ImportRefusal
from gateway.recognition import Reason, refusal_reason
from gateway.recognition.reasons import TRUST_TOO_OLD

if TYPE_CHECKING:
    from collections.abc import Mapping

CONVERTED: Final = Reason(
    "CONVERTED",
    "已转为目的地的本地码，请在到期前出示；到期后须重新转码。",
    "Converted to a local code of the destination; show it until it ends, then convert again.",
)

_WORDS: Final[Mapping[ImportRefusal, tuple[str, str]]] = {
    ImportRefusal.LEVEL: (
        "出发地的码不是目的地接受转换的状态，一般只有绿码可以转换。",
        "The origin's level is not one that the destination converts; as a rule only green is.",
    ),
    ImportRefusal.ORIGIN: (
        "目的地不转换该地区或该种健康码。",
        "The destination converts no code of that region or scheme.",
    ),
    ImportRefusal.TOO_OLD: (
        "出发地的评估时间过久，请刷新后再转码。",
        "The origin assessed the level too long ago; refresh the code there and convert again.",
    ),
    ImportRefusal.TEST: (
        "目的地要求近期核酸阴性结果，出发地没有提供或已经过久。",
        "The destination requires a recent negative test; the origin states none, or an old one.",
    ),
    ImportRefusal.SUBJECT: (
        "出发地的凭证不是关于所出示证件的，未作转换。",
        "The attestation is not about the document that was shown; nothing was converted.",
    ),
    ImportRefusal.DECLARATION: (
        "持证人的申报中有一项不是“否”，目的地不予转换，请咨询工作人员。",
        "One of the holder's own answers is not no; the destination does not convert. Ask staff.",
    ),
    ImportRefusal.OWN_RECORD: (
        "目的地已有本地记录且不是绿码，转码不会覆盖它，请向目的地查询。",
        "The destination's own record is less than green and is never overwritten; ask there.",
    ),
    ImportRefusal.PLATFORM: (
        "目的地平台没有答复，未作转换；这不代表健康状态异常。",
        "The destination's platform did not answer; nothing was converted, and no health judged.",
    ),
}

_REFUSALS: Final = {
    refusal: Reason(f"IMPORT_REFUSAL_{refusal.name}", zh, en)
    for refusal, (zh, en) in _WORDS.items()
}

_THERE: Final = {
    reason.code: reason
    for reason in (
        TRUST_TOO_OLD,
        Reason("UNKNOWN_REGION", "目的地尚未接入互认。", "The destination is not connected."),
        Reason("REGION_SUSPENDED", "目的地已被暂停互认。", "The destination is suspended."),
        Reason("AUTHORITY_SUSPENDED", "目的地已被暂停互认。", "The destination is suspended."),
    )
}

_OWN_WORDS: Final = frozenset({"IMPORT_NOT_OFFERED", "ATTESTATION_INVALID"})
"""Failures whose usual words name the destination already."""


def import_refusal_reason(refusal: ImportRefusal) -> Reason:
    """What a refused conversion means."""
    return _REFUSALS[refusal]


def destination_reason(code: str) -> Reason:
    """What a failure at the destination means: nobody holds a new code that is known of."""
    there = _THERE.get(code)
    if there is not None:
        return there
    usual = refusal_reason(code)
    if usual.code in _OWN_WORDS:
        return usual
    return Reason(
        usual.code,
        "目的地没有完成转码，请稍后再试；这不代表健康状态异常。",
        "The destination did not complete the conversion; try again later. This says nothing "
        "about health.",
    )
