"""The reference service of the national code 防疫健康信息码, as gates call it."""

from __future__ import annotations

from adapters.platforms.national.platform import NationalCredentials as NationalCredentials
from adapters.platforms.national.platform import NationalPlatform as NationalPlatform

PLATFORM = NationalPlatform
