"""The reference platform of Chongqing 渝康码: a clear QR text, an encrypted answer."""

from __future__ import annotations

from adapters.platforms.chongqing.codes import health_card_text as health_card_text
from adapters.platforms.chongqing.platform import ChongqingCredentials as ChongqingCredentials
from adapters.platforms.chongqing.platform import ChongqingPlatform as ChongqingPlatform

PLATFORM = ChongqingPlatform
