"""What `hutong hub distrust` shows before it acts, where there are other hubs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.cli.hub_trust import _print_preview
from gateway.cli.operator_trust import PreviewView
from gateway.wire.key_change import HubReaders

if TYPE_CHECKING:
    import pytest

GUANGDONG, ZHEJIANG = "urn:hutong:hub:440000", "urn:hutong:hub:330000"


def shown(preview: PreviewView, capsys: pytest.CaptureFixture[str]) -> str:
    _print_preview(preview)
    # As text, however wide the table is drawn.
    out = capsys.readouterr().out
    for line in "│┃┏┓┗┛┡┩└┘├┤┬┴─━┳╇┴":
        out = out.replace(line, " ")
    return " ".join(out.split())


def test_edges_are_shown_hub_by_hub_and_what_is_not_known_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.cli.hub_trust.console.width", 200)
    far = HubReaders(GUANGDONG, 317, 0, (), 0, 5)
    text = shown(PreviewView(None, 12, (), (), ZHEJIANG, (far,), (ZHEJIANG,)), capsys)
    assert f"not known {ZHEJIANG} could not be asked" in text
    assert "at least 329 12 of this hub" in text
    assert f"317 of {GUANGDONG}, where 5 members asked the issuer in a day" in text
    assert f"not known: those of {ZHEJIANG}, which could not be asked" in text


def test_a_hub_alone_shows_one_number(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.cli.hub_trust.console.width", 200)
    text = shown(PreviewView(10, 12, ("urn:hutong:hub:440000",), ()), capsys)
    assert "counted by the issuer up to 10" in text
    assert "hear of it at once 12" in text
    assert "of this hub" not in text
