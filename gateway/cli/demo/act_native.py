"""Path 3, native: the national issuer serves whoever has no code of their own.

People of Hunan declare at its window and are assessed at once, with every change of
what is known. A gate asks for Hunan; nobody in the feed answers for it, so the edge
asks the national code, and says that it did.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from google.protobuf.timestamp_pb2 import Timestamp
from hutong.v1 import code_pb2, exchange_pb2, issuer_pb2
from hutong.v1 import issuer_desk_service_pb2 as desk_pb
from hutong.v1 import issuer_service_pb2 as pb

from adapters.platforms.people import Population
from gateway.cli.demo.acts import Act, Chapter
from gateway.cli.demo.cast import card
from gateway.cli.demo.regions import GUANGDONG, HUNAN
from gateway.cli.demo.scene import Fact, decided, seen_in
from gateway.issuer.calling import LONG_SECONDS
from gateway.recognition import Verdict
from gateway.wire.private_files import write_private

if TYPE_CHECKING:
    from adapters.platforms.people import Person
    from gateway.cli.demo.cast import Cast
    from gateway.cli.demo.scene import Scene

HOME: Final = "430102"
"""A district of Changsha in Hunan."""

JOURNEY: Final = "430202"
"""A district of Zhuzhou in Hunan, through which somebody travelled."""

TRAVELLER, GRANDMOTHER, GRANDCHILD, NEIGHBOUR = (
    Population((HOME,), size=4).person(index) for index in range(4)
)
PAPER_FILE: Final = "paper-code.pdf"
_NO: Final = code_pb2.TRI_STATE_NO


def declaration(person: Person, *, proxy: Person | None = None) -> pb.DeclareHealthRequest:
    """What a healthy person says at a window, or whoever acts for the person."""
    return pb.DeclareHealthRequest(
        identity=issuer_pb2.Identity(
            document=_document(person),
            name=person.name,
            sex=issuer_pb2.SEX_FEMALE,
            phone="" if proxy is not None else person.phone,
            division=HOME,
        ),
        temperature_decicelsius=365,
        symptoms=[issuer_pb2.SYMPTOM_NONE],
        answers=code_pb2.Declarations(contact=_NO, risk_area=_NO, overseas=_NO),
        proxy=_proxy(proxy),
    )


def _document(person: Person) -> exchange_pb2.Document:
    return exchange_pb2.Document(
        type=code_pb2.DOCUMENT_TYPE_RESIDENT_IDENTITY_CARD, number=person.number
    )


def _proxy(person: Person | None) -> issuer_pb2.Proxy | None:
    return None if person is None else issuer_pb2.Proxy(document=_document(person))


def _stamp(moment: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(moment.replace(microsecond=0))
    return stamp


def _level(state: issuer_pb2.HealthState) -> str:
    return code_pb2.Level.Name(state.level).removeprefix("LEVEL_")


async def _window(cast: Cast, method: str, request: Any) -> Any:
    window = cast.desk("window")
    return await window.call(getattr(window.service, method), request)


async def _make_code(
    cast: Cast, person: Person, medium: pb.Medium.ValueType, proxy: Person | None = None
) -> pb.MakeCodeResponse:
    made: pb.MakeCodeResponse = await _window(
        cast,
        "MakeCode",
        pb.MakeCodeRequest(
            call=await cast.desk("window").applied(pb.CALL_KIND_MAKE),
            document=_document(person),
            proxy=_proxy(proxy),
            medium=medium,
        ),
    )
    return made


async def _asked_at_the_gate(cast: Cast, person: Person, *facts: Fact) -> Scene:
    result = await cast.at(GUANGDONG).ask(card(person.number), origin=HUNAN)
    return decided(result, *facts)


async def _declares(cast: Cast) -> Scene:
    began = time.perf_counter()
    declared = await _window(cast, "DeclareHealth", declaration(TRAVELLER))
    milliseconds = (time.perf_counter() - began) * 1000
    made = await _make_code(cast, TRAVELLER, pb.MEDIUM_PHONE)
    shown = await cast.at(GUANGDONG).ask(made.code_content)
    level = _level(declared.state)
    return await _asked_at_the_gate(
        cast,
        TRAVELLER,
        Fact(
            f"declared at the window, assessed at once: {level} in {milliseconds:.0f} ms",
            "窗口申报，当场判定：绿码",
            level == "GREEN",
        ),
        Fact(
            "the code on the phone says the same",
            "手机上的码结果一致",
            seen_in(shown) == "GREEN" and shown.is_admitted,
        ),
    )


async def _stay_turns_red(cast: Cast) -> Scene:
    now = datetime.now(UTC)
    journey = issuer_pb2.Stay(
        division=JOURNEY,
        entered_at=_stamp(now - timedelta(days=1)),
        left_at=_stamp(now - timedelta(hours=20)),
    )
    told = await _window(
        cast,
        "DeclareItinerary",
        pb.DeclareItineraryRequest(document=_document(TRAVELLER), stays=[journey]),
    )
    feeder = cast.desk("feeder")
    published = await feeder.call(
        feeder.desk.PublishAreas,
        desk_pb.PublishAreasRequest(
            areas=[desk_pb.Area(division=JOURNEY, risk=desk_pb.AREA_RISK_HIGH)],
            valid_from=_stamp(now),
            source="synthetic list of areas",
        ),
        seconds=LONG_SECONDS,
    )
    return await _asked_at_the_gate(
        cast,
        TRAVELLER,
        Fact(
            f"a stay was declared and changed nothing: {_level(told.state)}",
            "申报行程，尚未变色",
            _level(told.state) == "GREEN",
        ),
        Fact(
            "the list of areas was published, and whom it touches assessed: "
            f"{published.changed} changed",
            f"公布风险地区，涉及人员当即重新判定：{published.changed} 人变色",
            published.changed == 1,
        ),
    )


async def _is_corrected(cast: Cast) -> Scene:
    opened = await _window(
        cast,
        "CorrectHealth",
        pb.CorrectHealthRequest(
            document=_document(TRAVELLER),
            open=pb.OpenCorrection(
                subject=pb.CORRECTION_SUBJECT_STAY,
                statement="the train passed through without a stop",
            ),
        ),
    )
    reviewer = cast.desk("reviewer")
    trace = desk_pb.ReadTraceRequest(document=_document(TRAVELLER))
    found = await reviewer.call(reviewer.desk.ReadTrace, trace)
    stays = [entry.id for entry in found.entries if entry.kind == "stay" and JOURNEY in entry.text]
    answered = await reviewer.call(
        reviewer.desk.AnswerCorrection,
        desk_pb.AnswerCorrectionRequest(
            id=opened.correction.id,
            status=pb.CORRECTION_STATUS_UPHELD,
            answer="the carrier confirms it",
            withdrawn=stays,
        ),
    )
    found = await reviewer.call(reviewer.desk.ReadTrace, trace)
    kept = [entry for entry in found.entries if entry.id in stays]
    told = [entry for entry in found.entries if entry.kind in {"correction", "withdrawal"}]
    return await _asked_at_the_gate(
        cast,
        TRAVELLER,
        Fact(
            f"a reviewer upholds correction {opened.correction.id}: back to "
            f"{_level(answered.state)} at once",
            "复核人员认可更正，当即转回绿码",
            _level(answered.state) == "GREEN",
        ),
        *(Fact(f"trace: {entry.kind} by {entry.by}: {entry.text}", "") for entry in told),
        Fact(
            "the stay still stands in the trace, as withdrawn",
            "行程仍留在记录中，标明已撤回",
            bool(kept) and all(entry.HasField("withdrawn_at") for entry in kept),
        ),
    )


async def _on_paper(cast: Cast) -> Scene:
    await _window(cast, "DeclareHealth", declaration(GRANDCHILD))
    await _window(cast, "DeclareHealth", declaration(GRANDMOTHER, proxy=GRANDCHILD))
    made = await _make_code(cast, GRANDMOTHER, pb.MEDIUM_PAPER, GRANDCHILD)
    path = cast.federation.folder / PAPER_FILE
    write_private(path, made.pdf)
    result = await cast.at(GUANGDONG).ask(made.code_content)
    until = made.code_valid_until.ToDatetime(tzinfo=UTC)
    return decided(
        result,
        Fact(
            "her grandchild declared for her, and printed the code: "
            f"{path.name}, valid {round((until - datetime.now(UTC)) / timedelta(days=1))} days",
            "由孙辈代为申报并打印纸质码",
            made.pdf.startswith(b"%PDF"),
        ),
        Fact(
            "no colour stands on the paper: the gate asks for that of the moment",
            "纸上不印颜色，查验时以当时状态为准",
        ),
    )


CHAPTER: Final = Chapter(
    "native",
    "路径三 · 国家签发：没有本地码的地区",
    "Path 3 · Native: the national code, for regions without one",
    (
        Act(
            name="native-green",
            zh="湖南居民申报后到广东",
            en="declares in Hunan, which has no code, and travels to Guangdong",
            origin=HUNAN,
            destination=GUANGDONG.region,
            seen="GREEN",
            verdict=Verdict.ADMIT.value,
            reason="GREEN_IS_FRESH",
            play=_declares,
        ),
        Act(
            name="native-red",
            zh="途经之地成为高风险地区，当即转红",
            en="a place of the journey becomes an area of high risk: red at once",
            origin=HUNAN,
            destination=GUANGDONG.region,
            seen="RED",
            verdict=Verdict.OBSERVE_CENTRAL.value,
            reason="RED_IS_OBSERVED",
            play=_stay_turns_red,
        ),
        Act(
            name="native-corrected",
            zh="本人申请更正，复核属实，转回绿码",
            en="says that this is wrong, and is right",
            origin=HUNAN,
            destination=GUANGDONG.region,
            seen="GREEN",
            verdict=Verdict.ADMIT.value,
            reason="GREEN_IS_FRESH",
            play=_is_corrected,
        ),
        Act(
            name="native-paper",
            zh="祖母没有手机：家人代办，出示纸质码",
            en="a grandmother without a phone shows a code on paper",
            origin=HUNAN,
            destination=GUANGDONG.region,
            seen="GREEN",
            verdict=Verdict.ADMIT.value,
            reason="GREEN_IS_FRESH",
            play=_on_paper,
        ),
    ),
)
