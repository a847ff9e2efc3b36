"""Hubei's wire: JSON questions under a keyed signature.

::

    POST /hbjkm/gate/v2/byIdCard  {"idType":"01","idNo":…,"appId":…,"timestamp":…,
                                   "nonce":…,"signature":…}
    POST /hbjkm/gate/v2/byQrCode  {"qrCode":…, …}

    {"status":0,"message":"ok","result":{"codes":[{"idNo":…,"codeColor":"绿码",
      "popup":null,"expireTime":1583877000000,…}]}}

``signature`` is HMAC-SHA-256 over all other members as ``a=1&b=2`` in order of their
names, in lower-case hexadecimal digits. Only a green says when it ends.

No source shows Hubei's wire: all of it is a choice. From sources are the states and
the ways between them, which this platform computes from what it knows of the person.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Final

from aiohttp import web

from adapters.platforms.base import CityPlatform
from adapters.platforms.hubei.table import (
    AFTER_RED,
    CITY,
    GREEN,
    NO_TEMPERATURE,
    RED,
    STAGE,
    YELLOW,
)
from adapters.platforms.records import Answer, Colour, Record, Result
from adapters.platforms.server import json_response, read_object
from adapters.platforms.times import TimeForm

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from adapters.platforms.people import Person

CLOCK_TOLERANCE_SECONDS: Final = 300

_ISSUER: Final = {"420000": "湖北省"}


@dataclass(frozen=True, slots=True)
class HubeiCredentials:
    """What one gate system was given; synthetic unless you change it."""

    app_id: str = "synthetic-hbjkm"
    app_key: str = "synthetic-hbjkm-key"


class HubeiPlatform(CityPlatform[HubeiCredentials]):
    """The reference platform of Hubei."""

    table = CITY
    credentials_type = HubeiCredentials
    times = TimeForm.EPOCH_MS
    several_people = True
    shows_issuer = True
    codes: ClassVar[Mapping[Result, str]] = {
        Result.OK: "0",
        Result.BAD_REQUEST: "4000",
        Result.BAD_CREDENTIAL: "4001",
        Result.NOT_FOUND: "1001",
        Result.NOT_APPLIED: "1002",
        Result.QR_EXPIRED: "1003",
        Result.QR_NOT_OURS: "1004",
        Result.MUST_UPDATE: "1005",
        Result.QUOTA: "9001",
    }

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """One query a kind of presentation."""
        return [
            web.post("/hbjkm/gate/v2/byIdCard", self._by_id_card),
            web.post("/hbjkm/gate/v2/byQrCode", self._by_qr_code),
        ]

    def admit(self, request: web.Request) -> web.Response | None:
        """Refuse a call whose query string is not signed."""
        return self._refuse(dict(request.query))

    def finish(self, person: Person, record: Record, now: datetime) -> Record:  # noqa: ARG002 - as the base calls it
        """Move a person along red, yellow and green, and say why a green has lapsed."""
        discharged_ago = record.extra.get("discharged_ago")
        if discharged_ago is not None:
            if discharged_ago < STAGE:
                return replace(record, state=RED, colour=Colour.RED)
            if discharged_ago < 2 * STAGE:
                return replace(record, state=YELLOW, colour=Colour.MIDDLE, reason=AFTER_RED)
            return replace(record, state=GREEN, colour=Colour.GREEN, reason="")
        if record.state == YELLOW and not record.reason:
            return replace(record, reason=NO_TEMPERATURE)
        return record

    async def _by_id_card(self, request: web.Request) -> web.Response:
        body = await read_object(request)
        refusal = self._refuse(body)
        if refusal is not None:
            return refusal
        if body.get("idType") != "01":
            return self._reply(Answer(Result.BAD_REQUEST))
        return self._reply(self.ask_number(str(body.get("idNo", ""))))

    async def _by_qr_code(self, request: web.Request) -> web.Response:
        body = await read_object(request)
        refusal = self._refuse(body)
        return refusal or self._reply(self.ask_qr(str(body.get("qrCode", ""))))

    def _record(self, person: Person, record: Record) -> dict[str, object]:
        colour, _, pop_up = record.state.partition("/")
        ends = record.valid_until if record.colour is Colour.GREEN else None
        return {
            "idNo": self.number(person),
            "name": person.name,
            "codeColor": colour,
            "popup": pop_up or None,
            "reason": record.reason,
            "province": _ISSUER.get(record.division, record.division),
            "colorTime": self.time(record.assessed_at),
            "syncTime": self.time(record.updated_at),
            "lastTemperatureTime": self.time(record.declared_at),
            "expireTime": self.time(ends),
            "agentIdNo": record.proxy or None,
        }

    def _refuse(self, fields: Mapping[str, Any]) -> web.Response | None:
        moment = str(fields.get("timestamp", ""))
        if not (moment.isascii() and moment.isdigit() and len(moment) <= 10):  # noqa: PLR2004 - seconds until the year 2286
            return self._reply(Answer(Result.BAD_REQUEST))
        late = abs(int(moment) - int(self.clock().timestamp())) > CLOCK_TOLERANCE_SECONDS
        given = str(fields.get("signature", "")).encode("utf-8", "surrogateescape")
        wanted = sign_fields(fields, self.credentials.app_key).encode()
        known = fields.get("appId") == self.credentials.app_id
        if late or not known or not hmac.compare_digest(given, wanted):
            return self._reply(Answer(Result.BAD_CREDENTIAL))
        return None

    def _reply(self, answer: Answer) -> web.Response:
        codes = [self._record(person, record) for person, record in answer.records]
        return json_response(
            {
                "status": int(self.code(answer.result)),
                "message": "ok" if answer.result is Result.OK else "error",
                "result": {"codes": codes},
            }
        )


def sign_fields(fields: Mapping[str, Any], key: str) -> str:
    """The signature of a call: HMAC-SHA-256 over its other members."""
    ordered = "&".join(f"{name}={fields[name]}" for name in sorted(fields) if name != "signature")
    text = ordered.encode("utf-8", "surrogatepass")
    return hmac.new(key.encode(), text, hashlib.sha256).hexdigest()
