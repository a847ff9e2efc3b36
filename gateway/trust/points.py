"""Which 32 bytes are an Ed25519 public key worth holding (RFC 8032 §5.1.3).

The libraries take any 32 bytes and let the first verification fail. For points
of small order it would not fail: under such a key a signature holds for every
message, so holding it proves nothing.
"""

from __future__ import annotations

from typing import Final

from gateway.attestation.errors import KeyMaterialError

_P: Final = 2**255 - 19
_D: Final = -121665 * pow(121666, -1, _P) % _P
# The y of the eight points whose order divides the cofactor; a test derives them.
SMALL_ORDER_Y: Final = frozenset(
    {
        0,
        1,
        _P - 1,
        0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826,
        0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7,
    }
)


def check_ed25519_point(encoded: bytes) -> None:
    """Refuses 32 bytes that are no canonical point of the curve, or one of small order.

    Raises:
        KeyMaterialError: as the summary says.
    """
    y = int.from_bytes(encoded, "little") & ((1 << 255) - 1)
    if y >= _P:
        raise KeyMaterialError("the point is not encoded canonically")
    if y in SMALL_ORDER_Y:
        raise KeyMaterialError("the point has small order")
    square = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    if pow(square, (_P - 1) // 2, _P) != 1:
        raise KeyMaterialError("the point is not on the curve")
