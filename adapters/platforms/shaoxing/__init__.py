"""The reference platform of Shaoxing 绍兴健康码, behind a SOAP service for hospitals."""

from __future__ import annotations

from adapters.platforms.shaoxing.platform import ShaoxingCredentials as ShaoxingCredentials
from adapters.platforms.shaoxing.platform import ShaoxingPlatform as ShaoxingPlatform

PLATFORM = ShaoxingPlatform
