"""A hub's own keys, as ``hutong hub status`` shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from gateway.wire.key_change import standing_view

if TYPE_CHECKING:
    from hutong.v1 import registry_service_pb2

_SHORT: Final = 12
"""Characters of a key id; enough to tell the keys of one hub apart."""


def own_keys(said: registry_service_pb2.GetStandingResponse) -> list[dict[str, Any]]:
    """Return the keys that the hub uses now, and those to come."""
    return [
        {
            "use": key.use,
            "key_id": key.key_id,
            "state": key.state.value,
            "begins": key.not_before.isoformat(),
            "ends": None if key.not_after is None else key.not_after.isoformat(),
        }
        for key in standing_view(said).keys
        if key.is_live and key.state is not None
    ]


def key_line(key: dict[str, Any]) -> str:
    """Return one of them in words."""
    when = "" if key["state"] == "active" else f" from {key['begins']}"
    end = "" if key["ends"] is None else f", until {key['ends']}"
    return f"{key['key_id'][:_SHORT]} {key['state']}{when}{end}"
