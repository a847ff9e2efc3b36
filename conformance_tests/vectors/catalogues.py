"""Catalogues (docs/spec/catalogue.md): a region's file for a day, and those that follow it.

Rows are about nobody: their pseudonyms are digests of numbers.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Final

from conformance_tests.crypto import b64
from conformance_tests.vectors.keys import digest, to_json
from conformance_tests.vectors.plan import CITY, HOUR, NOW, SCHEME
from conformance_tests.vectors.tokens import key_of, put

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from conformance_tests.vectors.plan import VerifierPlan

TYPE: Final = "hutong-catalogue+jwt"
AUDIENCE: Final = "urn:hutong:region:440100"
_TIMES = {"iat", "taken_at", "assessed_at", "source_at"}
_OTHER = digest("another file")


def subject(number: int) -> str:
    """The pseudonym of a made-up person."""
    return b64(hashlib.sha256(f"person {number}".encode()).digest())


def scheme_document() -> dict[str, Any]:
    """The city's scheme as it publishes it, as far as a catalogue asks for it."""
    family, _, version = SCHEME.partition("@")
    return {
        "authority": CITY.rpartition(":")[2],
        "family": family,
        "prefixes": ["3301"],
        "versions": [{"id": version}],
    }


def files(plan: VerifierPlan) -> list[str]:
    """The files that reach the reader, in order; the last is what a case is about."""
    if plan.catalogue_story == "one":
        return [_file(plan, _rows(plan.catalogue_rows), plan.catalogue_header)]
    first = {"sequence": 2, "previous": _OTHER} if plan.catalogue_break == "older" else {}
    before = _file(None, _rows(({"n": 0}, {"n": 1})), first)
    if plan.catalogue_story == "again":
        return [before, before]
    follows = {"sequence": 2, "previous": digest(before.split("\n")[0]), "iat": -300}
    broken: dict[str, dict[str, Any]] = {
        "": {},
        "older": {"sequence": 1, "previous": None},
        "earlier-day": {"day": "2020-04-07", "taken_at": -13 * HOUR},
        "same-number": {"sequence": 1, "previous": None},
        "other-previous": {"previous": _OTHER},
        "gap": {"sequence": 3, "previous": _OTHER},
    }
    header = {**follows, **broken.get(plan.catalogue_break, {}), **plan.catalogue_header}
    return [before, _file(plan, _rows(plan.catalogue_rows), header)]


def held_before(plan: VerifierPlan) -> int:
    """How many are listed before the last file."""
    return 0 if plan.catalogue_story == "one" else 2


def _rows(rows: Sequence[Mapping[str, Any]]) -> list[bytes]:
    return [_row(dict(each)) for each in rows]


def _row(change: dict[str, Any]) -> bytes:
    """A line; ``n`` says who, ``spelling`` how it is written, ``count`` makes it a count."""
    number, spelling = change.pop("n", 0), change.pop("spelling", "")
    if "division" in change:
        return to_json(dict(sorted(change.items())))
    row = {
        "area": "330106",
        "assessed_at": -3 * HOUR,
        "basis": ["CONTACT"],
        "issued_by": "330100",
        "level": "RED",
        "reason": "CONTACT",
        "scheme": SCHEME,
        "source_at": -2 * HOUR,
        "state": "红码",
        "sub": subject(number),
    }
    merged = _at(put(row, change))
    if spelling == "spaced":
        return json.dumps(merged, sort_keys=True, ensure_ascii=False).encode()
    if spelling == "unordered":
        return to_json(dict(sorted(merged.items(), reverse=True)))
    return to_json(dict(sorted(merged.items())))


def _at(members: dict[str, Any]) -> dict[str, Any]:
    return {name: NOW + value if name in _TIMES else value for name, value in members.items()}


def _file(plan: VerifierPlan | None, rows: list[bytes], change: Mapping[str, Any]) -> str:
    """A file; of a plan, with what is wrong with it."""
    content = b"".join(row + b"\n" for row in rows)
    claims = {
        "iss": CITY,
        "aud": AUDIENCE,
        "iat": -600,
        "kind": "records",
        "day": "2020-04-08",
        "taken_at": -1200,
        "sequence": 1,
        "rows": len(rows),
        "bytes": len(content),
        "digest": b64(hashlib.sha256(content).digest()),
        "correction": "杭州 12345",
    }
    signer, typ, defect = "city/state", TYPE, ""
    if plan is not None:
        signer, defect = plan.catalogue_key, plan.catalogue_break
        typ = "hutong-statement+jwt" if defect == "other-type" else TYPE
    key = key_of(signer)
    kid = key_of("city/state").kid if signer == "stranger" else key.kid
    header = {"alg": key.alg, "kid": kid, "typ": typ}
    token = key.sign_bytes(header, to_json(_at(put(claims, change))))
    if defect == "cut-short":
        content = content[: content.rstrip(b"\n").rindex(b"\n") + 1]
    elif defect == "longer":
        content += rows[0] + b"\n"
    elif defect == "altered":
        content = content.replace("红码".encode(), "黄码".encode())
    return f"{token}\n{content.decode()}"
