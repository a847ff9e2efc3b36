"""Beijing's wire as the reference platform speaks it.

One call of the real one is known: a phone asks for a QR code and is refused with -1
(your state is not 未见异常), -7 or 51 (it cannot be confirmed for now). Everything else
is a choice, made in the same manner::

    X-Jkb-Token: …
    POST /jingxinju/jkb/state/query   {"cardType":"10","cardNo":"…"}
    POST /jingxinju/jkb/qrCode/read   {"qrCode":"…"}
    POST /jingxinju/jkb/qrCode/apply  {"cardNo":"…"}       the holder's phone
    POST /jingxinju/jkb/arrival       {"cardType":"10","cardNo":"…","from":"330100"}

    {"code":"0","message":"成功","data":{
       "name":"测**","cardNo":"11**********2X","issuer":"北京市",
       "state":"未见异常","popup":"弹窗1","color":"0","msg":"1",
       "dataAt":"2022-05-10 00:00:00","resultAt":"2022-05-10 00:00:00",
       "testAt":"2022-05-09 10:00:00","agent":false,
       "own":"未见异常/弹窗1","shared":[{"from":"330100","statedBy":"330100",
         "finding":"未见异常","assessedAt":"…","testAt":null,"askedAt":"…",
         "reference":"…"}]}}

``color`` and ``msg`` stand there as in a community's system, so that an adapter can be
caught reading them. Names and numbers are masked as on the holder's screen: the
surname, the first and the last two characters.

``arrival`` takes a traveller in: the platform asks the region through ``shared``
(:mod:`adapters.platforms.beijing.shared`) and answers with the record as it now is.
``own`` is Beijing's own record, always there; ``shared`` what was found elsewhere, by
whom and when. The words in ``state`` follow from both
(:mod:`adapters.platforms.beijing.arrivals`).
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar, Final

from aiohttp import web

from adapters.platforms.base import CityPlatform
from adapters.platforms.beijing.arrivals import Arrivals, shown_state
from adapters.platforms.beijing.table import (
    AT_HOME,
    CANNOT_CONFIRM,
    CITY,
    CLEAR,
    COLOURS,
    IN_CENTRE,
    NOT_CONFIRMED,
    NOT_HELD,
    TEST_MISSING,
)
from adapters.platforms.faulty import refused_by
from adapters.platforms.people import Person
from adapters.platforms.records import Answer, Record, Result
from adapters.platforms.server import json_response, read_object
from adapters.platforms.times import TimeForm
from gateway.codes.divisions import DivisionError, parse_division
from gateway.codes.documents import Document, DocumentError, DocumentType, parse_document
from gateway.codes.levels import Level

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from adapters.platforms.beijing.arrivals import Arrival
    from adapters.platforms.beijing.shared import SharedSource

NOT_CLEAR: Final = "-1"
"""Your state is not 未见异常 (K1)."""

UNCONFIRMED: Final = "-7"
"""Your state cannot be confirmed for now (K1)."""

NOT_IN_DATA: Final = "51"
"""The same words with another code (K1); which is which is a choice."""

_NO_QR: Final = {
    AT_HOME: NOT_CLEAR,
    IN_CENTRE: NOT_CLEAR,
    CANNOT_CONFIRM: UNCONFIRMED,
    NOT_CONFIRMED: UNCONFIRMED,
    NOT_HELD: NOT_IN_DATA,
}
"""What a QR code says of states that have none."""

NOT_CLEAR_THERE: Final = "非未见异常"
NOT_VERIFIED: Final = "无法核验"
NOT_OBTAINED: Final = "未取得"
"""What is said of findings elsewhere, beside 未见异常; words chosen after K2."""

ARRIVED_FROM: Final = 800_000_000
"""Serial numbers of travellers begin here: above any population, below imported codes."""

_OWN: Final = "own"
_MESSAGES: Final = {
    "0": "成功",
    NOT_CLEAR: "您的状态不是未见异常，无法生成",
    UNCONFIRMED: "暂时无法确认您的状态，请先查询本人状态",
    NOT_IN_DATA: "暂时无法确认您的状态，请先查询本人状态",
}
_ISSUERS: Final = {CITY.division: "北京市"}


@dataclass(frozen=True, slots=True)
class BeijingCredentials:
    """What a client of the platform was given; synthetic unless you change it."""

    token: str = "synthetic-jkb-token"  # noqa: S105 - a stage prop


class BeijingPlatform(CityPlatform[BeijingCredentials]):
    """The reference platform of Beijing; takes what every city takes.

    Attributes:
        shared: asks other regions about arrivals; None: nobody does, and whoever
            arrives is not confirmed.
        arrivals: who arrived.
    """

    table = CITY
    credentials_type = BeijingCredentials
    times = TimeForm.LOCAL
    several_records = False
    shows_issuer = True
    codes: ClassVar = {
        Result.OK: "0",
        Result.BAD_REQUEST: "20",
        Result.NOT_FOUND: "21",
        Result.NOT_APPLIED: "22",
        Result.QR_EXPIRED: "23",
        Result.QR_NOT_OURS: "24",
        Result.MUST_UPDATE: "25",
        Result.AMBIGUOUS: "26",
        Result.BAD_CREDENTIAL: "28",
        Result.QUOTA: "29",
    }

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.shared: SharedSource | None = None
        self.arrivals = Arrivals()

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """Two queries, the call of the holder's phone, and the door for arrivals."""
        return [
            web.post("/jingxinju/jkb/arrival", self._arrive),
            web.post("/jingxinju/jkb/state/query", self._query),
            web.post("/jingxinju/jkb/qrCode/read", self._read),
            web.post("/jingxinju/jkb/qrCode/apply", self._apply),
        ]

    def admit(self, request: web.Request) -> web.Response | None:
        """Refuse a call without the token."""
        given = request.headers.get("X-Jkb-Token", "").encode("utf-8", "surrogateescape")
        if hmac.compare_digest(given, self.credentials.token.encode()):
            return None
        return json_response({"code": self.code(Result.BAD_CREDENTIAL)}, HTTPStatus.UNAUTHORIZED)

    def finish(self, person: Person, record: Record, now: datetime) -> Record:
        """Beijing's own record, and what it shows beside what was found elsewhere."""
        if record.state == TEST_MISSING:
            # Pop-up 4 is there because no test is.
            record = replace(record, negative_test_at=None)
        shown = shown_state(record.state, self.arrivals.latest(person.number), now)
        state = self.table.version_at(now).state(shown)
        return replace(
            record,
            state=shown,
            colour=record.colour if state is None else state.colour,
            extra={**record.extra, _OWN: record.state},
        )

    def find_number(self, number: str) -> Result | tuple[Person, ...]:
        """Who holds a document number: of this city, or arrived from elsewhere."""
        found = super().find_number(number)
        place = self.arrivals.place(number) if found is Result.NOT_FOUND else None
        return found if place is None else (_traveller(place, number),)

    def find_qr(self, text: str) -> Result | tuple[Person, ...]:
        """Who shows a QR text; travellers have theirs made here too."""
        form = CITY.qr
        ticket = form.read(text) if form is not None else None
        if form is None or ticket is None or not ticket.genuine:
            return super().find_qr(text)
        number = self.arrivals.number(ticket.serial - ARRIVED_FROM)
        if number is None:
            return super().find_qr(text)
        holds = form.holds(ticket.stamp, self.clock())
        return (_traveller(ticket.serial - ARRIVED_FROM, number),) if holds else Result.QR_EXPIRED

    def _held(self, person: Person) -> tuple[Result, tuple[Record, ...]]:
        if self.arrivals.place(person.number) != person.index - ARRIVED_FROM:
            return super()._held(person)
        now = self.clock()
        latest = self.arrivals.latest(person.number)
        tests = [a.finding.negative_test_at for a in latest if a.finding is not None]
        assessed = [a.finding.assessed_at for a in latest if a.finding is not None]
        oldest = min(arrival.asked_at for arrival in latest)
        nobody = Record(
            state=NOT_HELD,
            division=CITY.division,
            assessed_at=min([at for at in assessed if at is not None], default=oldest),
            updated_at=oldest,
            negative_test_at=max([at for at in tests if at is not None], default=None),
        )
        return Result.OK, (self.finish(person, nobody, now),)

    async def _arrive(self, request: web.Request) -> web.Response:
        refusal = self.admit(request)
        if refusal is not None:
            return refusal
        refused = refused_by(self.faults)
        if refused is not None:
            return self._reply(Answer(refused))
        body, now = await read_object(request), self.clock()
        document, origin = _document(body), _origin(body.get("from"))
        knows_doubt = self.table.version_at(now).state(CANNOT_CONFIRM) is not None
        if document is None or origin is None or not knows_doubt or not self._is_own(document):
            return self._reply(Answer(Result.BAD_REQUEST))
        await self.arrivals.hand_in(document, origin, now, self.shared)
        return self._reply(self.ask_number(document.number))

    def _is_own(self, document: Document) -> bool:
        """Whether nobody else is known here under the same text of another type."""
        arrived = self.arrivals.document(document.number)
        is_card = document.type is DocumentType.RESIDENT_IDENTITY_CARD
        resident = None if is_card else self.population.find(document.number)
        return resident is None and arrived in (None, document)

    async def _query(self, request: web.Request) -> web.Response:
        refusal = self.admit(request)
        if refusal is not None:
            return refusal
        body = await read_object(request)
        if not isinstance(body.get("cardNo"), str) or not isinstance(body.get("cardType"), str):
            return self._reply(Answer(Result.BAD_REQUEST))
        document = _document(body)
        if document is None or not self._is_own(document):
            return self._reply(Answer(Result.NOT_FOUND))
        return self._reply(self.ask_number(document.number))

    async def _read(self, request: web.Request) -> web.Response:
        refusal = self.admit(request)
        if refusal is not None:
            return refusal
        text = (await read_object(request)).get("qrCode")
        if not isinstance(text, str):
            return self._reply(Answer(Result.BAD_REQUEST))
        return self._of_a_qr(self.ask_qr(text))

    async def _apply(self, request: web.Request) -> web.Response:
        refusal = self.admit(request)
        if refusal is not None:
            return refusal
        number = (await read_object(request)).get("cardNo")
        if not isinstance(number, str):
            return self._reply(Answer(Result.BAD_REQUEST))
        answer = self.ask_number(number)
        held = answer.only
        if held is None or held[1].state in _NO_QR:
            return self._of_a_qr(answer)
        return self._send("0", {"qrCode": self.qr_text(held[0].index)})

    def _of_a_qr(self, answer: Answer) -> web.Response:
        held = answer.only
        code = _NO_QR.get(held[1].state) if held else None
        return self._reply(answer) if code is None else self._send(code, None)

    def _reply(self, answer: Answer) -> web.Response:
        held = answer.only
        return self._send(self.code(answer.result), None if held is None else self._record(*held))

    def _record(self, person: Person, record: Record) -> dict[str, object]:
        words, _, popup = record.state.partition("/")
        number = self.number(person)
        return {
            "name": person.name[:1] + "**",
            "cardNo": number[:2] + "*" * 14 + number[-2:],
            "issuer": _ISSUERS.get(record.division, "外省市"),
            "state": words,
            "popup": popup,
            "color": COLOURS.get(words, "4"),
            "msg": "0" if words == NOT_HELD else "1",
            "dataAt": self.time(record.assessed_at),
            "resultAt": self.time(record.updated_at),
            "testAt": self.time(record.negative_test_at),
            "agent": bool(record.proxy),
            "own": record.extra.get(_OWN),
            "shared": [self._shared(arrival) for arrival in self.arrivals.latest(person.number)],
        }

    def _shared(self, arrival: Arrival) -> dict[str, object]:
        """What was found elsewhere, in words of this city: which level it was is not told."""
        found = arrival.finding
        if found is None:
            word = NOT_OBTAINED
        elif found.level is None:
            word = NOT_VERIFIED
        else:
            word = CLEAR if found.level is Level.GREEN else NOT_CLEAR_THERE
        return {
            "from": arrival.origin,
            "statedBy": None if found is None else found.origin,
            "finding": word,
            "assessedAt": None if found is None else self.time(found.assessed_at),
            "testAt": None if found is None else self.time(found.negative_test_at),
            "askedAt": self.time(arrival.asked_at),
            "reference": None if found is None else found.attestation,
        }

    @staticmethod
    def _send(code: str, data: object) -> web.Response:
        return json_response({"code": code, "message": _MESSAGES.get(code, "失败"), "data": data})


def _traveller(place: int, number: str) -> Person:
    """Somebody who arrived; more than the number was not handed in."""
    return Person(index=ARRIVED_FROM + place, number=number, name="", phone="", county="")


def _document(body: Mapping[str, Any]) -> Document | None:
    kind, number = body.get("cardType"), body.get("cardNo")
    if not isinstance(kind, str) or not isinstance(number, str) or not kind.isdecimal():
        return None
    try:
        return parse_document(int(kind), number)
    except DocumentError:
        return None


def _origin(text: object) -> str | None:
    """The division somebody arrived from; nobody arrives from Beijing itself."""
    try:
        division = parse_division(text) if isinstance(text, str) else ""
    except DivisionError:
        return None
    return None if division[:2] in ("", CITY.division[:2]) else division
