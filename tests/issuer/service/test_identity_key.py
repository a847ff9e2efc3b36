"""An issuer does not run on the people of another identity key."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from gateway.issuer.app import running_issuer
from gateway.issuer.errors import IdentityError
from gateway.issuer.people import create_identity_key
from gateway.issuer.settings import load_settings
from tests.issuer.service.world import service_world

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.asyncio


async def test_an_issuer_refuses_to_start_with_another_identity_key(tmp_path: Path) -> None:
    folder = tmp_path / "issuer"
    async with service_world(folder) as world:
        await world.declare(1)
    settings = load_settings(folder)
    kept = settings.identity_key.read_bytes()
    settings.identity_key.unlink()
    create_identity_key(settings.identity_key, os.urandom)
    with pytest.raises(IdentityError) as caught:
        async with running_issuer(settings):
            pytest.fail("it runs")
    assert caught.value.code == "IDENTITY_UNREADABLE"
    settings.identity_key.write_bytes(kept)
    async with running_issuer(settings) as running:
        assert running.port
