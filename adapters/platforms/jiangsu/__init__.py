"""The reference platform of Jiangsu 苏康码: a form, return codes, English words."""

from __future__ import annotations

from adapters.platforms.jiangsu.platform import JiangsuCredentials as JiangsuCredentials
from adapters.platforms.jiangsu.platform import JiangsuPlatform as JiangsuPlatform
from adapters.platforms.jiangsu.platform import holder_page as holder_page

PLATFORM = JiangsuPlatform
