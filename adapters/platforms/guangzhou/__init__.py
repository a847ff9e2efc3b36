"""The reference platform of Guangzhou 穗康码, behind a wire of our choosing."""

from __future__ import annotations

from adapters.platforms.guangzhou.platform import GuangzhouCredentials as GuangzhouCredentials
from adapters.platforms.guangzhou.platform import GuangzhouPlatform as GuangzhouPlatform
from adapters.platforms.guangzhou.table import COLOUR_SINCE as COLOUR_SINCE
from adapters.platforms.guangzhou.table import COUNTIES as COUNTIES
from adapters.platforms.guangzhou.table import code_qr_text as code_qr_text
from adapters.platforms.guangzhou.table import pass_qr_text as pass_qr_text
from adapters.platforms.people import DEFAULT_SEED, DEFAULT_SIZE, Population

PLATFORM = GuangzhouPlatform


def guangzhou_population(size: int = DEFAULT_SIZE, seed: int = DEFAULT_SEED) -> Population:
    """The people of the reference city."""
    return Population(COUNTIES, size=size, seed=seed)
