"""Small files on this machine: read within bounds, written whole or not at all.

What a process reads of its own (settings, keys, anchors) is a page or a few
megabytes at most, so a reader names its bound and never takes more. What it
writes stands under its name entire or does not stand there: it is written to a
draft beside it, made durable, and only then given the name. A kill at any moment
leaves the old content or the new one, at worst with a stray ``.tmp`` beside it.

No message repeats what stands in a file.
"""

from __future__ import annotations

import os
import secrets
import shlex
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Protocol

from gateway.errors import CallerError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OWNER_ONLY: Final = 0o600
"""Mode of a file that only its owner may read."""

EVERYBODY: Final = 0o666
"""Mode of a file that is no secret, before the umask takes its share."""

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


class FileError(CallerError):
    """A file on this machine cannot be used; each room says so in an error of its own."""

    default_code = "FILE_UNUSABLE"


class FileMissingError(FileError):
    """There is no such file; what to do about it, only the room knows."""


class RoomError(Protocol):
    """The error of a room, as :func:`refused_as` makes it."""

    def __call__(self, message: str, /, *, fix: str | None) -> Exception:
        """Make one."""


@contextmanager
def refused_as(error: RoomError, *, when_missing: str | None = None) -> Iterator[None]:
    """Say what is wrong with a file in the error of a room.

    Args:
        error: the room's.
        when_missing: what to do where there is no such file.

    Example::

        with refused_as(SettingsError, when_missing="hutong checkpoint init"):
            data = read_bounded(path, MAX_SETTINGS_BYTES)
    """
    try:
        yield
    except FileMissingError as fault:
        raise error(str(fault), fix=fault.fix or when_missing) from None
    except FileError as fault:
        raise error(str(fault), fix=fault.fix) from None


def read_bounded(path: Path, limit_bytes: int, what: str = "", *, private: bool = False) -> bytes:
    """Read a small file.

    Args:
        path: the file.
        limit_bytes: its largest size, inclusive.
        what: what it is, for the message, for example ``trust anchor``.
        private: refuse it when anybody but its owner may read or change it.

    Raises:
        FileMissingError: there is none.
        FileError: it cannot be read, is longer, or is not private.
    """
    named = f"{what} {path}".lstrip()
    try:
        with path.open("rb") as file:
            # Asked of the open file: a name may come to mean another one meanwhile.
            if private and os.fstat(file.fileno()).st_mode & _OTHERS:
                raise FileError(
                    f"{named} is readable by others", fix=f"chmod 600 {shlex.quote(str(path))}"
                )
            data = file.read(limit_bytes + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise FileMissingError(f"there is no {named}") from None
    except (OSError, ValueError) as error:
        raise FileError(f"{named} cannot be read: {_why(error)}") from None
    if len(data) > limit_bytes:
        raise FileError(f"{named} is longer than {limit_bytes} bytes")
    return data


def write_new(path: Path, data: bytes, *, mode: int = EVERYBODY) -> None:
    """Write a file that does not exist yet, durably; its folder is made when absent.

    Args:
        path: the file.
        data: the whole content.
        mode: its permission bits, from the first byte on.

    Raises:
        FileError: it exists already, and is kept; or it cannot be written.
    """
    try:
        with _draft(path, data, mode) as draft:
            # Unlike a renaming, a second name is refused where one stands.
            os.link(draft, path)
            draft.unlink()
    except FileExistsError:
        raise FileError(
            f"{path} exists already and is kept", fix="use it, or move it away"
        ) from None
    except (OSError, ValueError) as error:
        raise FileError(f"{path} cannot be written: {_why(error)}") from None


def write_atomically(path: Path, data: bytes, *, mode: int = OWNER_ONLY) -> None:
    """Put ``data`` in place of a file, durably: all of it or nothing of it.

    Args:
        path: the file; its folder is made when absent.
        data: the whole content.
        mode: permission bits of the file.

    Raises:
        OSError: it could not be written; the old content stands.
    """
    with _draft(path, data, mode) as draft:
        draft.replace(path)


@contextmanager
def _draft(path: Path, data: bytes, mode: int) -> Iterator[Path]:
    """Lend a durable draft beside ``path``, which the caller gives the name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    # Created with its final mode: at no moment may another user open it.
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        yield draft
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        # The name itself is only durable once the folder is.
        os.fsync(folder)
    finally:
        os.close(folder)


def _why(error: OSError | ValueError) -> str:
    return (isinstance(error, OSError) and error.strerror) or "no such name can be"
