"""A sound exchange as a flat set of properties, and a change of one of them.

A case names what differs as dotted paths (``grant.signed_by``); the path becomes
the field ``grant_signed_by`` of the plan. Unknown paths are an error of the suite.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Plan:
    """Properties that both roles vary; the roles add their own."""

    def changed(self, change: Mapping[str, Any]) -> Self:
        """Return the plan with one case's change applied.

        Raises:
            KeyError: a path that this role does not know.
        """
        known = {field.name for field in fields(self)}
        values = {path.replace(".", "_"): value for path, value in change.items()}
        unknown = set(values) - known
        if unknown:
            raise KeyError(f"a case changes what the role does not know: {sorted(unknown)}")
        return replace(self, **values)
