r"""Zhejiang's provincial wire, as integrators of the real one described it.

A signed GET on an ESB gateway::

    GET /gateway/api/qsjkmxxcx/1.0?appKey=…&requestTime=…&sign=…&sfzh=…   by number
    GET /gateway/api/sjhcxjkm/1.0?…&sjh=…                                 by phone
    GET /gateway/api/ewmcxjkm/1.0?…&ewm=…                                 by QR text

``sign`` is MD5(appKey + requestSecret + requestTime) in lower-case hexadecimal
digits, ``requestTime`` milliseconds since 1970. The secret lives shortly and is
had from two calls signed the same way with another secret in its place:
``refreshTokenByKey`` (with the app's own secret) and ``refreshTokenBySec`` (with
the refresh secret the former returned). The answer is a document inside a document::

    {"code":"00","msg":"成功","datas":"{\"success\":true,\"data\":[…],…}"}

where ``data`` holds one record for each issuing city, times look like
``2021-08-10T08:49:17.000+0000``, and envelope code ``18`` means that the day's
calls are used up.

A conversion of another region's green is posted with the same signature in the
query and a form as its body; the answer's ``data`` is one object::

    POST /gateway/api/jkmhr/1.0?appKey=…&requestTime=…&sign=…
    ywlsh=REFERENCE&zjlx=IDENTITY_CARD&sfzh=…&xm=…&lydq=440000&hsjcsj=2020-06-01T…+0000
    &yxqz=2020-06-02T…+0000

    {"success":true,"data":{"ewm":"https://…","yxqz":"…+0000","hsjcsj":"…+0000"},…}

``hsjcsj`` (the negative test) and ``yxqz`` (the end of the code at the latest) may be
empty; the province ends a converted code after 24 hours. Refusals: ``JKM_OWN_RECORD`` (Hangzhou's
own record is less than green), ``JKM_CONFLICT`` (the reference stands for another
conversion). The QR text is then asked about with ``ewmcxjkm`` like any other; its
record alone carries ``yxqz`` (end of the code) and ``hsjcsj``.

From sources: the interface names ``qsjkmxxcx`` and ``sjhcxjkm`` and their versions,
the signature, both refresh calls, the envelope, ``00`` and ``18``, the members of a
record, and that Hangzhou's own code numbers have 14 digits and all others 32
hexadecimal ones. Choices: the paths, the interfaces ``ewmcxjkm`` and ``jkmhr``, five
minutes of clock tolerance, 15 minutes and 48 hours of life for the two secrets, the
other envelope codes, and the inner ``errorCode`` values.

Another room of the province (``adapters/platforms/zhejiang``) subclasses
`ProvincialPlatform`, sets ``table`` and ``credentials_type`` (a subclass of
`ProvincialCredentials`), and has the whole wire: `CITIES` names the issuers that a
table's ``division`` may say, ``Record.kind`` becomes ``mlx``, ``Record.source``
``source``, ``Record.proxy`` ``dbrsfzh``.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections import deque
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar

from aiohttp import web

from adapters.platforms.base import CityPlatform
from adapters.platforms.imports import ImportOrder
from adapters.platforms.records import Answer, Record, Result
from adapters.platforms.server import json_response
from adapters.platforms.stories import generation_of
from adapters.platforms.times import TimeForm

if TYPE_CHECKING:
    from collections.abc import Iterable

    from adapters.platforms.people import Person

REQUEST_SECRET_SECONDS: Final = 900
REFRESH_SECRET_SECONDS: Final = 172_800
CLOCK_TOLERANCE_MS: Final = 300_000

CITIES: Final = {
    "330100": "杭州市",
    "330200": "宁波市",
    "330300": "温州市",
    "330400": "嘉兴市",
    "330500": "湖州市",
    "330600": "绍兴市",
    "330700": "金华市",
    "330800": "衢州市",
    "330900": "舟山市",
    "331000": "台州市",
    "331100": "丽水市",
    "410100": "郑州市",  # only under the fault `another-province`
}
"""Issuers, as ``mffd`` writes them."""

_HANGZHOU: Final = "杭州自建"
_SECRETS_KEPT: Final = 64  # far more adapters than one city has
_MS_DIGITS: Final = 13  # until the year 2286


class Envelope(StrEnum):
    """Codes of the outer document."""

    OK = "00"
    BAD_REQUEST = "11"
    UNKNOWN_APP = "12"
    BAD_SIGN = "13"
    BAD_TIME = "14"
    SECRET_EXPIRED = "15"  # noqa: S105 - the name of a code
    QUOTA = "18"


_MESSAGES: Final = {
    Envelope.OK: "成功",
    Envelope.BAD_REQUEST: "请求参数错误",
    Envelope.UNKNOWN_APP: "应用不存在",
    Envelope.BAD_SIGN: "签名错误",
    Envelope.BAD_TIME: "请求时间超出允许范围",
    Envelope.SECRET_EXPIRED: "密钥已过期",
    Envelope.QUOTA: "调用次数超过限额",
}

_INNER_MESSAGES: Final = {
    "JKM_NOT_APPLIED": "未申领健康码",
    "JKM_MUST_UPDATE": "请先更新申报信息",
    "JKM_QR_EXPIRED": "二维码已失效",
    "JKM_QR_UNKNOWN": "二维码不存在",
    "JKM_QR_NOT_OURS": "非本系统二维码",
    "JKM_OWN_RECORD": "本地码非绿码，不予转换",
    "JKM_CONFLICT": "业务流水号重复",
}


@dataclass(frozen=True, slots=True)
class ProvincialCredentials:
    """What one client of the gateway was given; synthetic unless you change it."""

    app_key: str = "synthetic-app"
    app_secret: str = "synthetic-app-secret"  # noqa: S105 - a stage prop


@dataclass(frozen=True, slots=True)
class _Secret:
    text: str
    ends_at_ms: int


P = TypeVar("P", bound=ProvincialCredentials)


class ProvincialPlatform(CityPlatform[P]):
    """A platform behind the provincial gateway; a room sets its table."""

    times = TimeForm.UTC_NO_COLON
    several_people = True
    shows_issuer = True
    codes: ClassVar = {
        Result.NOT_APPLIED: "JKM_NOT_APPLIED",
        Result.MUST_UPDATE: "JKM_MUST_UPDATE",
        Result.QR_EXPIRED: "JKM_QR_EXPIRED",
        Result.QR_UNKNOWN: "JKM_QR_UNKNOWN",
        Result.QR_NOT_OURS: "JKM_QR_NOT_OURS",
        Result.OWN_RECORD: "JKM_OWN_RECORD",
        Result.CONFLICT: "JKM_CONFLICT",
    }

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._request_secrets: deque[_Secret] = deque(maxlen=_SECRETS_KEPT)
        self._refresh_secrets: deque[_Secret] = deque(maxlen=_SECRETS_KEPT)
        self._issued = 0

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """Two refresh calls, three queries, one conversion."""
        return [
            web.get("/gateway/app/refreshTokenByKey", self._refresh_by_key),
            web.get("/gateway/app/refreshTokenBySec", self._refresh_by_secret),
            web.get("/gateway/api/qsjkmxxcx/1.0", self._query_by_document),
            web.get("/gateway/api/sjhcxjkm/1.0", self._query_by_phone),
            web.get("/gateway/api/ewmcxjkm/1.0", self._query_by_qr),
            web.post("/gateway/api/jkmhr/1.0", self._convert),
        ]

    def admit(self, request: web.Request) -> web.Response | None:
        """Signed with a living secret, like every query."""
        refusal = self._refuse(request, self._living(self._request_secrets))
        return None if refusal is None else _envelope(refusal)

    async def _refresh_by_key(self, request: web.Request) -> web.Response:
        return self._refresh(request, (self.credentials.app_secret,))

    async def _refresh_by_secret(self, request: web.Request) -> web.Response:
        return self._refresh(request, self._living(self._refresh_secrets))

    def _refresh(self, request: web.Request, secrets: Iterable[str]) -> web.Response:
        refusal = self._refuse(request, secrets)
        if refusal is not None:
            return _envelope(refusal)
        fresh = self._make_secret("request", REQUEST_SECRET_SECONDS)
        refresh = self._make_secret("refresh", REFRESH_SECRET_SECONDS)
        self._request_secrets.append(fresh)
        self._refresh_secrets.append(refresh)
        return _envelope(
            Envelope.OK,
            {
                "requestSecret": fresh.text,
                "requestSecretEndTime": fresh.ends_at_ms,
                "refreshSecret": refresh.text,
                "refreshSecretEndTime": refresh.ends_at_ms,
            },
        )

    async def _query_by_document(self, request: web.Request) -> web.Response:
        number = request.query.get("sfzh", "")
        return self._refused(request, number) or self._reply(self.ask_number(number))

    async def _query_by_phone(self, request: web.Request) -> web.Response:
        phone = request.query.get("sjh", "")
        return self._refused(request, phone) or self._reply(self.ask_phone(phone))

    async def _query_by_qr(self, request: web.Request) -> web.Response:
        text = request.query.get("ewm", "")
        return self._refused(request, text) or self._reply(self.ask_qr(text))

    async def _convert(self, request: web.Request) -> web.Response:
        form = await request.post()
        fields = {name: value for name, value in form.items() if isinstance(value, str)}
        refusal = self._refused(request, fields.get("sfzh", ""))
        if refusal is not None:
            return refusal
        try:
            tested = _read_time(fields.get("hsjcsj", ""))
            ends_at = _read_time(fields.get("yxqz", ""))
        except ValueError:
            return _envelope(Envelope.BAD_REQUEST)
        done = self.convert(
            ImportOrder(
                reference=fields.get("ywlsh", ""),
                number=fields["sfzh"],
                origin=fields.get("lydq", ""),
                name=fields.get("xm", ""),
                document_type=fields.get("zjlx", ""),
                negative_test_at=tested,
                ends_at=ends_at,
            )
        )
        if isinstance(done, Result):
            return self._reply(Answer(done))
        return _envelope(
            Envelope.OK,
            _inner(
                None,
                {
                    "ewm": done.qr_text,
                    "yxqz": self.time(done.expires_at),
                    "hsjcsj": self.time(done.negative_test_at),
                },
            ),
        )

    def _refused(self, request: web.Request, asked: str) -> web.Response | None:
        refusal = self.admit(request)
        if refusal is not None or asked:
            return refusal
        return _envelope(Envelope.BAD_REQUEST)

    def _reply(self, answer: Answer) -> web.Response:
        if answer.result is Result.QUOTA:
            return _envelope(Envelope.QUOTA)
        if answer.result is Result.BAD_REQUEST:
            return _envelope(Envelope.BAD_REQUEST)
        if answer.result is Result.NOT_FOUND:
            # The province does not tell who is unknown from who holds nothing.
            return _envelope(Envelope.OK, _inner(None, []))
        if answer.result is not Result.OK:
            return _envelope(Envelope.OK, _inner(self.code(answer.result), []))
        documents = [
            self._record(held.person, place, record)
            for held in answer.holdings
            for place, record in enumerate(held.records)
        ]
        return _envelope(Envelope.OK, _inner(None, documents))

    def _record(self, person: Person, place: int, record: Record) -> dict[str, object]:
        version = self.table.version_at(self.clock())
        number = f"3301{generation_of(self.table, version, person.index)}{person.index:09d}"
        own = record.source == _HANGZHOU
        document: dict[str, object] = {
            "sfzh": self.number(person),
            "id": number if own else self.population.mark(f"{number}/{place}", 16).hex(),
            "xm": person.name,
            "sjh": person.phone,
            "mffd": CITIES[record.division],
            "mlx": record.kind,
            "mzt": record.state,
            "hmcmyy": record.reason,
            "scffsj": self.time(record.issued_at),
            "scsqsj": self.time(record.applied_at),
            "zjgxsj": self.time(record.updated_at),
            "zjlx": "IDENTITY_CARD",
            "source": record.source,
            "dbrsfzh": self.echo(record.proxy) if record.proxy else None,
        }
        if record.valid_until is not None:
            document["yxqz"] = self.time(record.valid_until)
            document["hsjcsj"] = self.time(record.negative_test_at)
        return document

    def _refuse(self, request: web.Request, secrets: Iterable[str]) -> Envelope | None:
        """Why this call is not let in, or None when its signature holds."""
        key = request.query.get("appKey", "")
        moment = request.query.get("requestTime", "")
        given = request.query.get("sign", "")
        is_moment = moment.isascii() and moment.isdigit() and len(moment) == _MS_DIGITS
        if not (key and given and is_moment):
            return Envelope.BAD_REQUEST
        if key != self.credentials.app_key:
            return Envelope.UNKNOWN_APP
        if abs(int(moment) - self._now_ms()) > CLOCK_TOLERANCE_MS:
            return Envelope.BAD_TIME
        known = tuple(secrets)
        if not known:
            return Envelope.SECRET_EXPIRED
        if any(
            hmac.compare_digest(given.encode(), sign_request(key, secret, moment).encode())
            for secret in known
        ):
            return None
        return Envelope.BAD_SIGN

    def _living(self, secrets: deque[_Secret]) -> tuple[str, ...]:
        now = self._now_ms()
        return tuple(secret.text for secret in secrets if secret.ends_at_ms > now)

    def _make_secret(self, kind: str, life_seconds: int) -> _Secret:
        # A counter instead of randomness, so that the same calls give the same
        # bytes; a stage prop may be guessable.
        self._issued += 1
        text = self.population.mark(f"{kind}/{self._issued}", 16).hex()
        return _Secret(text, self._now_ms() + life_seconds * 1_000)

    def _now_ms(self) -> int:
        return int(self.clock().timestamp() * 1_000)


def sign_request(app_key: str, secret: str, request_time: str) -> str:
    """The gateway's signature: MD5, as the real one demands; no protection today."""
    return hashlib.md5(f"{app_key}{secret}{request_time}".encode()).hexdigest()  # noqa: S324 - the wire that integrators describe


def _read_time(text: str) -> datetime | None:
    """A time of the wire; empty: none is stated.

    Raises:
        ValueError: another form.
    """
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%f%z") if text else None


def _envelope(code: Envelope, datas: object = None) -> web.Response:
    document: dict[str, object] = {"code": str(code), "msg": _MESSAGES[code], "datas": ""}
    if datas is not None:
        document["datas"] = json.dumps(datas, ensure_ascii=False, separators=(",", ":"))
    return json_response(document)


def _inner(error: str | None, data: object) -> dict[str, object]:
    return {
        "success": error is None,
        "data": data,
        "errorCode": error,
        "errorMsg": None if error is None else _INNER_MESSAGES[error],
        "extraData": None,
        "traceId": "synthetic",
    }
