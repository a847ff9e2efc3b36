"""The reference platform of the travel card 通信大数据行程卡: places, no people."""

from __future__ import annotations

from adapters.platforms.travelcard.platform import TravelcardCredentials as TravelcardCredentials
from adapters.platforms.travelcard.platform import TravelcardPlatform as TravelcardPlatform

PLATFORM = TravelcardPlatform
