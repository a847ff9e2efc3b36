"""What a world of the role ``verifier`` holds, as a flat set of properties.

Times are seconds from the world's present, which is ``NOW``: 8 April 2020, noon in
Beijing, when Wuhan opened its gates.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from conformance_tests.roles.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Mapping

NOW: Final = 1_586_318_400
"""2020-04-08T04:00:00Z."""
HOUR: Final = 3600
DAY: Final = 86_400
HUB: Final = "urn:hutong:hub:000000"
CITY: Final = "urn:hutong:region:330100"
NEIGHBOUR: Final = "urn:hutong:region:420100"
SCHEME: Final = "city-jkm@2020-02"
LIST: Final = "urn:hutong:status:330100:day"

_None: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class VerifierPlan(Plan):
    """A sound world; a case changes one property.

    Attributes:
        now: the validation time.
        audience: six digits of the region that reads.
        asked: the question's nonce: empty for none, ``same`` or ``other``.
        token: whether there is an attestation at all; else the feed alone is read.
        token_key: who signs it; token_kid: whose key id it names, if another's.
        token_alg: what the header says, if not the truth.
        token_header, token_claims, token_code: members put in place; null removes one.
        token_spelling: how it is written down.
        shown: members of the code that are disclosed; none: the attestation is whole.
        armour: how the attestation stands in a QR code; empty: it is handed over itself.
        city, key: members of the city's record and of its attestation key.
        distrust: the rule of a distrust in the feed; absent without one.
        feed_story: how the feed reaches the reader; feed_break: what is wrong at its end.
        later: what the reader learns after it has read the attestation; empty: nothing, and
            it is not asked again.
        catalogue_story: which catalogues reach the reader; empty: none.
        catalogue_rows, catalogue_header: of the last of them; catalogue_break: what is
            wrong with it; catalogue_key: who signs it.
        signer: members of the city's statement key.
        ages: whether it is asked how old the word on the status is.
        status: number of the attestation's entry in the city's list; absent without one.
        list: the list's own properties.
        silence: since when the hub does not hear the city; absent where it hears it.
        silence_ended: whether it hears it again.
        hubs: what stands in a world of several hubs (``federation.HubsPlan``); absent: one.
    """

    now: int = 0
    audience: str = "440100"
    asked: str = ""
    token: bool = True
    token_use: str = "carried"  # noqa: S105 - how, not a secret
    token_key: str = "city/attest"  # noqa: S105 - a name
    token_kid: str = ""
    token_alg: str = ""
    token_iat: int = -600
    token_nbf: int | None = None
    token_exp: int = HOUR
    token_header: Mapping[str, Any] = field(default_factory=dict)
    token_claims: Mapping[str, Any] = field(default_factory=dict)
    token_code: Mapping[str, Any] = field(default_factory=dict)
    token_also: tuple[Mapping[str, Any], ...] = ()
    token_spelling: str = "exact"  # noqa: S105 - how, not a secret
    shown: tuple[str, ...] = ()
    shown_break: str = ""
    armour: str = ""
    city: Mapping[str, Any] = field(default_factory=dict)
    key: Mapping[str, Any] = field(default_factory=dict)
    distrust: Mapping[str, Any] | None = None
    distrust_withdrawn: bool = False
    feed_story: str = "snapshot"
    feed_break: str = ""
    later: str = ""
    catalogue_story: str = ""
    catalogue_rows: tuple[Mapping[str, Any], ...] = ({"n": 0}, {"n": 1})
    catalogue_header: Mapping[str, Any] = field(default_factory=dict)
    catalogue_break: str = ""
    catalogue_key: str = "city/state"
    signer: Mapping[str, Any] = field(default_factory=dict)
    ages: bool = False
    status: int | None = None
    status_uri: str = LIST
    list: Mapping[str, Any] = field(default_factory=dict)
    silence: int | None = None
    silence_ended: bool = False
    hubs: Mapping[str, Any] | None = None
