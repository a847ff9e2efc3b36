"""The reference platform of Shanghai 随申码, whose QR text leads to a person."""

from __future__ import annotations

from adapters.platforms.shanghai.platform import ShanghaiCredentials as ShanghaiCredentials
from adapters.platforms.shanghai.platform import ShanghaiPlatform as ShanghaiPlatform

PLATFORM = ShanghaiPlatform
