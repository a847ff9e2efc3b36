"""A gate that no line reaches: packs and deltas from a stick, never backwards."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from gateway.attestation import sign_attestation
from gateway.attestation.claims import StatusReference
from gateway.attestation.status_change import StatusBase, sign_status_change
from gateway.attestation.status_list import REVOKED, StatusList, sign_status_list
from gateway.attestation.status_tokens import token_digest
from gateway.cli.checkpoint import app
from gateway.edge import Checkpoint, CheckpointSettings, load_settings
from gateway.edge.pack_refusals import ClockBehindError, span
from gateway.edge.packs import PackStore
from gateway.errors import HutongError
from gateway.recognition import Verdict, shipped_policy
from gateway.trust import KeyUse
from gateway.trust.feed import FeedKind
from gateway.trust.pack import make_pack
from tests.edge.world import GUANGZHOU, HANGZHOU, NOW, Clock, make_federation, unified

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.trust.simulator import FederationSimulator

URI = f"urn:hutong:status:{HANGZHOU}:a1"
SIZE = 256


class Stick:
    """A hub's operator with a stick, and the gate's folder."""

    def __init__(self, folder: Path) -> None:
        self.clock = Clock()
        self.federation: FederationSimulator = make_federation(self.clock)
        self.folder = folder
        key = self.federation.regions[HANGZHOU].signing[KeyUse.ATTEST]
        self.list = sign_status_list(
            StatusList(1, SIZE),
            key,
            uri=URI,
            issued_at=NOW - timedelta(hours=1),
            expires_at=NOW + timedelta(days=3),
        )
        self.said = 0
        (folder / "anchor.json").write_bytes(self.federation.anchor.to_bytes())
        (folder / "checkpoint.toml").write_text(
            'urn = "urn:hutong:checkpoint:440100:north-gate"\nregion = "440100"\n'
            'hub = "hub.example:7443"\nhttp = "https://hub.example:7480"\n'
            'trust_anchor = "anchor.json"\nkey_file = "key.json"\nstate_dir = "state"\n'
            'packs_dir = "stick"\n'
        )

    @property
    def settings(self) -> CheckpointSettings:
        return load_settings(self.folder / "checkpoint.toml")

    def say(self, *revoked: int) -> None:
        self.said += 1
        key = self.federation.regions[HANGZHOU].signing[KeyUse.ATTEST]
        self.federation.now = self.clock()
        statement = sign_status_change(
            key,
            base=StatusBase(token_digest(self.list.encode()), SIZE, 1),
            uri=URI,
            sequence=self.said,
            changes={REVOKED: revoked} if revoked else {},
            issued_at=self.clock(),
        )
        self.federation.append(FeedKind.STATUS, URI, {"statement": statement})

    def pack(self, *, after: int = 0, **more: Any) -> bytes:
        replica = self.federation.replica()
        return make_pack(
            self.federation.feed_key,
            replica._state.live,
            hub=self.federation.hub,
            sequence=replica.sequence,
            digest=replica.digest,
            now=self.clock(),
            after=after,
            later=[one.token for one in self.federation.entries if one.sequence > after],
            lists=[] if after else [(URI, self.list.encode())],
            **more,
        )

    def carried(self, *, listed: bool = True) -> str:
        from dataclasses import replace

        from tests.benchmarks.verify import synthetic_attestation

        now = self.clock()
        attestation = replace(
            synthetic_attestation(now),
            audience=f"urn:hutong:region:{GUANGZHOU}",
            code=unified(now=now),
            status=StatusReference(URI, 17) if listed else None,
        )
        return sign_attestation(
            attestation, self.federation.regions[HANGZHOU].signing[KeyUse.ATTEST]
        )


@pytest.fixture
def stick(tmp_path: Path) -> Stick:
    return Stick(tmp_path)


def opened(stick: Stick) -> Any:
    return Checkpoint.open(stick.settings, online=False, clock=stick.clock)


@pytest.mark.asyncio
async def test_a_paper_code_of_the_morning_is_refused_once_a_newer_pack_is_here(
    stick: Stick,
) -> None:
    stick.say()
    morning = stick.pack()
    held = stick.federation.log.sequence
    async with opened(stick) as checkpoint:
        assert checkpoint.status().sequence is None
        checkpoint.load_pack(morning)
        status = checkpoint.status()
        assert (status.road, status.lists, status.lists_missing) == ("pack", 1, 0)
        first, second, third = stick.carried(), stick.carried(), stick.carried()
        assert checkpoint.verify_offline(first).is_admitted
        stick.clock.advance(hours=5)
        stick.say(17)
        noon = stick.pack(after=held)
        # Revoked at the hub; this gate cannot know, and says how old its knowledge is.
        result = checkpoint.verify_offline(second)
        assert result.is_admitted
        assert result.decision.ages.trust_seconds == 5 * 3600
        assert result.decision.ages.status_seconds == 5 * 3600
        checkpoint.load_pack(noon)
        result = checkpoint.verify_offline(third)
        assert result.decision.verdict is Verdict.REFUSE
        assert result.decision.reasons[-1].code == "ATTESTATION_REVOKED"
        assert checkpoint.status().trust_seconds == 0
    async with opened(stick) as checkpoint:  # the disk holds both
        assert not checkpoint.verify_offline(stick.carried()).is_admitted
        assert checkpoint.verify_offline(stick.carried(listed=False)).is_admitted


@pytest.mark.asyncio
async def test_what_does_not_hold_or_is_older_changes_nothing(stick: Stick) -> None:
    old = stick.pack()
    stick.say()
    new = stick.pack()
    forged = new.replace(new.splitlines()[3], new.splitlines()[2])
    other = Stick.__new__(Stick)
    other.__dict__.update(stick.__dict__)
    other.federation = make_federation(stick.clock)
    stranger = other.pack()
    async with opened(stick) as checkpoint:
        checkpoint.load_pack(new)
        before = checkpoint.status()
        files = sorted((stick.folder / "state" / "packs").iterdir())
        for data, code in (
            (old, "FEED_ROLLED_BACK"),
            (new[:-20], "PACK_INVALID"),
            (forged, None),
            (b"hutong-pack 2\n", "PACK_INVALID"),
            (b"", "PACK_INVALID"),
            (stranger, "FEED_SIGNATURE"),
        ):
            with pytest.raises(HutongError) as raised:
                checkpoint.load_pack(data)
            assert code is None or raised.value.code == code
            assert checkpoint.status() == before
            assert sorted((stick.folder / "state" / "packs").iterdir()) == files
        assert not checkpoint._knowledge.take_pack(new, stick.clock()).is_new


@pytest.mark.asyncio
async def test_a_missing_delta_is_named_and_the_stick_is_read_in_order(stick: Stick) -> None:
    whole = stick.pack()
    first_end = stick.federation.log.sequence
    stick.clock.advance(hours=1)
    stick.say()
    one = stick.pack(after=first_end)
    second_end = stick.federation.log.sequence
    stick.clock.advance(hours=1)
    stick.say(17)
    two = stick.pack(after=second_end)
    async with opened(stick) as checkpoint:
        checkpoint.load_pack(whole)
        with pytest.raises(HutongError) as raised:
            checkpoint.load_pack(two)
        assert raised.value.code == "FEED_GAP"
    folder = stick.folder / "stick"
    folder.mkdir()
    for name, data in (("a", two), ("b", one), ("c", whole), ("d", b"rubbish")):
        (folder / f"{name}.pack").write_bytes(data)
    async with opened(stick) as checkpoint:
        assert checkpoint.status().sequence == stick.federation.log.sequence
        assert checkpoint.status().trust_seconds == 0


@pytest.mark.asyncio
async def test_a_rule_announced_before_the_line_was_cut_begins_on_its_day(stick: Stick) -> None:
    today = shipped_policy(GUANGZHOU).to_document()
    refuse = {"id": "none", "when": {"level": ["GREEN"]}, "verdict": "REFUSE", "choice": "x"}
    begins = NOW + timedelta(hours=1)
    tomorrow = {
        **{name: today[name] for name in ("region", "name", "ages")},
        "id": f"{GUANGZHOU}@announced",
        "valid_from": begins.isoformat(),
        "rules": [refuse],
    }
    stick.federation.publish_policy(GUANGZHOU, {**today, "next": tomorrow})
    stick.say()
    async with opened(stick) as checkpoint:
        checkpoint.load_pack(stick.pack())
        assert checkpoint.verify_offline(stick.carried()).is_admitted
        assert checkpoint.status().policy_id == today["id"]
        stick.clock.now = begins
        result = checkpoint.verify_offline(stick.carried())
        assert result.decision.verdict is Verdict.REFUSE
        assert result.decision.policy_id == checkpoint.status().policy_id == tomorrow["id"]


@pytest.mark.asyncio
async def test_a_delta_that_does_not_continue_what_is_held_says_what_to_fetch(
    stick: Stick,
) -> None:
    ends = [stick.federation.log.sequence]
    whole = stick.pack()
    for _ in range(3):
        stick.clock.advance(hours=1)
        stick.say()
        ends.append(stick.federation.log.sequence)
    later = stick.pack(after=ends[2])
    async with opened(stick) as checkpoint:

        def refused(data: bytes) -> tuple[str, str, str]:
            with pytest.raises(HutongError) as raised:
                checkpoint.load_pack(data)
            return raised.value.code, str(raised.value), raised.value.fix or ""

        code, message, fix = refused(later)
        assert (code, "none was loaded here" in message) == ("FEED_GAP", True)
        assert "a whole pack" in fix
        checkpoint.load_pack(whole)
        code, message, fix = refused(later)
        assert (code, f"newer than {ends[0]}" in message) == ("FEED_GAP", True)
        assert f"--after {ends[0]}" in fix
        delta = stick.pack(after=ends[0])
        checkpoint.load_pack(delta)
        # The same once more has no news, and is no fault.
        assert not checkpoint._knowledge.take_pack(delta, stick.clock()).is_new
        stick.say()
        code, message, fix = refused(stick.pack(after=ends[1]))
        assert (code, f"older than {ends[3]}" in message) == ("FEED_GAP", True)
        assert f"--after {ends[3]}" in fix
        code, message, fix = refused(stick.pack(after=ends[3], prefixes=["3301", "4401"]))
        assert (code, "3301, 4401" in message) == ("PACK_INVALID", True)
        assert "no --prefix" in fix
        assert checkpoint.status().sequence == ends[3]


@pytest.mark.asyncio
async def test_a_gate_whose_clock_is_behind_says_so_and_by_how_much(stick: Stick) -> None:
    stick.say()
    pack = stick.pack()
    carried = stick.carried()
    async with opened(stick) as checkpoint:
        checkpoint.load_pack(pack)
    stick.clock.advance(days=-3)
    async with opened(stick) as checkpoint:
        status = checkpoint.status()
        assert (status.sequence, status.clock_behind_seconds) == (None, 3 * 86400)
        attempts: list[Callable[[], Any]] = [
            lambda: checkpoint.verify_offline(carried),
            lambda: checkpoint.load_pack(pack),
        ]
        for attempt in attempts:
            with pytest.raises(ClockBehindError) as raised:
                attempt()
            assert raised.value.code == "FEED_FROM_FUTURE"
            assert raised.value.behind == timedelta(days=3)
            assert "慢 3 天" in str(raised.value)
            assert "is 3 d behind" in str(raised.value)
    # The file was right all the time.
    stick.clock.advance(days=3)
    async with opened(stick) as checkpoint:
        assert checkpoint.status().clock_behind_seconds is None
        assert checkpoint.verify_offline(carried).is_admitted


@pytest.mark.parametrize(
    ("seconds", "zh", "en"),
    [
        (61, "61 秒", "61 s"),
        (7200, "2 小时", "2 h"),
        (90000, "25 小时", "25 h"),
        (400, "6 分钟", "6 min"),
    ],
)
def test_a_span_is_told_in_two_languages(seconds: int, zh: str, en: str) -> None:
    assert span(timedelta(seconds=seconds)) == (zh, en)


def test_a_damaged_file_is_set_aside_and_a_kill_leaves_one_state(stick: Stick) -> None:
    folder = stick.folder / "packs"
    store = PackStore(folder, stick.federation.anchor)
    store.take(stick.pack(), stick.clock())
    stick.say()
    older = next(folder.glob("*.pack")).read_bytes()
    store.take(stick.pack(), stick.clock())
    # As if it was killed after the new one stood, before the old one went.
    (folder / f"{1:020d}-{0:020d}.pack").write_bytes(older)
    again = PackStore(folder, stick.federation.anchor)
    assert again.open(stick.clock())
    assert again.sequence == stick.federation.log.sequence
    newest = max(folder.glob("*.pack"))
    newest.write_bytes(newest.read_bytes()[:-1])
    damaged = PackStore(folder, stick.federation.anchor)
    assert not damaged.open(stick.clock())
    assert newest.with_name(newest.name + ".damaged").exists()


def test_the_command_loads_a_pack_and_says_how_old_the_knowledge_is(stick: Stick) -> None:
    from gateway.edge.checkpoint import utc_now

    stick.federation = make_federation(Clock(utc_now()))
    stick.clock.now = utc_now()
    (stick.folder / "anchor.json").write_bytes(stick.federation.anchor.to_bytes())
    file = stick.folder / "guangzhou.pack"
    file.write_bytes(stick.pack(prefixes=["3301", "4401"]))
    config = ["--config", str(stick.folder / "checkpoint.toml")]
    runner = CliRunner()
    shown = runner.invoke(app, ["pack", "info", str(file), *config])
    assert shown.exit_code == 0, shown.output
    assert "3301, 4401" in shown.output
    loaded = runner.invoke(app, ["pack", "load", str(file), *config])
    assert loaded.exit_code == 0, loaded.output
    assert "taken in, whole" in loaded.output
    assert "knowledge is" in loaded.output
    status = runner.invoke(app, ["status", *config])
    assert "for 3301, 4401 alone" in status.output
    # A clock that was set back by somebody: asked, the gate says what is the matter.
    later = Clock(utc_now() + timedelta(days=2))
    stick.federation.now = later()
    stick.clock.now = later()
    newest = max((stick.folder / "state" / "packs").glob("*.pack"))
    kept = newest.read_bytes()
    newest.write_bytes(stick.pack(prefixes=["3301", "4401"]))
    behind = runner.invoke(app, ["verify", "aaaa.bbbb.cccc", *config])
    assert behind.exit_code == 2
    assert "FEED_FROM_FUTURE" in behind.output
    assert "本机时钟" in behind.output
    assert "set this machine's clock" in behind.output
    assert "比枢纽签发慢" in runner.invoke(app, ["status", *config]).output
    newest.write_bytes(kept)
    file.write_bytes(file.read_bytes()[:-5])
    refused = runner.invoke(app, ["pack", "load", str(file), *config])
    assert refused.exit_code == 2
    assert "PACK_INVALID" in refused.output
