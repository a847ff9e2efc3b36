"""The reference platform of Anhui 安康码: numbers for colours, two envelopes."""

from __future__ import annotations

from adapters.platforms.anhui.platform import AnhuiCredentials as AnhuiCredentials
from adapters.platforms.anhui.platform import AnhuiPlatform as AnhuiPlatform

PLATFORM = AnhuiPlatform
