"""Path 2, the bridge: a green of one region becomes a local code of another.

The holder's side joins two sealed exchanges; the destination verifies for itself,
holds its own condition against it, and gives a code that its own gates take.
"""

from __future__ import annotations

import time
import urllib.parse
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from hutong.v1 import exchange_pb2

from adapters.platforms import CREDENTIALS
from adapters.platforms.guangdong.platform import sign_fields
from gateway.cli.demo.acts import Act, Chapter
from gateway.cli.demo.cast import document
from gateway.cli.demo.federation import post
from gateway.cli.demo.regions import GUANGDONG, HANGZHOU
from gateway.cli.demo.scene import CONVERTED, NOT_CONVERTED, Fact, converted, seen_in
from gateway.codes import Declarations, TriState, region_urn
from gateway.codes.conversion import ImportRefusal
from gateway.edge import Conversion
from gateway.edge.conversion_words import import_refusal_reason
from gateway.edge.importing import ImportAsked
from gateway.edge.questions import AttestedAnswer
from gateway.errors import InternalError

if TYPE_CHECKING:
    from gateway.cli.demo.cast import Cast
    from gateway.cli.demo.regions import Region
    from gateway.cli.demo.scene import Scene

NAME: Final = "测试甲"
NO: Final = Declarations(contact=TriState.NO, risk_area=TriState.NO, overseas=TriState.NO)
_SECONDS: Final = 10.0


async def _convert(cast: Cast, person: str, origin: Region, destination: Region) -> Conversion:
    return await cast.at(origin).convert(
        document(person),
        name=NAME,
        declarations=NO,
        origin=origin.region,
        destination=destination.region,
    )


async def _taken_at(cast: Cast, region: Region, done: Conversion) -> Fact:
    """The new code, asked about at a checkpoint of the region, through its adapter."""
    if done.local_code is None:
        return Fact("there is no code to show", "无码可示", holds=False)
    result = await cast.at(region).ask(done.local_code.qr_text)
    verdict = result.decision.verdict
    return Fact(
        f"shown at a checkpoint of {region.en}, asked through its adapter: "
        f"{seen_in(result)}, {verdict.value}",
        f"在{region.zh}检查点出示，经本地适配器查询：可以通行",
        seen_in(result) == "GREEN" and verdict.admits,
    )


async def _opens_own_gate(cast: Cast, done: Conversion) -> Fact:
    """Guangdong's own gate, over its own wire; it knows nothing of any federation."""
    if done.local_code is None:
        return Fact("there is no code to show", "无码可示", holds=False)
    fields = {
        "qrText": done.local_code.qr_text,
        "site": "synthetic",
        "appId": CREDENTIALS["guangdong"]["app_id"],
        "timestamp": str(int(time.time() * 1000)),
        "nonce": "synthetic",
    }
    fields["sign"] = sign_fields(fields, CREDENTIALS["guangdong"]["app_key"])
    answer = await post(
        cast.federation.platform_url(GUANGDONG) + "/ebus/ykm/gate",
        urllib.parse.urlencode(fields).encode(),
        {"Content-Type": "application/x-www-form-urlencoded"},
    )
    return Fact(
        "Guangdong's own gate reads it over its own wire, and opens",
        "广东自己的闸机按自己的接口验码，开闸",
        (answer["body"] or {}).get("pass") is True,
    )


async def _there(cast: Cast) -> Scene:
    done = await _convert(cast, "hangzhou/green", HANGZHOU, GUANGDONG)
    return converted(
        done, await _opens_own_gate(cast, done), await _taken_at(cast, GUANGDONG, done)
    )


async def _back(cast: Cast) -> Scene:
    done = await _convert(cast, "guangdong/recently-tested", GUANGDONG, HANGZHOU)
    code = done.local_code
    tested = Fact(
        "the date of the negative test travels along, into Hangzhou's own record",
        "核酸阴性日期随码转入杭州记录",
        code is not None and code.negative_test_at is not None,
    )
    return converted(done, tested, await _taken_at(cast, HANGZHOU, done))


