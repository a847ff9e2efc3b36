"""Words for what only a checkpoint can find: its own line, its own memory.

``gateway.recognition`` gives a code that it does not know general words; for the
codes below this module has better ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import structs

from gateway.recognition import Reason, refusal_reason
from gateway.recognition.reasons import TRUST_TOO_OLD

if TYPE_CHECKING:
    from gateway.recognition import Decision

SEEN_BEFORE: Final = "ATTESTATION_SEEN_BEFORE"
"""A carried attestation was admitted at this checkpoint already."""

CARD_NOT_CHECKED: Final = Reason(
    "TRAVEL_CARD_NOT_CHECKED",
    "行程卡未能核验，请人工查看行程。",
    "The travel card could not be checked; a person looks at the places.",
)
"""A travel card was shown, and what it says is not known."""

LISTED_SINCE: Final = Reason(
    "LISTED_SINCE",
    "签发地其后已在当日名单中将此人列为非绿码，请人工核验；更正请联系签发地。",
    "The issuer has since listed this person as not green; a person decides. Corrections are "
    "the issuer's to make.",
)
"""A newer catalogue of the attestation's own issuer contradicts it."""

LISTINGS_UNREADABLE: Final = Reason(
    "LISTINGS_UNREADABLE",
    "本查验点无法读取互换名单，请人工核验。",
    "This checkpoint cannot read the catalogues it was given; a person decides.",
)
"""Whether a catalogue contradicts the attestation is not known."""

SUBJECT_WITHHELD: Final = Reason(
    "SUBJECT_WITHHELD",
    "凭证只出示了一部分，无法与互换名单核对，请人工核验或请持码人全部出示。",
    "Only a part of the attestation is shown, so the catalogues cannot be asked about it; a "
    "person decides, or the holder shows all of it.",
)
"""Catalogues are held here, and the pseudonym by which they know a person is withheld."""

ISSUER_NOT_HEARD: Final = Reason(
    "ISSUER_NOT_HEARD",
    "签发地与其互认网关的线路中断，其后的撤销无从得知；这不代表健康状态异常。",
    "The issuer's own hub does not hear it, so later revocations are not known; this says "
    "nothing about health.",
)
"""The feed says that what the issuer revokes does not arrive."""

_WORDS: Final = {
    reason.code: reason
    for reason in (
        Reason(
            SEEN_BEFORE,
            "该互认凭证已在本查验点放行过一次，请人工核对持证人。",
            "This attestation was already admitted at this checkpoint; a person compares the "
            "holder.",
        ),
        Reason(
            "PEER_UNREACHABLE",
            "本查验点连不上互认网关；这不代表健康状态异常，可出示携带的凭证。",
            "This checkpoint cannot reach its hub; this says nothing about health. A carried "
            "attestation still verifies.",
        ),
        Reason(
            "TOKEN_ENDPOINT_UNREACHABLE",
            "本查验点连不上互认网关的登录服务；这不代表健康状态异常。",
            "This checkpoint cannot reach its hub's sign-in; this says nothing about health.",
        ),
        Reason(
            "TOKEN_ENDPOINT_MISBEHAVED",
            "互认网关登录服务的答复违反协议，未予采信。",
            "The hub's sign-in broke the protocol; its answer was not used.",
        ),
        Reason(
            "TOKEN_REFUSED",
            "互认网关拒绝本查验点登录，请联系管理员。",
            "The hub refuses to sign this checkpoint in; ask its operator.",
        ),
        Reason(
            "RECORD_UNAVAILABLE",
            "本查验点无法登记此次放行，请人工核验。",
            "This checkpoint cannot note the admission; a person decides.",
        ),
    )
}


def own_reason(code: str) -> Reason:
    """What a refusal means, in this checkpoint's words where it has some."""
    if code == TRUST_TOO_OLD.code:
        return TRUST_TOO_OLD
    return _WORDS.get(code) or refusal_reason(code)


def with_own_words(decision: Decision) -> Decision:
    """Put this checkpoint's words where recognition had only general ones."""
    reasons = tuple(_WORDS.get(reason.code, reason) for reason in decision.reasons)
    return decision if reasons == decision.reasons else structs.replace(decision, reasons=reasons)
