"""Puts an export together from a city's folder, and opens a sealed document."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from adapters.sdk.catalogue import CityCatalogue, require_door
from adapters.sdk.city import load_city
from adapters.sdk.keys import load_keys
from adapters.sdk.server import platform_connector, system_clock
from adapters.sdk.settings import AdapterSettings, load_settings
from gateway.attestation import SealingPublicKey, sealing_key_from_jwk
from gateway.catalogue import CatalogueUseError
from gateway.catalogue.documents import open_document
from gateway.catalogue.exporting import ExportOrder
from gateway.catalogue.ledger import Ledger
from gateway.catalogue.listing import Listing
from gateway.cli.catalogue_trust import load_trust
from gateway.codes import Document, division_prefix, parse_division, parse_region_urn, region_urn
from gateway.wire.files import refused_as
from gateway.wire.private_files import read_private_key

LEDGER: Final = Path("state/catalogues.json")
"""Below the city's folder; it is worth as much as the keys beside it."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What an export needs."""

    source: CityCatalogue
    order: ExportOrder


def prepare(
    city: Path,
    audience: str,
    correction: str,
    *,
    out: Path,
    ledger: Path | None,
    identified: bool = False,
) -> Prepared:
    """Read a city's folder; must run in an event loop.

    Raises:
        HutongError: a file is missing or does not load, or the trust for an identified
            file is not there.
    """
    settings = load_settings(city)
    folder = city if city.is_dir() else city.parent
    scheme = load_city(settings.scheme)
    keys = load_keys(settings.keys)
    prefixes = tuple(division_prefix(p) for p in settings.prefixes or scheme.prefixes)
    door = require_door(platform_connector(scheme, settings.platform), scheme)
    order = ExportOrder(
        issuer=region_urn(parse_division(scheme.authority)),
        audience=audience,
        correction=correction,
        key=keys.state,
        pseudonym_secret=keys.pseudonym_secret,
        out=out,
        ledger=Ledger(folder / LEDGER if ledger is None else ledger),
        seal_to=_sealing_key(settings, audience) if identified else None,
    )
    source = CityCatalogue(scheme, door, prefixes=prefixes, clock=system_clock)
    return Prepared(source, order)


def _sealing_key(settings: AdapterSettings, audience: str) -> SealingPublicKey:
    hub = settings.hub
    if hub is None:
        raise CatalogueUseError(
            "an identified file needs the audience's key from the feed",
            fix="write [hub] into adapter.toml and let the adapter follow it",
        )
    now = datetime.now(UTC)
    bundle = load_trust(settings.anchor, hub.replica, now, hub.max_trust_age_seconds)
    return bundle.sealing_key(parse_region_urn(audience), now=now)


def reveal_document(listing: Listing, key_file: Path) -> Document:
    """Open the document of an identified listing with the audience's encryption key.

    Raises:
        HutongError: the row carries none, or the key does not open it.
    """
    if listing.sealed is None:
        raise CatalogueUseError("the row is pseudonymous: it carries no document")
    with refused_as(CatalogueUseError):
        key = read_private_key(key_file, sealing_key_from_jwk)
    return open_document(
        key,
        listing.sealed,
        issuer=listing.issuer,
        audience=listing.audience,
        sub=listing.sub,
    )
