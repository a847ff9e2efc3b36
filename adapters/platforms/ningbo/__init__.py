"""The reference platform of Ningbo 甬行码, with its paper pass 甬行证."""

from __future__ import annotations

from adapters.platforms.ningbo.platform import NingboCredentials as NingboCredentials
from adapters.platforms.ningbo.platform import NingboPlatform as NingboPlatform

PLATFORM = NingboPlatform
