"""Statements of regions inside the hub's entries, as the reference verifier reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance_tests.peer.verifier_jose import VerifierError, algorithm_of, is_signed, parsed

if TYPE_CHECKING:
    from conformance_tests.peer.verifier_state import Entry, State


def check_statement(  # noqa: C901 - a line a rule
    state: State, entry: Entry, newest: dict[tuple[str, str], Entry], fault: str
) -> None:
    """Refuse what is no statement of the region itself, or an older one than is held.

    Raises:
        VerifierError: FEED_MALFORMED, FEED_ROLLED_BACK or FEED_UNSUPPORTED.
    """
    if entry.place[0] == "policy" and fault == "policies-refused":
        raise VerifierError("FEED_UNSUPPORTED")
    if fault == "unsigned-taken" and "statement" not in entry.claims["body"]:
        return
    if set(entry.claims["body"]) != {"statement"}:
        raise VerifierError("FEED_MALFORMED")
    token = entry.claims["body"]["statement"]
    header, claims = parsed(token)
    found = newest.get(("authority", claims["iss"]))
    if found is None:
        raise VerifierError("FEED_MALFORMED")
    authority = found.claims["body"]
    keys = [
        key
        for key in authority["keys"]
        if key["jwk"]["kid"] == header["kid"]
        and (key["use"] == "state" or fault == "statement-use-ignored")
    ]
    unsigned = not keys or not is_signed(token, keys[0]["jwk"])
    if unsigned and fault != "statement-signature-ignored":
        raise VerifierError("FEED_MALFORMED")
    if keys and algorithm_of(keys[0]["jwk"]) != header["alg"]:
        raise VerifierError("FEED_MALFORMED")
    kinds = authority.get("kinds")
    barred = kinds is not None and entry.place[0] not in kinds
    if barred and fault != "statement-kinds-ignored":
        raise VerifierError("FEED_MALFORMED")
    region = str(claims["body"].get("region", claims["iss"].rpartition(":")[2]))
    own = region.startswith(tuple(authority["prefixes"]))
    if not own and fault != "statement-for-others":
        raise VerifierError("FEED_MALFORMED")
    before = state.newest.get(entry.place)
    if before is not None and not before.is_withdrawn:
        older = parsed(before.claims["body"]["statement"])[1]["iat"]
        if claims["iat"] < older and fault != "older-statement-accepted":
            raise VerifierError("FEED_ROLLED_BACK")


def check_word(
    state: State, entry: Entry, newest: dict[tuple[str, str], Entry], fault: str
) -> None:
    """Refuse a word on a list that is not its region's, or an older one.

    Raises:
        VerifierError: FEED_MALFORMED or FEED_ROLLED_BACK.
    """
    token = entry.claims["body"]["statement"]
    header, claims = parsed(token)
    found = newest.get(("authority", claims["iss"]))
    keys = [
        key
        for key in (found.claims["body"]["keys"] if found else ())
        if key["use"] == "attest" and key["jwk"]["kid"] == header["kid"]
    ]
    unsigned = not keys or not is_signed(token, keys[0]["jwk"])
    if unsigned and fault != "word-signature-ignored":
        raise VerifierError("FEED_MALFORMED")
    if claims["uri"] != entry.place[1] and fault != "word-for-any-list":
        raise VerifierError("FEED_MALFORMED")
    if fault != "changes-unchecked":
        _check_changes(claims)
    before = state.newest.get(entry.place)
    if before is not None and not before.is_withdrawn and before.digest != entry.digest:
        held = parsed(before.claims["body"]["statement"])[1]["seq"]
        if claims["seq"] < held and fault != "older-word-accepted":
            raise VerifierError("FEED_ROLLED_BACK")


def _check_changes(claims: dict[str, Any]) -> None:
    for value, indices in claims["changes"].items():
        fits = str(int(value)) == value and int(value) < 1 << claims["base"]["bits"]
        if not fits or not indices or indices != sorted(set(indices)):
            raise VerifierError("FEED_MALFORMED")
        if indices[-1] >= claims["base"]["size"]:
            raise VerifierError("FEED_MALFORMED")
