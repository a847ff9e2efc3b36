"""The reference platform of Jiangxi 赣通码 and of its cities' codes."""

from __future__ import annotations

from adapters.platforms.jiangxi.platform import JiangxiCredentials as JiangxiCredentials
from adapters.platforms.jiangxi.platform import JiangxiPlatform as JiangxiPlatform
from adapters.platforms.jiangxi.table import nanchang_text as nanchang_text

PLATFORM = JiangxiPlatform
