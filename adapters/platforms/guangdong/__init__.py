"""The reference platform of Guangdong 粤康码, behind a wire of our choosing."""

from __future__ import annotations

from adapters.platforms.guangdong.platform import GuangdongCredentials as GuangdongCredentials
from adapters.platforms.guangdong.platform import GuangdongPlatform as GuangdongPlatform

PLATFORM = GuangdongPlatform
