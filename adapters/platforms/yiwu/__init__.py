"""The reference platform of Yiwu's market pass 义乌国际商贸城准入码."""

from __future__ import annotations

from adapters.platforms.yiwu.platform import YiwuCredentials as YiwuCredentials
from adapters.platforms.yiwu.platform import YiwuPlatform as YiwuPlatform

PLATFORM = YiwuPlatform
