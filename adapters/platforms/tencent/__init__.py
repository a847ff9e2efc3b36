"""The reference platform of Sichuan 天府健康通, as the Tencent family speaks."""

from __future__ import annotations

from adapters.platforms.tencent.platform import TencentCredentials as TencentCredentials
from adapters.platforms.tencent.platform import TencentPlatform as TencentPlatform

PLATFORM = TencentPlatform
