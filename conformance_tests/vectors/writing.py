"""Vectors on disk, for those who test in another language and without a harness.

``index.json`` names the files, ``keys.json`` every key with its private half (they are
made from their names and are nobody's), and ``verifier/ID.json`` one check each: the
request, what must come of it, its sound twin, and the attestation at every stage of its
making. The same bytes at every run and on every machine.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from conformance_tests.crypto import b64, unsafe_claims
from conformance_tests.model import Role
from conformance_tests.registry import load_cases
from conformance_tests.roles.verifier import world_of
from conformance_tests.runner import twin_of
from conformance_tests.vectors.armour import to_armour
from conformance_tests.vectors.catalogues import files
from conformance_tests.vectors.federation import KEYS as HUB_KEYS
from conformance_tests.vectors.keys import vector_key
from conformance_tests.vectors.plan import NOW, VerifierPlan
from conformance_tests.vectors.records import FEED_KEY, SCHEME_KEY
from conformance_tests.vectors.stories_keys import NAMES as FEED_KEYS
from conformance_tests.vectors.tokens import attestation, key_of

if TYPE_CHECKING:
    from pathlib import Path

    from conformance_tests.model import Case
    from conformance_tests.vectors.world import World

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
    SCHEME_KEY,
    *FEED_KEYS,
    *HUB_KEYS,
)


def write_vectors(folder: Path) -> list[str]:
    """Write every vector; return the names of the files, in order.

    Raises:
        OSError: they cannot be written.
    """
    made: dict[str, Any] = {"keys.json": {name: _key(name) for name in _KEYS}}
    for case in load_cases(Role.VERIFIER):
        made[f"verifier/{case.id}.json"] = vector(case)
    index = {"format": FORMAT, "now": NOW, "files": sorted(made)}
    for name, value in {"index.json": index, **made}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(value, indent=1, ensure_ascii=False, sort_keys=True)
        path.write_text(text + "\n", encoding="utf-8")
    return sorted(made)


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
    """The attestation of a check, from its claims to the text of a QR code.

    Of a catalogue: the claims of its header, the header and the lines below it.
    """
    plan = VerifierPlan().changed(case.given).changed(case.change)
    if plan.catalogue_story:
        token, *rows = files(plan)[-1].split("\n")
        return {"claims": unsafe_claims(token), "header": token, "rows": rows[:-1]}
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
    if world.listed is not None:
        return {**_held(case, world, None), "catalogue": _catalogue(case, world.listed)}
    if world.after is not None:
        first = _held(case, world, [world.first] if world.first else None)
        return {**first, "later": [_held(case, world.after, refused)]}
    return _held(case, world, refused)


def _catalogue(case: Case, listed_before: int) -> dict[str, Any]:
    """What must come of the last catalogue; of a sound twin, that it is not refused."""
    if "refused" in case.expect:
        return {"refused": case.expect["refused"]["reasons"], "listed": listed_before}
    if "outcomes" not in case.expect:
        return {"refused": []}
    told, _, listed = case.expect["outcomes"][0].rpartition(", ")
    people = int(listed.split()[0])
    if told == "repeat":
        return {"repeat": True, "listed": people}
    return {"rows": [] if told == "no rows" else told.split(), "listed": people}


def _held(case: Case, world: World, refused: list[str] | None) -> dict[str, Any]:
    """What one reading must bring."""
    step = world.refused
    feed = [None if place != step else refused for place in range(len(world.request["feed"]))]
    held: dict[str, Any] = {"feed": feed, "sequence": world.sequence, "live": world.live}
    if refused and step is None:
        return {**held, "ok": False, "reasons": refused}
    if step == 0:
        # Nothing is held, so nothing is believed.
        return {**held, "ok": False}
    plan = VerifierPlan().changed(case.given).changed(case.change)
    if plan.catalogue_story:
        return {**held, "ok": True}
    if world.status_as_of is not None:
        held["status_as_of"] = world.status_as_of
    if world.trust_as_of is not None:
        held["trust_as_of"] = world.trust_as_of
    return {**held, "ok": True, "level": attestation(plan).claims["code"]["level"]}


def _key(name: str) -> dict[str, str]:
    key = key_of(name) if name != FEED_KEY else vector_key(name)
    return {**key.public, "d": key.secret}
