"""A hub with 400 registered regions, for its memory: ``tests/benchmarks/exchange.py``.

``python -m tests.benchmarks.exchange_registered fill DIRECTORY`` makes a hub and lets
400 regions enrol, prove their keys, be approved and publish a scheme;
``… run DIRECTORY`` starts the whole hub on that store and says when it serves.
All regions' keys are synthetic; their codes are real divisions.
"""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import AsyncExitStack, suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hutong.v1 import registry_service_pb2

from adapters.sdk import load_city
from gateway.attestation import generate_sealing_key, public_sealing_jwk
from gateway.attestation.keys import SigningKey, generate_signing_key
from gateway.codes import DivisionError, division_in_force, region_urn
from gateway.hub.app import running_hub
from gateway.hub.settings import load_settings
from gateway.hub.setup import HubPlan, make_hub
from gateway.recognition import load_policy
from gateway.trust import KeyUse, MemberKind
from gateway.trust.authority import EnrolmentBody
from gateway.trust.keys import sealing_member_key, signing_member_key
from gateway.wire.enrolment import MemberIdentity, enrol_request, open_challenges
from gateway.wire.logging import configure_logging
from gateway.wire.loop import run
from tests.benchmarks.exchange_peers import HUB, say

if TYPE_CHECKING:
    from collections.abc import Iterator

REGIONS = 400
"""More than China has prefectures (about 340): every one of them and some counties."""

_WHEN = date(2020, 4, 1)


def _codes() -> Iterator[str]:
    """Prefectures of the whole country, then counties of the east."""
    for number in (*range(110000, 660000, 100), *(n for n in range(330101, 350000) if n % 100)):
        if number % 10_000 == 0:
            continue
        with suppress(DivisionError):
            if division_in_force(str(number), _WHEN):
                yield str(number)


def _identity(code: str, now: datetime) -> MemberIdentity:
    state, attest, authenticate = (generate_signing_key() for _ in range(3))
    seal = generate_sealing_key()
    since = now - timedelta(days=1)

    def signing(key: SigningKey, use: KeyUse) -> Any:
        return signing_member_key(key, use, not_before=since)

    body = EnrolmentBody(
        urn=region_urn(code),
        kind=MemberKind.REGION,
        name_zh="合成地区",
        name_en="Synthetic region",
        prefixes=(code.removesuffix("00"),),
        endpoint=f"adapter-{code}.invalid:7500",
        tls_ca_pem=None,
        keys=(
            signing(state, KeyUse.STATE),
            signing(attest, KeyUse.ATTEST),
            signing(authenticate, KeyUse.AUTHENTICATE),
            sealing_member_key(public_sealing_jwk(seal), not_before=since),
        ),
    )
    return MemberIdentity(body, state, (attest, authenticate), (seal,))


async def fill(directory: Path) -> None:
    """Make the hub and register the regions."""
    now = datetime.now(UTC)
    await make_hub(
        HubPlan(
            directory=directory,
            urn=HUB,
            store=None,
            grpc=("127.0.0.1", 0),
            http=("127.0.0.1", 0),
            names=["localhost"],
            operator="first",
            approvals=1,
        ),
        now=now,
    )
    scheme = load_city(Path(__file__).parents[2] / "adapters" / "schemes" / "hangzhou")
    text = json.dumps(scheme.to_document())
    codes = _codes()
    async with running_hub(load_settings(directory), check_policy=load_policy) as hub:
        for number in range(REGIONS):
            code = next(codes)
            identity = _identity(code, now)
            # Hangzhou's scheme under another name and another authority.
            own = text.replace("330100", code).replace("hz-jkm", f"syn-{number}")
            own = own.replace('"3301"', f'"{identity.body.prefixes[0]}"')
            request = enrol_request(identity, hub_urn=HUB, now=now, schemes=[json.loads(own)])
            enrolled = await hub.registry.enrol(
                request.statement, request.key_proofs, request.schemes, request.policy
            )
            challenges = [
                registry_service_pb2.SealedChallenge(key_id=each.key_id, envelope=each.envelope)
                for each in enrolled.challenges
            ]
            opened = open_challenges(identity, challenges, hub_urn=HUB)
            plain = {each.key_id: each.plaintext for each in opened}
            await hub.registry.prove(enrolled.enrolment_id, plain)
            await hub.registry.approve(identity.body.urn)
    say(regions=REGIONS)


async def serve(directory: Path) -> None:
    """Run the hub as ``hutong hub run`` does."""
    async with AsyncExitStack() as stack:
        hub = await stack.enter_async_context(
            running_hub(load_settings(directory), check_policy=load_policy)
        )
        regions = sum(record.active for record in hub.registry.members.adapters())
        say(port=hub.grpc_port, regions=regions)
        await asyncio.Event().wait()


if __name__ == "__main__":
    configure_logging()
    roles: dict[str, Any] = {"fill": fill, "run": serve}
    run(roles[sys.argv[1]](Path(sys.argv[2])))
