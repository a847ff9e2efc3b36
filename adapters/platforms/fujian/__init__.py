"""The reference platform of Fujian 八闽健康码, behind a wire of our choosing."""

from __future__ import annotations

from adapters.platforms.fujian.platform import FujianCredentials as FujianCredentials
from adapters.platforms.fujian.platform import FujianPlatform as FujianPlatform

PLATFORM = FujianPlatform
