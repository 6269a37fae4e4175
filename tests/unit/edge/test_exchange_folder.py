"""Files that two programs leave for each other: whole or not there, regular, of this folder."""

import os
from pathlib import Path

import pytest

from edge.exchange_folder import ExchangeFolder, ExchangeFolderError


@pytest.fixture
def folder(tmp_path: Path) -> ExchangeFolder:
    return ExchangeFolder(tmp_path)


def test_what_was_written_is_read_and_replaced(folder: ExchangeFolder) -> None:
    assert folder.read("a", bytes_max=10) is None
    folder.write("a", b"first")
    folder.write("a", b"second")
    assert folder.read("a", bytes_max=6) == b"second"
    assert list(folder.names()) == ["a"]
    folder.remove("a")
    folder.remove("a")
    assert list(folder.names()) == []


@pytest.mark.negative
def test_a_write_that_fails_leaves_what_was_there(
    folder: ExchangeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.write("a", b"first")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(ExchangeFolderError, match="No space left"):
        folder.write("a", b"second")
    assert folder.read("a", bytes_max=10) == b"first"
    assert list(folder.names()) == ["a"]


@pytest.mark.negative
def test_what_is_no_regular_file_of_the_folder_is_not_read(folder: ExchangeFolder) -> None:
    secret = folder.path.parent / "secret"
    secret.write_bytes(b"of another folder")
    (folder.path / "link").symlink_to(secret)
    (folder.path / "inside").mkdir()
    os.mkfifo(folder.path / "pipe")
    for name in ("link", "inside", "pipe"):
        with pytest.raises(ExchangeFolderError):
            folder.read(name, bytes_max=100)
    folder.write("link", b"mine")
    assert secret.read_bytes() == b"of another folder"


@pytest.mark.negative
def test_size_and_folder_are_looked_at(folder: ExchangeFolder) -> None:
    folder.write("a", b"12345")
    with pytest.raises(ExchangeFolderError, match="larger than 4 bytes"):
        folder.read("a", bytes_max=4)
    gone = ExchangeFolder(folder.path / "gone")
    with pytest.raises(ExchangeFolderError, match="No such file"):
        list(gone.names())
    with pytest.raises(ExchangeFolderError, match="No such file"):
        gone.write("a", b"")
    (folder.path / "inside").mkdir()
    with pytest.raises(ExchangeFolderError, match="cannot be removed"):
        folder.remove("inside")
