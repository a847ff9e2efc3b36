"""The reference platform of Wenzhou 温州健康码, on the Alipay family's page."""

from __future__ import annotations

from adapters.platforms.alipay.platform import AlipayCredentials as AlipayCredentials
from adapters.platforms.alipay.platform import AlipayPlatform as AlipayPlatform

PLATFORM = AlipayPlatform
