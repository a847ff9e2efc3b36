from __future__ import annotations

import json
import stat
import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.attestation.keys import (
    generate_signing_key,
    signing_key_from_jwk,
    signing_key_to_jwk,
)
from gateway.errors import CallerError
from gateway.wire.files import (
    FileError,
    FileMissingError,
    read_bounded,
    refused_as,
    write_atomically,
    write_new,
)
from gateway.wire.private_files import (
    MAX_PRIVATE_BYTES,
    read_private,
    read_private_key,
    write_private,
    write_private_jwk,
)

if TYPE_CHECKING:
    from pathlib import Path


class RoomError(CallerError):
    pass


def test_a_file_is_read_up_to_its_bound_and_not_beyond(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x" * 10)
    assert read_bounded(path, 10) == b"x" * 10
    with pytest.raises(FileError, match="is longer than 9 bytes"):
        read_bounded(path, 9)


def test_what_cannot_be_read_is_named_with_its_reason(tmp_path: Path) -> None:
    with pytest.raises(FileMissingError, match=r"there is no anchor .*/none$"):
        read_bounded(tmp_path / "none", 1, "anchor")
    (tmp_path / "file").touch()
    with pytest.raises(FileMissingError):
        read_bounded(tmp_path / "file" / "below", 1)
    for path in (tmp_path, tmp_path / "a\0b", tmp_path / "\ud800"):
        with pytest.raises(FileError, match="cannot be read") as caught:
            read_bounded(path, 1)
        assert not isinstance(caught.value, FileMissingError)


def test_a_new_file_has_its_mode_and_its_folder_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "secret"
    write_private(path, b"x")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.stat().st_nlink == 1
    assert read_private(path) == b"x"
    assert list(path.parent.iterdir()) == [path]


def test_a_new_file_never_takes_the_place_of_another(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_new(path, b"first")
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "nowhere")
    for taken in (path, link):
        with pytest.raises(FileError, match="exists already and is kept"):
            write_new(taken, b"second")
    assert path.read_bytes() == b"first"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a", "link"]


def test_of_many_writers_of_one_new_file_one_wins(tmp_path: Path) -> None:
    path, refused = tmp_path / "a", []

    def write(number: int) -> None:
        try:
            write_new(path, str(number).encode() * 1000)
        except FileError:
            refused.append(number)

    writers = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(refused) == 7
    content = path.read_text()
    assert content == content[0] * 1000
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "below" / "a", tmp_path / "a\0b"):
        with pytest.raises(FileError, match="cannot be written"):
            write_new(path, b"x")


def test_a_replacement_is_whole_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_atomically(path, b"first")
    write_atomically(path, b"second")
    assert path.read_bytes() == b"second"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("mode", [0o601, 0o610, 0o620, 0o640, 0o604, 0o644])
def test_a_secret_that_anybody_else_may_touch_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "a key"
    write_private(path, b"x")
    path.chmod(mode)
    with pytest.raises(FileError, match="readable by others") as caught:
        read_private(path)
    assert caught.value.fix == f"chmod 600 '{path}'"


def test_a_room_says_it_in_its_own_error(tmp_path: Path) -> None:
    with (
        pytest.raises(RoomError, match="there is no") as caught,
        refused_as(RoomError, when_missing="make one"),
    ):
        read_bounded(tmp_path / "none", 1)
    assert caught.value.fix == "make one"
    with (
        pytest.raises(RoomError, match="cannot be read") as caught,
        refused_as(RoomError, when_missing="make one"),
    ):
        read_bounded(tmp_path, 1)
    assert caught.value.fix is None


KEY = generate_signing_key()


def test_a_key_is_written_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    write_private_jwk(path, signing_key_to_jwk(KEY))
    assert read_private_key(path, signing_key_from_jwk).key_id == KEY.key_id


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(max_size=64)
    | st.recursive(st.none() | st.text(max_size=4), st.lists).map(lambda v: json.dumps(v).encode())
    | st.sampled_from([b"[" * 10_000, b"x" * (MAX_PRIVATE_BYTES + 1), b"{}"])
)
def test_any_bytes_are_a_key_or_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "key.json"
    path.touch(mode=0o600)
    path.write_bytes(data)
    with pytest.raises(FileError):
        read_private_key(path, signing_key_from_jwk)
