"""The reference platform of Xiamen 厦门健康码, behind a wire of our choosing."""

from __future__ import annotations

from adapters.platforms.xiamen.platform import XiamenCredentials as XiamenCredentials
from adapters.platforms.xiamen.platform import XiamenPlatform as XiamenPlatform

PLATFORM = XiamenPlatform
