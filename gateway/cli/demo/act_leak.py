"""Hangzhou's old signing key leaks: what a thief can do until it is noticed, and after.

An operator of the hub looks at what a distrust would touch before it is published, takes
back one that was too wide, and publishes the one that begins at the theft. Whatever the
key signed before that instant goes on being believed.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from hutong.v1 import distrust_pb2

from adapters.sdk.issued import FEWEST_COUNTED
from adapters.sdk.keys import key_file
from gateway.attestation import from_armour, signing_key_from_jwk
from gateway.cli.demo.acts import Act
from gateway.cli.demo.cast import document
from gateway.cli.demo.desk import Desk
from gateway.cli.demo.regions import GUANGZHOU, HANGZHOU
from gateway.cli.demo.scene import Fact, decided, seen_in
from gateway.cli.demo.token import claims_of, forged
from gateway.cli.demo.waiting import until
from gateway.recognition import Verdict
from gateway.wire.private_files import read_private_key

if TYPE_CHECKING:
    from gateway.cli.demo.cast import Cast
    from gateway.cli.demo.scene import Scene
    from gateway.edge import Result

_DISTRUSTED: Final = "ATTESTATION_DISTRUSTED"
_REASON: Final = "a copy of the key was found elsewhere"


async def _rule(cast: Cast, since: datetime) -> distrust_pb2.DistrustRule:
    """What the leaked key signed from an instant on."""
    rotation = await cast.rotation()
    rule = distrust_pb2.DistrustRule(
        issuer=HANGZHOU.urn, kind="attestation", key_id=rotation.old_key_id
    )
    rule.signed_from.FromDatetime(since)
    return rule


async def _forge(cast: Cast) -> str:
    """A green of the thief's, at least a second after the last true one of that key."""
    pattern = from_armour(cast.notes["before-the-leak"])
    await until(lambda: datetime.now(UTC) >= _theft(cast))
    folder = cast.federation.folder / HANGZHOU.name / "keys"
    stolen = read_private_key(key_file(folder, "attest", 0), signing_key_from_jwk)
    return forged(pattern, stolen, datetime.now(UTC).replace(microsecond=0))


def _theft(cast: Cast) -> datetime:
    """The instant from which the key is not the city's alone: after all that it signed."""
    last = max(
        claims_of(from_armour(cast.notes[name])).issued_at
        for name in ("old-key", "before-the-leak", "too-wide")
    )
    return last + timedelta(seconds=1)


async def _shown(cast: Cast, token: str, sequence: int) -> Result:
    """Shown at a gate as soon as the gate has an entry of the feed."""
    gate = cast.at(GUANGZHOU)
    await until(lambda: (gate.status().sequence or 0) >= sequence)
    return gate.verify_offline(token)


async def _unnoticed(cast: Cast) -> Scene:
    result = await _shown(cast, await _forge(cast), 0)
    return decided(
        result,
        Fact(
            "nothing at the gate can tell: the signature is the city's",
            "检查点无从分辨：签名确是杭州的",
            result.is_admitted,
        ),
    )


def _count(attestations: int) -> str:
    """A city never counts fewer than ten: a smaller number would tell of persons."""
    return f"at most {attestations}" if attestations <= FEWEST_COUNTED else str(attestations)


async def _too_wide(cast: Cast) -> Scene:
    rule = await _rule(cast, datetime.now(UTC) - timedelta(days=1))
    async with Desk.of(cast.federation) as desk:
        touched = await desk.preview(rule)
        distrust, sequence = await desk.distrust(rule, _REASON)
    cast.notes["wide"] = distrust
    return decided(
        await _shown(cast, cast.notes["too-wide"], sequence),
        Fact(
            f"preview: {_count(touched.attestations)} live attestations, "
            f"{touched.edges_connected} connected readers of the feed",
            f"预览：涉及有效凭证不超过 {touched.attestations} 张、在线读者 "
            f"{touched.edges_connected} 个",
            touched.counted and touched.attestations > 0,
        ),
    )


async def _undone(cast: Cast) -> Scene:
    narrow = await _rule(cast, _theft(cast))
    async with Desk.of(cast.federation) as desk:
        touched = await desk.preview(narrow)
        began = time.perf_counter()
        distrust, sequence = await desk.distrust(narrow, _REASON)
        sequence = max(sequence, await desk.undo(cast.notes["wide"], "too wide"))
        result = await _shown(cast, cast.notes["before-the-leak"], sequence)
        elapsed = (time.perf_counter() - began) * 1000
        audit = await desk.audit()
    cast.notes["narrow"] = distrust
    done = {(line.action, line.subject) for line in audit}
    wanted = {
        ("distrust", cast.notes["wide"]),
        ("undo-distrust", cast.notes["wide"]),
        ("distrust", distrust),
    }
    return decided(
        result,
        Fact(
            f"from the instant of the theft on: {_count(touched.attestations)} live "
            f"attestations; known at the gate {elapsed:.0f} ms later",
            f"改为自失窃时刻起：{elapsed:.0f} 毫秒后检查点已知",
            touched.counted,
        ),
        Fact(
            "the audit holds all three: distrusted, undone, distrusted from an instant",
            "审计记录中三步俱在",
            wanted <= done,
        ),
    )


async def _refused(cast: Cast) -> Scene:
    result = await _shown(cast, await _forge(cast), 0)
    asked = await cast.at(GUANGZHOU).ask(document("hangzhou/green"), origin=HANGZHOU.region)
    return decided(
        result,
        Fact(
            f"the city goes on with its new key: asked online, {seen_in(asked)}, "
            f"{asked.decision.verdict.value}",
            "杭州以新密钥照常签发：在线查询可以通行",
            asked.is_admitted,
        ),
    )


def _act(name: str, zh: str, en: str, *, seen: str, verdict: Verdict, play: object) -> Act:
    return Act(
        name=name,
        zh=zh,
        en=en,
        origin=HANGZHOU.region,
        destination=GUANGZHOU.region,
        seen=seen,
        verdict=verdict.value,
        reason="GREEN_IS_FRESH" if seen == "GREEN" else seen,
        play=play,  # type: ignore[arg-type]  # one of this module
    )


ACTS: Final = (
    _act(
        "leak-unnoticed",
        "旧密钥被盗，未被发现：伪造的绿码通行",
        "the old key is stolen, and nobody knows: a forged green passes",
        seen="GREEN",
        verdict=Verdict.ADMIT,
        play=_unnoticed,
    ),
    _act(
        "leak-too-wide",
        "不再信任该密钥一天来所签的一切：真凭证也被拒",
        "whatever the key signed in a day is distrusted: a true one is refused too",
        seen=_DISTRUSTED,
        verdict=Verdict.REFUSE,
        play=_too_wide,
    ),
    _act(
        "leak-undone",
        "撤回，改为自失窃时刻起：此前签发的照常有效",
        "undone, and distrusted from the theft on: one from before holds",
        seen="GREEN",
        verdict=Verdict.ADMIT,
        play=_undone,
    ),
    _act(
        "leak-refused",
        "窃贼再伪造的绿码被拒",
        "and the thief's next green is refused",
        seen=_DISTRUSTED,
        verdict=Verdict.REFUSE,
        play=_refused,
    ),
)
"""In this order: each rests on the one before."""
