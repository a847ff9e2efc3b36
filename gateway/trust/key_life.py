"""How long a region's keys live, where nobody says otherwise.

A key without an end is good for as long as nobody notices that it was copied. One that
ends tells its owner in time (30, 7 and 1 days ahead), and a rotation becomes a habit
instead of an emergency. The lives are chosen from what becomes of a region whose key
ends unnoticed, under the three years that NIST SP 800-57 part 1 rev. 5, table 1, allows
the originator of a signature, and the two that it allows a key-transport key:

================  ========  ==========================================================
use               life      because
================  ========  ==========================================================
``attest``        120 days  used most, in the process that faces the network. Changed
                            every quarter, with a month to do it; the shortest life that
                            is told of 30 whole days ahead. Where it ends unnoticed, gates
                            turn the region's travellers to a person until it is rotated
``seal``          1 year    what was recorded before it is destroyed can be opened by
                            whoever steals it. Where it ends unnoticed, nobody can ask
``state``         2 years   changed every year. Where it ends unnoticed, the region can
                            sign no change any more and must be withdrawn and enrol
                            anew: so forgetting it once is survived
``authenticate``  2 years   likewise: without it there is no access token, and so no
                            change of keys
================  ========  ==========================================================
"""

from __future__ import annotations

from datetime import timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from gateway.trust.keys import KeyUse
from gateway.trust.linter import MAX_KEY_LIFE as MAX_KEY_LIFE

if TYPE_CHECKING:
    from collections.abc import Mapping

MIN_KEY_LIFE: Final = timedelta(days=1)
"""As a feed's readers may be a day behind (``max_trust_age_seconds``), a key that lives
less could end before everybody has seen it."""

KEY_LIVES: Final[Mapping[KeyUse, timedelta]] = MappingProxyType(
    {
        KeyUse.ATTEST: timedelta(days=120),
        KeyUse.SEAL: timedelta(days=365),
        KeyUse.STATE: timedelta(days=730),
        KeyUse.AUTHENTICATE: timedelta(days=730),
    }
)
"""See the module; counted from a key's first use."""
