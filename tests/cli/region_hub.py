"""A registry as far as one member's keys go, for the tests of rotations and leaks."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from adapters.sdk.keys import generate_keys, load_keys, save_keys
from gateway.attestation.sealing_keys import Profile, public_sealing_jwk
from gateway.cli.region_ending import move_key
from gateway.cli.region_files import settle
from gateway.cli.region_keys import Rehearsed, RotationPlan, Surroundings, rotate
from gateway.cli.region_line import Region
from gateway.trust import KeyUse, sealing_member_key, signing_member_key
from gateway.trust.key_life import KEY_LIVES
from gateway.trust.keys import KeyState
from gateway.trust.lifecycle import apply_key_change
from gateway.wire.key_change import KeyView, ReaderView, RehearsalView, Standing
from tests.hub.hub_world import region

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.cli.region_ending import Moved
    from gateway.cli.region_keys import Rotated

START = datetime(2020, 3, 1, 12, tzinfo=UTC)
LEAD = timedelta(seconds=60)
URN = "urn:hutong:region:330100"


class KilledError(Exception):
    """The process ends here."""


class Hub:
    """A hub's registry as far as one member's keys go, by the rules of the real one."""

    def __init__(self, folder: Path, profiles: tuple[Profile, ...] = (Profile.HPKE,)) -> None:
        keys = generate_keys(profiles)
        save_keys(folder, keys)
        signing = (
            (keys.state, KeyUse.STATE),
            (keys.attest, KeyUse.ATTEST),
            (keys.authenticate, KeyUse.AUTHENTICATE),
        )
        begin = START - timedelta(days=30)
        end = {use: begin + life for use, life in KEY_LIVES.items()}
        held = (
            *(
                signing_member_key(key, use, not_before=begin, not_after=end[use])
                for key, use in signing
            ),
            *(
                sealing_member_key(
                    public_sealing_jwk(key), not_before=begin, not_after=end[KeyUse.SEAL]
                )
                for key in keys.seal
            ),
        )
        self.folder = folder
        self.record = replace(region(URN).body, keys=held)
        self.now = START
        self.calls: list[str] = []
        self.dies_before = ""
        self.dies_after = ""
        self.result = RehearsalView(verified=2, failures=(), silent=())
        self.asked: list[Rehearsed] = []

    def clock(self) -> datetime:
        return self.now

    def _begin(self, call: str) -> None:
        if call == self.dies_before:
            raise KilledError
        self.calls.append(call)

    def _end(self, call: str) -> None:
        if call == self.dies_after:
            raise KilledError

    async def standing(self) -> Standing:
        keys = tuple(
            KeyView(
                key.key_id,
                key.use.value,
                key.state(self.now),
                key.not_before,
                key.not_after,
                key.tainted_from or key.revoked_at,
                key.reason or "",
            )
            for key in self.record.keys
        )
        readers = (ReaderView("urn:hutong:checkpoint:330100:gate", 3, START),)
        return Standing(URN, "ACTIVE", (), 2, keys, (), 7, readers, 1)

    async def rehearse(self, key: Any, private: Any, state_key: Any, *, now: datetime) -> Any:
        assert key.key_id == private.key_id
        self._signs(state_key)
        self._begin("rehearse")
        self._end("rehearse")
        return "synthetic", 2

    async def rehearsal(self, rehearsal: str) -> RehearsalView:
        assert rehearsal == "synthetic"
        return self.result

    async def change(
        self, change: Any, state_key: Any, *, proving: Any = (), opening: Any = (), now: datetime
    ) -> int:
        call = "add" if change.add else "retire" if change.retire else "move"
        self._signs(state_key)
        self._begin(call)
        proven = {key.key_id for key in (*proving, *opening)}
        assert proven == {key.key_id for key in change.add}
        self.record = apply_key_change(self.record, change, self.now, lead=LEAD)
        self._end(call)
        return 8

    def _signs(self, key: Any) -> None:
        held = next(one for one in self.record.keys if one.key_id == key.key_id)
        assert (held.use, held.state(self.now)) == (KeyUse.STATE, KeyState.ACTIVE)

    def live(self, use: str) -> list[Any]:
        found = [key for key in self.record.keys if key.use == use]
        states = (KeyState.ACTIVE, KeyState.PUBLISHED)
        return [key for key in found if key.state(self.now) in states]

    async def rotate(self, slot: str = "attest", **changes: Any) -> Rotated:
        async def sleep(seconds: float) -> None:
            self.now += timedelta(seconds=seconds)

        def ask(seen: Rehearsed) -> bool:
            self.asked.append(seen)
            return bool(changes.get("goes_on"))

        plan = RotationPlan(
            begin_in=changes.get("begin_in", timedelta(minutes=10)),
            overlap=timedelta(days=1) if slot.startswith("seal") else timedelta(0),
            patience=timedelta(seconds=5),
            force=changes.get("force", False),
            life=changes.get("life"),
        )
        line: Any = self
        around = Surroundings(self.clock, sleep, lambda _: None, ask)
        return await rotate(self.folder, slot, line, plan, around)

    async def end(self, key_id: str, word: str, since: datetime | None = None) -> Moved:
        """What ``hutong region taint`` and ``revoke`` do, from the opening of the line on."""
        line: Any = self
        settle(self.folder, await self.standing())
        move = (word, since, "synthetic")
        place = Region(URN, self.folder, line)
        return await move_key(place, key_id, move, may_replace=True, now=self.now)

    def key(self, key_id: str) -> Any:
        return next(key for key in self.record.keys if key.key_id == key_id)

    def used(self, slot: str) -> str:
        """The key that an adapter signs with now, or the newest that it opens with."""
        keys = load_keys(self.folder, now=self.now)
        return str(keys.seal[-1].key_id if slot == "seal" else getattr(keys, slot).key_id)
