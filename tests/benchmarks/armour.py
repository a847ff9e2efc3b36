"""QR armour: Base45 over deflate beside the digits of SMART Health Cards; SD-JWT beside JWT.

Four texts of each attestation become symbols of one error correction (M):

* ``armour``: what the product writes (``gateway.attestation.armour``);
* ``digits``: the very same token, two digits a character in numeric mode;
* ``cards``: digits as SMART Health Cards make them, whose payload is deflated before it
  is signed (``zip`` ``DEF``): another token, as large as that framework would make it;
* ``decimal``: the armour's packed bytes as one number, numeric mode; nobody's format, it
  shows what the alphabet itself costs.

Above 1 195 characters of token SMART Health Cards split into chunks of equal size, each a
symbol of its own; then the figures are of the largest chunk, times their number.

Pictures are read by zxing-cpp, each text through the same ten changes. Everything is
drawn from fixed seeds. ``python -m tests.benchmarks.armour`` prints the whole table of
docs/adr/0017.
"""

from __future__ import annotations

import os
import time
import zlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import cycle
from math import ceil
from typing import TYPE_CHECKING, Final

import segno
import zxingcpp

from gateway.attestation import (
    AttestationVerifier,
    SigningKey,
    base64url,
    claims_to_json,
    generate_signing_key,
    public_jwk,
    sign_attestation,
    to_armour,
    verification_key_from_jwk,
)
from gateway.attestation.armour import PREFIX, base45_decode
from gateway.attestation.sd_jwt import (
    MINIMAL_MEMBERS,
    Disclosure,
    draft_disclosed,
    keep,
    sign_disclosed,
)
from gateway.attestation.signing import sign_payload
from gateway.codes import UnifiedCode
from tests.benchmarks.figures import Figure, at_least, at_most, interleave
from tests.benchmarks.verify import AUDIENCE, ISSUER, _OneKey, synthetic_attestation
from tests.edge.pictures import aslant, blurred, dimmed, draw, noisy, sized, turned

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL.Image import Image
    from segno import QRCode

    from gateway.attestation import Attestation

CHUNK_CHARACTERS: Final = 1195
"""A larger token is split (SMART Health Cards Framework, "Chunking Larger SHCs")."""
CHANGES: Final[dict[str, Callable[[Image], Image]]] = {
    "as drawn": turned(0),
    "turned 17": turned(17),
    "turned 90": turned(90),
    "turned 180": turned(180),
    "blurred 2 px": blurred(2),
    "dimmed to 0.3": dimmed(0.3),
    "grey 0.5/0.4": dimmed(0.5, 0.4),
    "noise 25": noisy(25),
    "aslant 0.1": aslant(0.1),
    "2.5 px a module": sized(2.5),
}
_STEPS: Final = tuple(step / 20 for step in range(20, 81, 2))  # 1.0 to 4.0 px a module
_HEADROOM: Final = 0.6  # a slightly soft picture: no camera is as sharp as a drawing


@dataclass(frozen=True, slots=True)
class Text:
    """One way to write an attestation.

    Attributes:
        segments: what segno is given; it finds the cheapest mode of each.
        symbols: how many such symbols the whole takes.
    """

    segments: tuple[str, ...]
    symbols: int = 1

    def symbol(self) -> QRCode:
        """The symbol, or the first of several."""
        return segno.make_qr(list(self.segments), error="m", boost_error=False)


def attestations() -> dict[str, Attestation]:
    """A small, a typical and a large one."""
    now = datetime.now(UTC).replace(microsecond=0)
    typical = synthetic_attestation(now)
    code = typical.code
    bare = UnifiedCode(
        code.level, code.scheme, code.state, code.assessed_at, code.source_at, code.issued_by
    )
    others = tuple(
        replace(
            code,
            also=(),
            rule=f"synthetic-rule-{number}",
            assessed_at=code.assessed_at - timedelta(hours=number, seconds=7 * number),
            source_at=code.source_at - timedelta(minutes=number, seconds=3 * number),
        )
        for number in range(1, 6)
    )
    return {
        "small": replace(typical, code=bare),
        "typical": typical,
        "large": replace(typical, code=replace(code, also=others)),
    }


