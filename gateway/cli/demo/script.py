"""The whole script: every chapter, in the order in which it is played."""

from __future__ import annotations

from typing import Final

from gateway.cli.demo import (
    act_bridge,
    act_carried,
    act_gates,
    act_incidents,
    act_native,
    act_shared,
)

CHAPTERS: Final = (
    act_gates.CHAPTER,
    act_shared.CHAPTER,
    act_bridge.CHAPTER,
    act_native.CHAPTER,
    act_carried.CHAPTER,
    act_incidents.CHAPTER,
)
"""The hub is killed in the last one."""

ACTS: Final = tuple(act for chapter in CHAPTERS for act in chapter.acts)
