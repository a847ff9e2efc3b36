"""Path 4, holder-carried: green recognised, data not connected.

The holder fetches an attestation for the destination beforehand; the gate reads it
with no network, and at the very end with no hub in the world. How long it lives is the
origin's to say, and how old its green may be the destination's: Guangdong's lives a
day, and after seven hours Macao's border refers its holder while Hangzhou's still
admits; Hangzhou's own lives six hours.
"""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from gateway.attestation import from_armour
from gateway.cli.demo.acts import Act, Chapter
from gateway.cli.demo.regions import GUANGDONG, GUANGZHOU, HANGZHOU, MACAO
from gateway.cli.demo.scene import decided
from gateway.recognition import Verdict

if TYPE_CHECKING:
    from gateway.cli.demo.acts import Play
    from gateway.cli.demo.cast import Cast
    from gateway.cli.demo.regions import Region
    from gateway.cli.demo.scene import Scene

_SEVEN_HOURS: Final = timedelta(hours=7)
"""An hour past the six of a carried attestation, and well within the age of trust."""


def _carried(
    person: str, origin: Region, destination: Region, *, later: timedelta | None = None
) -> Play:
    async def play(cast: Cast) -> Scene:
        armour = await cast.carry(person, origin, destination)
        async with cast.offline(destination, later=later) as alone:
            return decided(alone.verify_offline(armour))

    return play


async def _forged(cast: Cast) -> Scene:
    """A traveller with a yellow code writes GREEN into the attestation."""
    token = from_armour(await cast.carry("hangzhou/yellow", HANGZHOU, GUANGZHOU))
    header, payload, signature = token.split(".")
    claims = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
    greener = claims.replace(b'"YELLOW"', b'"GREEN"')
    forged = base64.urlsafe_b64encode(greener).rstrip(b"=").decode()
    async with cast.offline(GUANGZHOU) as alone:
        return decided(alone.verify_offline(f"{header}.{forged}.{signature}"))


async def _hub_is_killed(cast: Cast) -> Scene:
    play = _carried("hangzhou/green", HANGZHOU, GUANGZHOU)
    await cast.carry("hangzhou/green", HANGZHOU, GUANGZHOU)
    await cast.federation.kill_hub()
    return await play(cast)


CHAPTER: Final = Chapter(
    "carried",
    "路径四 · 持证人随身携带：互认绿码，数据不相通",
    "Path 4 · Holder-carried: green recognised, data not connected",
    (
        Act(
            name="carried-to-macao",
            zh="粤康码持有人携凭证过关",
            en="a holder carries Guangdong's green over Macao's border",
            origin=GUANGDONG.region,
            destination=MACAO.region,
            seen="GREEN",
            verdict=Verdict.ADMIT_WITH_CONDITIONS.value,
            reason="CARRIED_GREEN_PASSES",
            play=_carried("guangdong/recently-tested", GUANGDONG, MACAO),
        ),
        Act(
            name="six-hours-are-over",
            zh="七小时后再出示：澳门只认六小时之内的",
            en="the same one seven hours later: Macao takes what is at most six hours old",
            origin=GUANGDONG.region,
            destination=MACAO.region,
            seen="GREEN",
            verdict=Verdict.REFER.value,
            reason="ASSESSMENT_TOO_OLD",
            play=_carried("guangdong/recently-tested", GUANGDONG, MACAO, later=_SEVEN_HOURS),
        ),
        Act(
            name="a-day-is-not",
            zh="同样七小时后在杭州出示：凭证有效一天",
            en="at the same hour in Hangzhou: it lives a day, and the policy takes it",
            origin=GUANGDONG.region,
            destination=HANGZHOU.region,
            seen="GREEN",
            verdict=Verdict.ADMIT.value,
            reason="GREEN_IS_FRESH",
            play=_carried("guangdong/recently-tested", GUANGDONG, HANGZHOU, later=_SEVEN_HOURS),
        ),
        Act(
            name="expired-attestation",
            zh="七小时后出示杭州签发、六小时有效的凭证",
            en="shows a six-hour attestation of Hangzhou after seven hours",
            origin=HANGZHOU.region,
            destination=GUANGZHOU.region,
            seen="ATTESTATION_EXPIRED",
            verdict=Verdict.REFUSE.value,
            reason="ATTESTATION_EXPIRED",
            play=_carried("hangzhou/released", HANGZHOU, GUANGZHOU, later=_SEVEN_HOURS),
        ),
        Act(
            name="forged",
            zh="黄码持有人把凭证改成绿码",
            en="a yellow holder writes GREEN into the attestation",
            origin=HANGZHOU.region,
            destination=GUANGZHOU.region,
            seen="SIGNATURE_INVALID",
            verdict=Verdict.REFUSE.value,
            reason="SIGNATURE_INVALID",
            play=_forged,
        ),
    ),
)

WITHOUT_A_HUB: Final = (
    Act(
        name="offline",
        zh="枢纽断电，出示随身携带的凭证",
        en="the hub is killed; a carried attestation is verified offline",
        origin=HANGZHOU.region,
        destination=GUANGZHOU.region,
        seen="GREEN",
        verdict=Verdict.ADMIT.value,
        reason="GREEN_IS_FRESH",
        play=_hub_is_killed,
    ),
    Act(
        name="replayed",
        zh="另一人出示同一凭证的照片",
        en="somebody else shows a photograph of the same attestation",
        origin=HANGZHOU.region,
        destination=GUANGZHOU.region,
        seen="ATTESTATION_SEEN_BEFORE",
        verdict=Verdict.REFER.value,
        reason="ATTESTATION_SEEN_BEFORE",
        play=_carried("hangzhou/green", HANGZHOU, GUANGZHOU),
    ),
)
"""Nobody needs the hub after it is killed; the last acts of all."""