def texts(attestation: Attestation, key: SigningKey) -> dict[str, Text]:
    """Every way to write one attestation."""
    payload = claims_to_json(attestation)
    token = sign_attestation(attestation, key)
    armour = to_armour(token)
    packed = int.from_bytes(base45_decode(armour[len(PREFIX) :]), "big")
    stream = zlib.compressobj(9, zlib.DEFLATED, -15)
    deflated = stream.compress(payload) + stream.flush()
    # `zip` stands in the header, which is that much longer than ours.
    header = f'{{"zip":"DEF","alg":"{key.algorithm}","kid":"{key.key_id}"}}'
    signature = sign_payload(deflated, key, "").rpartition(".")[2]
    card = f"{base64url.encode(header.encode())}.{base64url.encode(deflated)}.{signature}"
    return {
        "armour": Text((armour,)),
        "digits": digits(token),
        "cards": digits(card),
        "decimal": Text((PREFIX, str(packed))),
    }


def digits(token: str) -> Text:
    """A token as SMART Health Cards put it into a QR code."""
    symbols = 1 if len(token) <= CHUNK_CHARACTERS else ceil(len(token) / CHUNK_CHARACTERS)
    chunk = token[: ceil(len(token) / symbols)]
    prefix = "shc:/" if symbols == 1 else f"shc:/1/{symbols}/"
    number = "".join(f"{ord(character) - 45:02d}" for character in chunk)
    return Text((prefix, number), symbols)


def read(image: Image) -> str | None:
    """What zxing-cpp finds, as the gate asks it."""
    found = zxingcpp.read_barcodes(
        image,
        formats=zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode),
        text_mode=zxingcpp.TextMode.Plain,
    )
    return next((str(barcode.text) for barcode in found if barcode.valid), None)


def smallest(symbol: QRCode) -> float:
    """Pixels a module below which a slightly soft picture is not read any more."""
    sharp = draw(symbol)
    for pixels in _STEPS:
        if read(blurred(_HEADROOM)(sized(pixels)(sharp))) is not None:
            return pixels
    return _STEPS[-1]


def measure(rounds: int = 12) -> list[Figure]:
    """The typical attestation, the product's armour beside the digits; SD-JWT beside JWT."""
    key = generate_signing_key()
    typical = attestations()["typical"]
    written = texts(typical, key)
    symbols = {name: text.symbol() for name, text in written.items()}
    modules = {
        name: symbol.symbol_size(border=0)[0] ** 2 * written[name].symbols
        for name, symbol in symbols.items()
    }
    figures = [
        at_most(
            f"QR modules of a typical attestation / {name}",
            modules["armour"],
            "modules",
            baseline=modules[name],
            ratio=modules["armour"] / modules[name],
            goal=1.0,
            note=_sizes(symbols, written, name),
        )
        for name in ("digits", "cards")
    ]
    pictures = {
        name: [change(draw(s)) for change in CHANGES.values()] for name, s in symbols.items()
    }
    rings = {name: cycle(images) for name, images in pictures.items()}
    run = interleave(
        {
            **{f"make {name}": written[name].symbol for name in ("armour", "digits", "cards")},
            **{
                f"read {name}": lambda name=name: read(next(rings[name]))  # type: ignore[misc]
                for name in ("armour", "digits", "cards")
            },
        },
        rounds=rounds,
        slice_seconds=0.05,
    )
    for step in ("make", "read"):
        for name in ("digits", "cards"):
            times = written[name].symbols
            figures.append(
                Figure(
                    f"{step} the QR code of a typical attestation / {name}",
                    run.seconds(f"{step} armour") * 1e3,
                    "ms",
                    run.seconds(f"{step} {name}") * 1e3 * times,
                    1 / run.speed_ratio(f"{step} armour", f"{step} {name}") / times,
                    note="segno" if step == "make" else "zxing-cpp, over ten changed pictures",
                )
            )
    return [*figures, *_disclosed(key, typical, rounds)]


