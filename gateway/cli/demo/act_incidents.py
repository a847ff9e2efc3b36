"""Incidents: what goes wrong, what each checkpoint sees of it, and what puts it right."""

from __future__ import annotations

from typing import Final

from gateway.cli.demo import act_carried, act_line, act_noon
from gateway.cli.demo.acts import Chapter

CHAPTER: Final = Chapter(
    "incidents",
    "事件：中午转红、密钥泄露、换钥、线路中断、枢纽断电",
    "Incidents: a red at noon, a leaked key, a rotation, a cut line, a hub without power",
    (*act_noon.ACTS, *act_line.ACTS, *act_carried.WITHOUT_A_HUB),
)
"""The hub is killed in the last act but one, and nobody needs it any more."""
