"""The hub above: how it is reached, and how this hub came to stand below it.

``hutong hub join-superior`` makes the folder; a running hub takes it up by itself::

    DIR/superior/superior.toml       how the superior is reached
    DIR/superior/anchor.json         its trust anchor, handed over by a way of its own
    DIR/superior/ca.pem              roots of its certificate; absent: the system's
    DIR/superior/state.json          private, signs this hub's statements
    DIR/superior/authenticate.json   private, authenticates this hub at the superior

A hub enrols as every member does (:func:`gateway.wire.enrolment.enrol`), as kind
hub: it proves its feed key, its token key and the key that authenticates it, and
names the prefixes it answers for and its own gRPC door. From the approval on the
superior sends it what concerns its prefixes, and takes what its callers ask.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from gateway.attestation.keys import generate_signing_key
from gateway.hub.errors import HubSetupError
from gateway.hub.keys import HubKeyRing, load_signing_key, save_signing_key
from gateway.trust import EnrolmentBody, KeyUse, MemberKind, parse_anchor, signing_member_key
from gateway.trust.anchor import MAX_ANCHOR_BYTES
from gateway.trust.errors import AnchorError, KeyMaterialError, StatementError
from gateway.wire.channel import open_channel
from gateway.wire.enrolment import Enrolled, MemberIdentity, check_hub, enrol
from gateway.wire.files import read_bounded, refused_as, write_new
from gateway.wire.settings_file import SettingsTable, check_members, read_toml

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from gateway.attestation.keys import SigningKey
    from gateway.hub.settings import HubSettings
    from gateway.trust import MemberKey, TrustAnchor

MAX_CA_BYTES: Final = 64 * 1024
"""A chain of a handful of certificates."""

TOKEN_PATH: Final = "/oauth2/token"  # noqa: S105  a path


class _SuperiorFile(SettingsTable):
    """``superior.toml``; every other file stands beside it under its fixed name."""

    urn: str
    """URN of the superior."""
    grpc: str
    """gRPC target, ``host:port``."""
    http: str
    """Base address of its HTTP door."""
    prefixes: tuple[str, ...]
    """Division prefixes this hub answers for there."""


@dataclass(frozen=True, slots=True)
class Superior:
    """How the superior is reached.

    Attributes:
        anchor: the superior and its keys.
        target: ``host:port`` of its gRPC door.
        token_url: its token endpoint.
        ca_pem: the only roots to trust; None: the system's.
        key: authenticates this hub there.
        prefixes: division prefixes this hub answers for.
    """

    anchor: TrustAnchor
    target: str
    token_url: str
    ca_pem: bytes | None
    key: SigningKey
    prefixes: tuple[str, ...]

    @property
    def urn(self) -> str:
        """URN of the superior."""
        return self.anchor.hub


@dataclass(frozen=True, slots=True)
class JoinPlan:
    """What ``join-superior`` makes.

    Attributes:
        grpc: the superior's gRPC door, ``host:port``.
        http: base address of its HTTP door.
        anchor: bytes of its trust anchor.
        ca_pem: roots of its certificate; None: the system's.
        endpoint: where the superior reaches this hub's gRPC door, ``host:port``.
        tls_ca_pem: roots of this hub's own certificate; None: the system's.
        prefixes: divisions this hub answers for.
        name_zh: Chinese name, for the superior's operators.
        name_en: English name.
    """

    grpc: str
    http: str
    anchor: bytes
    ca_pem: bytes | None
    endpoint: str
    tls_ca_pem: str | None
    prefixes: Sequence[str]
    name_zh: str
    name_en: str


def hub_identity(
    settings: HubSettings, plan: JoinPlan, superior: str, *, now: datetime
) -> MemberIdentity:
    """Return this hub as a member of its superior, with two new keys for that.

    Raises:
        HubSetupError: it cannot be one.
    """
    if superior == settings.urn:
        raise HubSetupError("a hub does not stand below itself")
    held = own_member_keys(settings, now=now)
    state, authenticate = generate_signing_key(), generate_signing_key()
    made = ((state, KeyUse.STATE), (authenticate, KeyUse.AUTHENTICATE))
    try:
        body = EnrolmentBody(
            urn=settings.urn,
            kind=MemberKind.HUB,
            name_zh=plan.name_zh,
            name_en=plan.name_en,
            prefixes=tuple(plan.prefixes),
            endpoint=plan.endpoint,
            tls_ca_pem=plan.tls_ca_pem,
            keys=(
                *(signing_member_key(key, use, not_before=now) for key, use in made),
                *(key for _, key in held),
            ),
        )
    except (StatementError, KeyMaterialError) as error:
        raise HubSetupError(f"this hub cannot enrol so: {error}") from None
    return MemberIdentity(body, state, (authenticate, *(private for private, _ in held)))


def own_member_keys(
    settings: HubSettings, *, now: datetime
) -> tuple[tuple[SigningKey, MemberKey], ...]:
    """Return this hub's own keys as it enrols them, each with its private half.

    Every feed key it ever had is among them: what each signed stands in its feed.

    Raises:
        HubSetupError: the file of one is not there; a hub above believes what is proven.
    """
    ring = HubKeyRing(settings)
    anchor = ring.root()
    found = []
    for use, published, files in (
        (KeyUse.FEED, anchor.feed_keys, ring.feed),
        (KeyUse.TOKEN, anchor.token_keys, ring.token),
    ):
        for key in published.values():
            if use is KeyUse.TOKEN and key.not_after is not None and key.not_after <= now:
                continue
            private = files.get(key.key_id)
            if private is None:
                raise HubSetupError(
                    f"the file of the {use.value} key {key.key_id} is not in "
                    f"{settings.keys.feed.parent}",
                    fix="put it back while this hub joins: every key is proven once",
                )
            # Until when each signs, the own feed says; one that has ended could not enrol.
            begin = max(now, key.not_before)
            found.append((private, signing_member_key(private, use, not_before=begin)))
    return tuple(found)


async def join_superior(settings: HubSettings, plan: JoinPlan, *, now: datetime) -> Enrolled:
    """Enrol this hub with a superior and write down how it is reached.

    Raises:
        HubSetupError: it stands below one already, or a file cannot be used.
        AnchorError: the trust anchor does not load.
        RpcFailure: the superior refuses or cannot be reached.
        FeedError: another hub than that of the anchor answers.
    """
    folder = settings.superior.parent
    if settings.superior.exists():
        raise HubSetupError("this hub stands below a superior already")
    anchor = parse_anchor(plan.anchor)
    identity = hub_identity(settings, plan, anchor.hub, now=now)
    async with open_channel(plan.grpc, ca_pem=plan.ca_pem) as channel:
        await check_hub(channel, anchor)
        enrolled = await enrol(channel, identity, hub_urn=anchor.hub, now=now)
    with refused_as(HubSetupError):
        save_signing_key(folder / "state.json", identity.state_key)
        save_signing_key(folder / "authenticate.json", identity.signing_keys[0])
        write_new(folder / "anchor.json", plan.anchor)
        if plan.ca_pem is not None:
            write_new(folder / "ca.pem", plan.ca_pem)
        # Last: whoever finds it finds everything.
        write_new(settings.superior, _to_toml(plan, anchor.hub).encode())
    return enrolled


def load_superior(path: Path) -> Superior | None:
    """Read how the superior is reached; None: this hub stands below none.

    Raises:
        HubSetupError: a file is missing or malformed.
    """
    if not path.exists():
        return None
    folder = path.parent
    with refused_as(HubSetupError):
        said = check_members(_SuperiorFile, read_toml(path), path)
        anchor_data = read_bounded(folder / "anchor.json", MAX_ANCHOR_BYTES, "superior's anchor")
        ca_file = folder / "ca.pem"
        ca_pem = read_bounded(ca_file, MAX_CA_BYTES, "CA file") if ca_file.exists() else None
    try:
        anchor = parse_anchor(anchor_data)
    except AnchorError as error:
        raise HubSetupError(f"the superior's anchor does not load: {error}") from None
    if anchor.hub != said.urn:
        raise HubSetupError("the superior's anchor is of another hub")
    return Superior(
        anchor=anchor,
        target=said.grpc,
        token_url=said.http.rstrip("/") + TOKEN_PATH,
        ca_pem=ca_pem,
        key=load_signing_key(folder / "authenticate.json"),
        prefixes=said.prefixes,
    )


def _to_toml(plan: JoinPlan, urn: str) -> str:
    # A JSON string is a TOML basic string, and a list of them is one too.
    lines = [
        "# The hub above this one; written by hutong hub join-superior.",
        f"urn = {json.dumps(urn)}",
        f"grpc = {json.dumps(plan.grpc)}",
        f"http = {json.dumps(plan.http)}",
        f"prefixes = {json.dumps(list(plan.prefixes))}",
    ]
    return "\n".join(lines) + "\n"