def _sizes(symbols: dict[str, QRCode], written: dict[str, Text], name: str) -> str:
    versions = f"version {symbols['armour'].version} beside {symbols[name].version}"
    times = written[name].symbols
    return versions if times == 1 else f"{versions}, {times} symbols"


def _disclosed(key: SigningKey, attestation: Attestation, rounds: int) -> list[Figure]:
    """Verifying an attestation in part beside the whole one."""
    now = attestation.issued_at
    trust = _OneKey(
        verification_key_from_jwk(
            public_jwk(key), issuer=ISSUER, prefixes=("33",), not_before=now - timedelta(days=1)
        )
    )
    carried = replace(attestation, use="carried", nonce=None)
    payload = claims_to_json(carried)
    selective = sign_disclosed(draft_disclosed(payload, Disclosure.SELECTIVE, os.urandom), key)
    tokens = {
        "minimal": sign_disclosed(draft_disclosed(payload, Disclosure.MINIMAL, os.urandom), key),
        "selective, all shown": selective,
        "selective, minimum shown": keep(selective, MINIMAL_MEMBERS),
    }
    whole = sign_attestation(carried, key)
    verifier = AttestationVerifier(trust)
    when = {"audience": AUDIENCE, "now": now}
    run = interleave(
        {
            "whole": lambda: verifier.verify(whole, **when),  # type: ignore[arg-type]
            **{
                name: lambda token=token: verifier.verify_disclosed(token, **when)  # type: ignore[misc]
                for name, token in tokens.items()
            },
        },
        rounds=rounds,
    )
    return [
        at_least(
            f"verify an SD-JWT, {name} / JWT",
            run.rate(name),
            "/s",
            baseline=run.rate("whole"),
            ratio=run.speed_ratio(name, "whole"),
            goal=0.3 if "all shown" in name else 0.45,
            note=f"{len(token)} characters beside {len(whole)}",
        )
        for name, token in tokens.items()
    ]


def main() -> None:
    """Prints the table of the ADR: every size, every way, every change."""
    key = generate_signing_key()
    for size, attestation in attestations().items():
        for name, text in texts(attestation, key).items():
            symbol = text.symbol()
            made = min(_seconds(text.symbol) for _ in range(5))
            sharp = draw(symbol)
            images = {change: apply(sharp) for change, apply in CHANGES.items()}
            results = {change: read(image) is not None for change, image in images.items()}
            spent = [min(_seconds(lambda image=image: read(image)) for _ in range(3))  # type: ignore[misc]
                     for image in images.values()]  # fmt: skip
            stored = sum(map(len, text.segments))
            missed = ", ".join(change for change, good in results.items() if not good) or "none"
            print(
                f"{size:8}{name:8} {stored:5} characters  {text.symbols} x version "
                f"{symbol.version:2} ({symbol.symbol_size(border=0)[0]:3} modules)  "
                f"made {made * 1e3:6.1f} ms  read {1e3 * sum(spent) / len(spent):5.1f} ms  "
                f"smallest {smallest(symbol):.1f} px  unread: {missed}"
            )
    for name, token in _tokens(key).items():
        symbol = segno.make_qr(to_armour(token), error="m", boost_error=False)
        print(f"{name:24} {len(token):5} -> {len(to_armour(token)):5}  version {symbol.version}")
    for figure in measure():
        print(figure)


def _tokens(key: SigningKey) -> dict[str, str]:
    found = {}
    for size, attestation in attestations().items():
        carried = replace(attestation, use="carried", nonce=None)
        payload = claims_to_json(carried)
        found[f"{size} whole"] = sign_attestation(carried, key)
        for disclosure in Disclosure:
            token = sign_disclosed(draft_disclosed(payload, disclosure, os.urandom), key)
            found[f"{size} {disclosure.lower()}"] = token
        found[f"{size} selective, stripped"] = keep(token, MINIMAL_MEMBERS)
    return found


def _seconds(run: Callable[[], object]) -> float:
    started = time.thread_time()
    run()
    return time.thread_time() - started


if __name__ == "__main__":
    main()
