"""The reference platform of Tianjin 津心办, whose middle colour is orange."""

from __future__ import annotations

from adapters.platforms.tianjin.platform import TianjinCredentials as TianjinCredentials
from adapters.platforms.tianjin.platform import TianjinPlatform as TianjinPlatform

PLATFORM = TianjinPlatform
