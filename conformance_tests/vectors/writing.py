"""Vectors on disk, for those who test in another language and without a harness.

``index.json`` names the files, ``keys.json`` every key with its private half (they are
made from their names and are nobody's), and ``verifier/ID.json`` one check each: the
request, what must come of it, its sound twin, and the attestation at every stage of its
making. The same bytes at every run and on every machine.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from conformance_tests.crypto import b64
from conformance_tests.model import Role
from conformance_tests.registry import load_cases
from conformance_tests.roles.verifier import world_of
from conformance_tests.runner import twin_of
from conformance_tests.vectors.armour import to_armour
from conformance_tests.vectors.keys import vector_key
from conformance_tests.vectors.plan import NOW, VerifierPlan
from conformance_tests.vectors.tokens import attestation, key_of
from conformance_tests.vectors.world import FEED_KEY, World

if TYPE_CHECKING:
    from pathlib import Path

    from conformance_tests.model import Case

_DOTS: Final = 2
"""Between the segments of a token; a key binding, which has no armour, would bring more."""
FORMAT: Final = 1
"""Raised when a member changes its meaning."""
_KEYS: Final = (
    FEED_KEY,
    "hub/token",
    "stranger",
    *(
        f"{region}/{use}"
        for region in ("city", "neighbour")
        for use in ("attest", "attest-ed25519", "state", "authenticate", "seal")
    ),
)


def write_vectors(folder: Path) -> list[str]:
    """Write every vector; return the names of the files, in order.

    Raises:
        OSError: they cannot be written.
    """
    files: dict[str, Any] = {"keys.json": {name: _key(name) for name in _KEYS}}
    for case in load_cases(Role.VERIFIER):
        files[f"verifier/{case.id}.json"] = vector(case)
    index = {"format": FORMAT, "now": NOW, "files": sorted(files)}
    for name, value in {"index.json": index, **files}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(value, indent=1, ensure_ascii=False, sort_keys=True)
        path.write_text(text + "\n", encoding="utf-8")
    return sorted(files)


def vector(case: Case) -> dict[str, Any]:
    """One check as a file holds it."""
    twin = twin_of(case)
    made = {
        "id": case.id,
        "title": case.title,
        "requirements": list(case.requirements),
        "needs": list(case.needs),
        "request": world_of(case).request,
        "expect": _expected(case),
    }
    if twin is not None:
        made["twin"] = {"request": world_of(twin).request, "expect": _expected(twin)}
    return made | {"stages": stages(case)}


def stages(case: Case) -> dict[str, Any]:
    """The attestation of a check, from its claims to the text of a QR code."""
    plan = VerifierPlan().changed(case.given).changed(case.change)
    made = attestation(plan)
    staged: dict[str, Any] = {
        "header": made.header,
        "claims": made.claims,
        "payload": b64(made.payload),
        "signed_by": plan.token_key,
        "token": made.token,
    }
    if plan.shown:
        signed, *disclosed = made.token.split("~")
        staged["signing_input"] = signed.rpartition(".")[0]
        staged["disclosures"] = disclosed[:-1]
    elif plan.token_spelling == "exact":  # noqa: S105 - how, not a secret
        staged["signing_input"] = made.token.rpartition(".")[0]
    if "signing_input" in staged and made.token.count(".") == _DOTS:
        staged["armour"] = to_armour(made.token)
    return staged


def _expected(case: Case) -> dict[str, Any]:
    world = world_of(case)
    refused = case.expect.get("refused", {}).get("reasons")
    if world.after is not None:
        first = _held(case, world, [world.first] if world.first else None)
        return {**first, "later": [_held(case, world.after, refused)]}
    return _held(case, world, refused)


def _held(case: Case, world: World, refused: list[str] | None) -> dict[str, Any]:
    """What one reading must bring."""
    step = world.refused
    feed = [None if place != step else refused for place in range(len(world.request["feed"]))]
    held = {"feed": feed, "sequence": world.sequence, "live": world.live}
    if refused and step is None:
        return {**held, "ok": False, "reasons": refused}
    if step == 0:
        # Nothing is held, so nothing is believed.
        return {**held, "ok": False}
    plan = VerifierPlan().changed(case.given).changed(case.change)
    return {**held, "ok": True, "level": attestation(plan).claims["code"]["level"]}


def _key(name: str) -> dict[str, str]:
    key = key_of(name) if name != FEED_KEY else vector_key(name)
    return {**key.public, "d": key.secret}
