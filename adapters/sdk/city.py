"""A city's folder: its scheme, its vectors, and the proof that they agree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from adapters.sdk.errors import AdapterConfigError
from adapters.sdk.vectors import check_vectors
from gateway.codes.scheme_loader import MAX_SCHEME_BYTES, load_scheme

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.codes.scheme_model import Scheme

SCHEME_FILE: Final = "scheme.yaml"
VECTORS_FILE: Final = "vectors.yaml"


def load_city(folder: Path) -> Scheme:
    """Read a city's scheme and run its vectors.

    Args:
        folder: holds ``scheme.yaml`` and ``vectors.yaml``.

    Raises:
        SchemeError: the scheme does not load, or a vector does not come out.
        AdapterConfigError: a file cannot be read.
    """
    scheme = read_city(folder)
    check_vectors(scheme)
    return scheme


def read_city(folder: Path) -> Scheme:
    """Read a city's scheme without running its vectors; raises as :func:`load_city`."""
    scheme, vectors = read_files(folder)
    return load_scheme(scheme, vectors=vectors)


def read_files(folder: Path) -> tuple[bytes, bytes]:
    """Return the bytes of a city's scheme and of its vectors.

    Raises:
        AdapterConfigError: a file cannot be read.
    """
    return _read(folder / SCHEME_FILE), _read(folder / VECTORS_FILE)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            # One byte more than the reader accepts, so that it can say so.
            return file.read(MAX_SCHEME_BYTES + 1)
    except OSError:
        raise AdapterConfigError(f"{path} cannot be read") from None
