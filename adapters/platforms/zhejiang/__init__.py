"""The reference platform of Zhejiang 浙江健康码: eleven cities behind one query."""

from __future__ import annotations

from adapters.platforms.zhejiang.platform import ZhejiangCredentials as ZhejiangCredentials
from adapters.platforms.zhejiang.platform import ZhejiangPlatform as ZhejiangPlatform

PLATFORM = ZhejiangPlatform
