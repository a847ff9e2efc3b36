"""How a checkpoint asks to be admitted (``docs/spec/registry.md``).

A checkpoint has two signing keys and no sealing key, so there is no challenge to
open: after the hub has taken the statement, an operator decides. The exchange
itself is ``gateway.wire.enrolment``; here stands what is a checkpoint's own.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from gateway.edge.errors import SettingsError
from gateway.edge.files import read_bounded
from gateway.trust import EnrolmentBody, KeyUse, MemberKind, signing_member_key
from gateway.wire.enrolment import MemberIdentity
from gateway.wire.files import write_atomically

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from gateway.edge.keys import CheckpointKeys
    from gateway.edge.settings import CheckpointSettings

MAX_ENROLMENT_FILE_BYTES: Final = 4096
"""One id."""


def checkpoint_identity(
    settings: CheckpointSettings, keys: CheckpointKeys, *, now: datetime
) -> MemberIdentity:
    """What a checkpoint says about itself, with the keys that prove it.

    Raises:
        StatementError: the settings make no enrolment.
    """
    body = EnrolmentBody(
        urn=settings.urn,
        kind=MemberKind.CHECKPOINT,
        name_zh="",
        name_en=settings.display_name or settings.urn.rpartition(":")[2],
        keys=(
            signing_member_key(keys.state, KeyUse.STATE, not_before=now),
            signing_member_key(keys.authenticate, KeyUse.AUTHENTICATE, not_before=now),
        ),
        region=settings.region,
    )
    return MemberIdentity(body, keys.state, (keys.authenticate,))


def save_enrolment(path: Path, enrolment_id: str) -> None:
    """Keep the id until the hub's operator has decided."""
    write_atomically(path, json.dumps({"enrolment_id": enrolment_id}).encode() + b"\n")


def load_enrolment(path: Path) -> str | None:
    """The id of an enrolment handed in earlier; None: there is none.

    Raises:
        SettingsError: the file is malformed.
    """
    if not path.exists():
        return None
    data = read_bounded(path, MAX_ENROLMENT_FILE_BYTES, "enrolment file")
    try:
        enrolment_id = json.loads(data)["enrolment_id"]
    except (ValueError, KeyError, TypeError):
        enrolment_id = None
    if not isinstance(enrolment_id, str) or not enrolment_id:
        raise SettingsError(
            f"the enrolment file {path} is malformed", fix="remove it and enrol again"
        )
    return enrolment_id
