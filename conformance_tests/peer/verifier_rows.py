"""Rows of a catalogue, as the reference verifier judges them one by one."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from conformance_tests.peer.verifier_jose import parsed, strict_json

if TYPE_CHECKING:
    from conformance_tests.peer.verifier_state import State

LEEWAY_SECONDS = 60
_ROW = {
    *("assessed_at", "basis", "issued_by", "level", "reason", "scheme", "source_at"),
    *("state", "sub"),
}
_ROW_OPTIONAL = {"area", "sealed"}
_LISTED = {"YELLOW", "RED", "RESTRICTED"}
_COUNT = {"division", "kind", "name"}
_SUBJECT = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)


@dataclass(slots=True)
class ReferenceRows:
    """The rows of one file whose header holds.

    Attributes:
        state: what is held of the feed.
        header: of the file.
        fault: name in ``faults.yaml``; empty for none.
        seen: whom the file listed so far.
    """

    state: State
    header: dict[str, Any]
    fault: str
    seen: set[str] = field(default_factory=set)

    def outcome(self, line: str, listed: dict[tuple[str, str], dict[str, Any]]) -> str:
        """Judge a line, and list whom it names."""
        try:
            row = strict_json(line.encode())
            canonical = json.dumps(row, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
            if canonical != line and self.fault != "any-writing-taken":
                return "MALFORMED"
            if self.header["kind"] == "counts":
                return self._count(row)
            self._check(row)
        except (KeyError, TypeError, ValueError):
            return "MALFORMED"
        return self._judged(row) or self._taken(row, listed)

    def _check(self, row: dict[str, Any]) -> None:
        needed = _ROW - ({"state"} if self.fault == "state-optional" else set())
        known = set(row) <= _ROW | _ROW_OPTIONAL or self.fault == "row-members-open"
        if not set(row) >= needed or not known:
            raise ValueError("members")
        if not _SUBJECT.fullmatch(row["sub"]) and self.fault != "row-values-unchecked":
            raise ValueError("sub")

    def _judged(self, row: dict[str, Any]) -> str:
        """What speaks against a row on its own; empty: nothing."""
        authority = self.state.body("authority", self.header["iss"]) or {"prefixes": []}
        sealed = "sealed" in row
        promised = bool(self.header.get("identified"))
        late = max(row["assessed_at"], row["source_at"]) > self.header["iat"] + LEEWAY_SECONDS
        found = {
            "REFUSED_LEVEL": row["level"] not in _LISTED and self.fault != "green-listed",
            "REFUSED_SCHEME": row["scheme"] not in self._schemes()
            and self.fault != "any-scheme-listed",
            "REFUSED_DIVISION": not row["issued_by"].startswith(tuple(authority["prefixes"]))
            and self.fault != "any-division-listed",
            "REFUSED_DOCUMENT": (sealed and not promised and self.fault != "document-unpromised")
            or (promised and not sealed and self.fault != "document-missing"),
            "FROM_FUTURE": late and self.fault != "row-from-ahead-listed",
        }
        return next((outcome for outcome, holds in found.items() if holds), "")

    def _taken(self, row: dict[str, Any], listed: dict[tuple[str, str], dict[str, Any]]) -> str:
        if row["sub"] in self.seen and self.fault != "last-row-wins":
            return "DUPLICATE"
        self.seen.add(row["sub"])
        place = self.header["iss"], row["sub"]
        held = listed.get(place)
        older = held is not None and row["assessed_at"] < held["assessed_at"]
        if older and self.fault != "older-row-taken":
            return "TOO_OLD"
        listed[place] = row
        if held is None:
            return "TAKEN"
        same = held == row and self.fault != "always-superseded"
        return "UNCHANGED" if same else "SUPERSEDED"

    def _count(self, row: dict[str, Any]) -> str:
        threshold = self.header["threshold"]
        number, below = row.get("count"), row.get("below")
        if set(row) - {"count", "below"} != _COUNT or (number is None) == (below is None):
            raise ValueError("members")
        if number is not None and number < threshold and self.fault != "few-stated":
            raise ValueError("count")
        if below is not None and below != threshold and self.fault != "other-threshold-taken":
            raise ValueError("below")
        return "TAKEN"

    def _schemes(self) -> set[str]:
        """The dated schemes that the issuer has published."""
        found = set()
        for kind, subject in self.state.newest:
            body = self.state.body(kind, subject) if kind == "scheme" else None
            if body is None or not subject.startswith(f"{self.header['iss']}#"):
                continue
            document = parsed(body["statement"])[1]["body"]
            found |= {f"{document['family']}@{each['id']}" for each in document["versions"]}
        return found
