"""The reference platform of Hebei 健康码, which hands out every province's reports."""

from __future__ import annotations

from adapters.platforms.hebei.platform import HebeiCredentials as HebeiCredentials
from adapters.platforms.hebei.platform import HebeiPlatform as HebeiPlatform

PLATFORM = HebeiPlatform
