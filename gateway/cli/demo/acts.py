"""The script: who travels where, and what must come of it.

The acts stand in chapters, one for each way in which regions recognise each other.
An act's expectation (what is seen, what follows, why) stands beside it, and
``hutong demo --once`` fails when a single one does not come out. All travellers are
synthetic.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gateway.cli.demo.cast import Cast
    from gateway.cli.demo.scene import Scene

    Play = Callable[[Cast], Awaitable[Scene]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One traveller.

    Attributes:
        name: for scripts, stable.
        zh: what happens, in Chinese.
        en: what happens, in English.
        origin: six digits of the region the code is from.
        destination: six digits of the region that decides.
        seen: what must be seen: a level, an outcome, a refusal, a region's own words.
        verdict: what must follow from it.
        reason: code that must be among the reasons.
        play: does it.
    """

    name: str
    zh: str
    en: str
    origin: str
    destination: str
    seen: str
    verdict: str
    reason: str
    play: Play

    def failures(self, scene: Scene) -> list[str]:
        """Say where a scene is not as scripted; empty when it is."""
        reasons = [reason.code for reason in scene.reasons]
        found = (
            ("seen", self.seen, [scene.seen]),
            ("verdict", self.verdict, [scene.verdict]),
            ("reason", self.reason, reasons),
        )
        failures = [
            f"{name}: {', '.join(values) or 'nothing'}, scripted {wanted}"
            for name, wanted, values in found
            if wanted not in values
        ]
        return failures + [f"not so: {fact.en}" for fact in scene.facts if not fact.holds]


@dataclass(frozen=True, slots=True)
class Chapter:
    """The acts of one way.

    Attributes:
        name: for scripts, stable.
        zh: title, in Chinese.
        en: title, in English.
        acts: in the order they are played.
    """

    name: str
    zh: str
    en: str
    acts: tuple[Act, ...]
