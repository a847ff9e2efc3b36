"""Incidents: what goes wrong, what each checkpoint sees of it, and what puts it right."""

from __future__ import annotations

from typing import Final

from gateway.cli.demo import act_carried, act_leak, act_line, act_noon, act_rotation
from gateway.cli.demo.acts import Chapter

CHAPTER: Final = Chapter(
    "incidents",
    "事件：换钥、中午转红、线路中断、密钥泄露、枢纽断电",
    "Incidents: a rotation, a red at noon, a cut line, a leaked key, a hub without power",
    (
        act_rotation.AHEAD,
        *act_noon.ACTS,
        *act_line.ACTS,
        act_rotation.AT_ITS_TIME,
        *act_leak.ACTS,
        *act_carried.WITHOUT_A_HUB,
    ),
)
"""The hub is killed in the last act but one, and nobody needs it any more."""
