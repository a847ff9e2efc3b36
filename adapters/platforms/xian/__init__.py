"""The reference platform of Xi'an 一码通, whose QR text a phone keeps for an hour."""

from __future__ import annotations

from adapters.platforms.xian.platform import XianCredentials as XianCredentials
from adapters.platforms.xian.platform import XianPlatform as XianPlatform

PLATFORM = XianPlatform