async def _yellow(cast: Cast) -> Scene:
    return converted(await _convert(cast, "hangzhou/yellow", HANGZHOU, GUANGDONG))


async def _somebody_else_s(cast: Cast) -> Scene:
    """Hands a green holder's attestation in with a document of one's own.

    No door of the edge lets anybody do that: it checks what it carries. Whoever writes
    a client of his own can, and meets the destination's adapter.
    """
    began = time.perf_counter()
    converter = cast.at(HANGZHOU)._converter  # noqa: SLF001 - a cheat goes through the wall
    if converter is None:
        raise InternalError("the checkpoint is offline", code="DEMO_ACT")
    green = document("hangzhou/green")
    answer = await converter._asks.ask(  # noqa: SLF001 - likewise
        HANGZHOU.region,
        green,
        purpose=exchange_pb2.PURPOSE_HOLDER,
        use=exchange_pb2.ATTESTATION_USE_IMPORT,
        timeout_seconds=_SECONDS,
        audience=region_urn(GUANGDONG.region),
    )
    if not isinstance(answer, AttestedAnswer):
        raise InternalError("the origin attests nothing", code="DEMO_ACT")
    own = ImportAsked(
        nonce=answer.nonce, token=answer.token, document=green, name=NAME, declarations=NO
    )
    refused = await converter._imports.convert(  # noqa: SLF001 - likewise
        GUANGDONG.region,
        replace(own, document=document("hangzhou/yellow")),
        purpose=exchange_pb2.PURPOSE_HOLDER,
        timeout_seconds=_SECONDS,
    )
    if not isinstance(refused, ImportRefusal):
        raise InternalError("somebody else's green was converted", code="DEMO_ACT")
    return converted(
        Conversion(
            result=refused,
            reason=import_refusal_reason(refused),
            origin=HANGZHOU.region,
            destination=GUANGDONG.region,
            instead_of=None,
            at=converter._clock(),  # noqa: SLF001 - likewise
            milliseconds=(time.perf_counter() - began) * 1000,
        )
    )


CHAPTER: Final = Chapter(
    "bridge",
    "路径二 · 转码：外地绿码换成本地码",
    "Path 2 · Bridge: another region's green becomes a local code",
    (
        Act(
            name="bridge-there",
            zh="杭州绿码转为粤康码",
            en="a green of Hangzhou becomes a 粤康码 of Guangdong",
            origin=HANGZHOU.region,
            destination=GUANGDONG.region,
            seen="绿码",
            verdict=CONVERTED,
            reason="CONVERTED",
            play=_there,
        ),
        Act(
            name="bridge-back",
            zh="粤康码转为杭州健康码",
            en="and back: a 粤康码 becomes a code of Hangzhou",
            origin=GUANGDONG.region,
            destination=HANGZHOU.region,
            seen="绿码",
            verdict=CONVERTED,
            reason="CONVERTED",
            play=_back,
        ),
        Act(
            name="bridge-yellow",
            zh="黄码不予转换",
            en="a yellow is not converted",
            origin=HANGZHOU.region,
            destination=GUANGDONG.region,
            seen="IMPORT_REFUSAL_LEVEL",
            verdict=NOT_CONVERTED,
            reason="IMPORT_REFUSAL_LEVEL",
            play=_yellow,
        ),
        Act(
            name="bridge-somebody-else",
            zh="拿他人的绿码凭证、用自己的证件转码",
            en="somebody else's green, with one's own document",
            origin=HANGZHOU.region,
            destination=GUANGDONG.region,
            seen="IMPORT_REFUSAL_SUBJECT",
            verdict=NOT_CONVERTED,
            reason="IMPORT_REFUSAL_SUBJECT",
            play=_somebody_else_s,
        ),
    ),
)
