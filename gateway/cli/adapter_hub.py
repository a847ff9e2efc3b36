"""What ``hutong adapter enrol`` and ``publish`` do: a city's dealings with its hub."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from adapters.sdk import enrolment
from adapters.sdk.city import load_city
from adapters.sdk.errors import AdapterConfigError
from adapters.sdk.keys import load_keys
from adapters.sdk.publishing import PublishedStatement, publish
from gateway.cli.terminal import stderr
from gateway.codes import region_urn
from gateway.recognition import PolicyError, load_policy
from gateway.trust import StatementKind, parse_anchor
from gateway.trust.key_life import KEY_LIVES
from gateway.wire.channel import open_channel
from gateway.wire.enrolment import enrolment_progress
from gateway.wire.files import EVERYBODY, write_atomically
from gateway.wire.token_client import TokenClient

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import timedelta
    from pathlib import Path

    from adapters.sdk.settings import AdapterSettings
    from gateway.trust.keys import KeyUse

ENROLMENT_FILE: Final = "enrolment"
"""In the city's folder: the id under which it was handed in."""

TOKEN_PATH: Final = "/oauth2/token"  # noqa: S105  a path
"""Where the hub's HTTP door issues access tokens."""


@dataclass(frozen=True, slots=True)
class HubDoor:
    """How a city reaches its hub.

    Attributes:
        target: ``host:port`` of the gRPC door.
        ca_pem: the only roots to trust; None: the system's.
        anchor: the trust anchor file.
    """

    target: str
    ca_pem: bytes | None
    anchor: bytes


async def enrol_folder(
    folder: Path,
    settings: AdapterSettings,
    door: HubDoor,
    *,
    wait_seconds: float | None,
    report: bytes = b"",
    lives: Mapping[KeyUse, timedelta] = KEY_LIVES,
) -> dict[str, Any]:
    """Hand in an enrolment, or ask how far it is.

    Args:
        folder: of the city; keeps the id of the enrolment.
        settings: of the city.
        door: of the hub.
        wait_seconds: longest wait for the operators; None: do not wait.
        report: of the conformance checks; empty: none.
        lives: how long a key of each use is good.

    Raises:
        HutongError: something cannot be read, or the hub refuses.
    """
    scheme = load_city(settings.scheme)
    now = datetime.now(UTC)
    keys = load_keys(settings.keys)
    identity = enrolment.city_identity(settings, keys, scheme, now=now, lives=lives)
    anchor = parse_anchor(door.anchor)
    kept = folder / ENROLMENT_FILE
    async with open_channel(door.target, ca_pem=door.ca_pem) as channel:
        if kept.exists():
            enrolment_id = kept.read_text("ascii").strip()
        else:
            policy = enrolment.read_policy(settings.policy) if settings.policy else None
            enrolled = await enrolment.enrol_city(
                channel,
                identity,
                anchor=anchor,
                scheme=scheme,
                now=now,
                policy=policy,
                report=report,
            )
            enrolment_id = enrolled.enrolment_id
            write_atomically(kept, f"{enrolment_id}\n".encode("ascii"), mode=EVERYBODY)
        progress = await enrolment_progress(channel, enrolment_id)
        if wait_seconds is not None and progress.state != "ACTIVE":
            with stderr.status("waiting for the hub's operators …"):
                await enrolment.wait_until_active(
                    channel, enrolment_id, timeout_seconds=wait_seconds
                )
            progress = await enrolment_progress(channel, enrolment_id)
    return {
        "urn": identity.body.urn,
        "enrolment_id": enrolment_id,
        "state": progress.state,
        "key_id": keys.attest.key_id,
        "approvals_left": progress.approvals_left,
    }


async def publish_folder(
    settings: AdapterSettings, door: HubDoor, http: str, kinds: Collection[StatementKind]
) -> tuple[str, tuple[PublishedStatement, ...]]:
    """Publish the scheme or the policy of a city, each checked here first.

    Args:
        settings: of the city.
        door: of the hub.
        http: base address of the hub's HTTP door.
        kinds: which; empty: the scheme, and the policy if there is one.

    Returns:
        The region's URN, and what was published.

    Raises:
        HutongError: something does not load, or the hub refuses.
    """
    scheme = load_city(settings.scheme)
    documents: dict[StatementKind, Mapping[str, Any]] = {}
    if not kinds or StatementKind.SCHEME in kinds:
        documents[StatementKind.SCHEME] = scheme.to_document()
    if StatementKind.POLICY in kinds or (not kinds and settings.policy is not None):
        documents[StatementKind.POLICY] = checked_policy(settings)
    urn, keys = region_urn(scheme.authority), load_keys(settings.keys)
    tokens = TokenClient(
        http.rstrip("/") + TOKEN_PATH,
        urn,
        keys.authenticate,
        door.ca_pem,
        lambda: datetime.now(UTC),
    )
    async with open_channel(door.target, ca_pem=door.ca_pem) as channel, tokens:
        return urn, await publish(
            channel,
            tokens,
            anchor=parse_anchor(door.anchor),
            urn=urn,
            key=keys.state,
            documents=documents,
            now=datetime.now(UTC),
        )


def checked_policy(settings: AdapterSettings) -> dict[str, Any]:
    """Read the policy that the settings name, and load it.

    Raises:
        AdapterConfigError: there is none, or it does not load; the first problem.
    """
    if settings.policy is None:
        raise AdapterConfigError("adapter.toml names no policy", fix='add policy = "policy.yaml"')
    document = enrolment.read_policy(settings.policy)
    try:
        # The file itself, so that a problem is named at its line.
        load_policy(settings.policy.read_bytes())
    except PolicyError as error:
        first = error.problems[0]
        raise AdapterConfigError(
            f"{settings.policy.name}:{first.line} {first.path}: {first.message}",
            code=error.code,
            fix=first.fix,
        ) from None
    return document
