"""The reference platform of Hubei 湖北健康码."""

from __future__ import annotations

from adapters.platforms.hubei.platform import HubeiCredentials as HubeiCredentials
from adapters.platforms.hubei.platform import HubeiPlatform as HubeiPlatform

PLATFORM = HubeiPlatform
