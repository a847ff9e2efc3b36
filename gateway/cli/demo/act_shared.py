"""Path 1, shared data: Beijing's platform asks where a traveller comes from.

It asks the hub under its own region's name, feeds the answer into its own rule, and
says so in its own words. Its own record stands beside what was found, untouched.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Final

from adapters.platforms import CREDENTIALS
from gateway.cli.demo.acts import Act, Chapter
from gateway.cli.demo.cast import document
from gateway.cli.demo.federation import post
from gateway.cli.demo.regions import BEIJING, HANGZHOU
from gateway.cli.demo.scene import GOOD, UNDECIDED, Fact, Scene
from gateway.recognition import Reason

if TYPE_CHECKING:
    from gateway.cli.demo.acts import Play
    from gateway.cli.demo.cast import Cast

ARRIVAL_PATH: Final = "/jingxinju/jkb/arrival"
QUERY_PATH: Final = "/jingxinju/jkb/state/query"
TOKEN_HEADER: Final = "X-Jkb-Token"  # noqa: S105 - the name of a header

CLEAR: Final = "未见异常"
UNSURE: Final = "系统暂不能确认"
_NOT_HELD: Final = "尚未掌握"
_SAID: Final = {CLEAR: "NOTHING FOUND", UNSURE: "CANNOT CONFIRM FOR NOW"}
"""Beijing's own words, and what they mean."""

_REASONS: Final = {
    CLEAR: Reason(
        "FOUND_ELSEWHERE",
        "来源地今日未见异常，北京自己没有记录。",
        "The origin found nothing today, and Beijing holds nothing of its own.",
    ),
    UNSURE: Reason(
        "NOT_CONFIRMED_ELSEWHERE",
        "来源地不是“未见异常”；外地的红码不会在北京变成红码，由北京自己判断。",
        "The origin found something. A red elsewhere makes nobody red here: Beijing decides.",
    ),
}


def _arrives(person: str) -> Play:
    async def play(cast: Cast) -> Scene:
        shown = document(person)
        began = time.perf_counter()
        answer = await post(
            cast.federation.platform_url(BEIJING) + ARRIVAL_PATH,
            json.dumps(
                {"cardType": "10", "cardNo": shown.number, "from": HANGZHOU.region}
            ).encode(),
            {
                "Content-Type": "application/json",
                TOKEN_HEADER: CREDENTIALS["beijing"]["token"],
            },
        )
        milliseconds = (time.perf_counter() - began) * 1000
        told = answer["data"]
        (found,) = told["shared"]
        state = told["state"]
        return Scene(
            seen=found["finding"],
            verdict=state,
            zh=state,
            en=_SAID.get(state, ""),
            style=GOOD if state == CLEAR else UNDECIDED,
            is_good=state == CLEAR,
            reasons=(_REASONS[state],) if state in _REASONS else (),
            facts=(
                Fact(
                    f"own record, untouched: {told['own']} (nothing held)",
                    f"本地记录未被改写：{told['own']}",
                    told["own"] == _NOT_HELD,
                ),
                Fact(
                    f"stated by {found['statedBy']}, assessed {found['assessedAt']}, "
                    "kept with the attestation's number",
                    f"来源：{found['statedBy']}，附凭证编号",
                    found["statedBy"] == HANGZHOU.region and bool(found["reference"]),
                ),
            ),
            milliseconds=milliseconds,
            small_print=("Beijing's own door asks the hub for its region",),
        )

    return play


CHAPTER: Final = Chapter(
    "shared",
    "路径一 · 数据共享：本地码不变，平台之间互查",
    "Path 1 · Shared data: the code stays as it is, the platforms ask each other",
    (
        Act(
            name="shared-green",
            zh="杭州绿码人员抵京",
            en="green in Hangzhou, arrives in Beijing",
            origin=HANGZHOU.region,
            destination=BEIJING.region,
            seen=CLEAR,
            verdict=CLEAR,
            reason="FOUND_ELSEWHERE",
            play=_arrives("hangzhou/green"),
        ),
        Act(
            name="shared-red",
            zh="杭州红码人员抵京",
            en="red in Hangzhou, arrives in Beijing",
            origin=HANGZHOU.region,
            destination=BEIJING.region,
            seen="非未见异常",
            verdict=UNSURE,
            reason="NOT_CONFIRMED_ELSEWHERE",
            play=_arrives("hangzhou/red"),
        ),
    ),
)
