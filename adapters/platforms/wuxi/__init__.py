"""The reference platform of Wuxi 锡康码: a queue, and who pulled a red."""

from __future__ import annotations

from adapters.platforms.wuxi.platform import WuxiCredentials as WuxiCredentials
from adapters.platforms.wuxi.platform import WuxiPlatform as WuxiPlatform
from adapters.platforms.wuxi.table import enterprise_text as enterprise_text

PLATFORM = WuxiPlatform
