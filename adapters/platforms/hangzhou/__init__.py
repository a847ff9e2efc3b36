"""The reference platform of Hangzhou 杭州健康码, behind Zhejiang's provincial wire."""

from __future__ import annotations

from adapters.platforms.hangzhou.platform import HangzhouCredentials as HangzhouCredentials
from adapters.platforms.hangzhou.platform import HangzhouPlatform as HangzhouPlatform
from adapters.platforms.hangzhou.table import COUNTIES as COUNTIES
from adapters.platforms.hangzhou.table import qr_text as qr_text
from adapters.platforms.people import DEFAULT_SEED, DEFAULT_SIZE, Population

PLATFORM = HangzhouPlatform


def hangzhou_population(size: int = DEFAULT_SIZE, seed: int = DEFAULT_SEED) -> Population:
    """The people of the reference city."""
    return Population(COUNTIES, size=size, seed=seed)
