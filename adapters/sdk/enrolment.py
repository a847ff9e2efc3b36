"""How a city asks a hub to be admitted (``docs/spec/registry.md``).

A region has four kinds of keys: the statement key signs the enrolment, the
attestation and authentication keys are proven by a signature, and each sealing key
by opening a challenge. The exchange itself is :mod:`gateway.wire.enrolment`; here
stands what is a city's own, and the wait for the operator's decision.

Example::

    settings = load_settings(Path("city"))
    keys, scheme = load_keys(settings.keys), load_city(settings.scheme)
    identity = city_identity(settings, keys, scheme, now=clock())
    async with open_channel("hub.example:7443", ca_pem=ca) as channel:
        enrolled = await enrol_city(
            channel, identity, anchor=anchor, scheme=scheme, now=clock()
        )
        await wait_until_active(channel, enrolled.enrolment_id)
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from adapters.sdk.errors import AdapterConfigError, EnrolmentError
from gateway.attestation.sealing_keys import public_sealing_jwk
from gateway.codes.divisions import division_name, division_prefix, region_urn
from gateway.codes.yamldoc import YamlError, parse_yaml
from gateway.trust.authority import EnrolmentBody, MemberKind
from gateway.trust.key_life import KEY_LIVES
from gateway.trust.keys import KeyUse, sealing_member_key, signing_member_key
from gateway.wire.enrolment import (
    POLL_SECONDS,
    Enrolled,
    MemberIdentity,
    await_decision,
    check_hub,
    enrol,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta
    from pathlib import Path

    import grpc

    from adapters.sdk.keys import AdapterKeys
    from adapters.sdk.settings import AdapterSettings
    from gateway.codes.scheme_model import Scheme
    from gateway.trust.anchor import TrustAnchor

MAX_POLICY_BYTES: Final = 256 * 1024
"""The bound of a statement in the schema."""


def city_identity(
    settings: AdapterSettings,
    keys: AdapterKeys,
    scheme: Scheme,
    *,
    now: datetime,
    endpoint: str | None = None,
    lives: Mapping[KeyUse, timedelta] = KEY_LIVES,
) -> MemberIdentity:
    """Say who a city is, with the keys that prove it.

    Args:
        settings: names, prefixes, endpoint and certificate.
        keys: its secrets.
        scheme: its authority is the member's.
        now: when its keys come into force.
        endpoint: ``host:port`` instead of the one of the settings.
        lives: how long from now on a key of each use is good.

    Raises:
        AdapterConfigError: the certificate cannot be read.
        StatementError: the parts make no enrolment.
    """
    grpc_settings = settings.grpc
    ca = grpc_settings.ca
    try:
        ca_pem = None if ca is None or grpc_settings.unsafe_insecure else ca.read_text("ascii")
    except (OSError, UnicodeDecodeError):
        raise AdapterConfigError(f"{ca} cannot be read") from None
    signing = (
        (keys.state, KeyUse.STATE),
        (keys.attest, KeyUse.ATTEST),
        (keys.authenticate, KeyUse.AUTHENTICATE),
    )
    body = EnrolmentBody(
        urn=region_urn(scheme.authority),
        kind=MemberKind.REGION,
        name_zh=settings.name_zh or division_name(scheme.authority),
        name_en=settings.name_en,
        keys=(
            *(
                signing_member_key(key, use, not_before=now, not_after=now + lives[use])
                for key, use in signing
            ),
            *(
                sealing_member_key(
                    public_sealing_jwk(key), not_before=now, not_after=now + lives[KeyUse.SEAL]
                )
                for key in keys.seal
            ),
        ),
        prefixes=tuple(division_prefix(p) for p in settings.prefixes or scheme.prefixes),
        endpoint=endpoint or grpc_settings.endpoint or f"{grpc_settings.host}:{grpc_settings.port}",
        tls_ca_pem=ca_pem,
    )
    return MemberIdentity(body, keys.state, (keys.attest, keys.authenticate), keys.seal)


async def enrol_city(
    channel: grpc.aio.Channel,
    identity: MemberIdentity,
    *,
    anchor: TrustAnchor,
    scheme: Scheme,
    now: datetime,
    policy: Mapping[str, Any] | None = None,
    report: bytes = b"",
) -> Enrolled:
    """Hand in the enrolment with the scheme, and prove possession of every key.

    Args:
        channel: to the hub.
        identity: from :func:`city_identity`.
        anchor: of the hub; another one is handed nothing.
        scheme: published on approval.
        now: the clock.
        policy: recognition policy, published on approval.
        report: of the conformance checks, for the operators; empty: none.

    Raises:
        FeedError: the hub is not the one of the anchor.
        RpcFailure: the hub refuses or cannot be reached.
        SealingError: a challenge does not open.
    """
    await check_hub(channel, anchor)
    return await enrol(
        channel,
        identity,
        hub_urn=anchor.hub,
        now=now,
        schemes=[scheme.to_document()],
        policy=policy,
        report=report,
    )


async def wait_until_active(
    channel: grpc.aio.Channel,
    enrolment_id: str,
    *,
    poll_seconds: float = POLL_SECONDS,
    timeout_seconds: float = 3600.0,
) -> str:
    """Ask until an operator has decided; return the state, ``ACTIVE``.

    Args:
        channel: to the hub.
        enrolment_id: from the enrolment.
        poll_seconds: pause between two questions.
        timeout_seconds: longest wait.

    Raises:
        EnrolmentError: the wait ran out, or the member was suspended.
        RpcFailure: the hub does not know the enrolment.
    """
    try:
        async with asyncio.timeout(timeout_seconds):
            state = await await_decision(channel, enrolment_id, poll_seconds=poll_seconds)
    except TimeoutError:
        raise EnrolmentError("no operator approved in time") from None
    if state != "ACTIVE":
        raise EnrolmentError("the hub's operator suspended the member")
    return state


def read_policy(path: Path) -> dict[str, Any]:
    """Read a policy document; the hub checks what stands in it.

    Raises:
        AdapterConfigError: it cannot be read or is not a YAML mapping.
    """
    try:
        value = parse_yaml(path.read_bytes(), max_bytes=MAX_POLICY_BYTES).value
    except OSError:
        raise AdapterConfigError(f"{path} cannot be read") from None
    except YamlError as error:
        raise AdapterConfigError(f"{path}: {error}") from None
    if not isinstance(value, dict):
        raise AdapterConfigError(f"{path} is not a mapping")
    return value
