"""The reference platform of Beijing 健康宝, which answers in words."""

from __future__ import annotations

from adapters.platforms.beijing.platform import BeijingCredentials as BeijingCredentials
from adapters.platforms.beijing.platform import BeijingPlatform as BeijingPlatform

PLATFORM = BeijingPlatform
