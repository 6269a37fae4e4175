"""The TRE's files: whole or told to be torn, 0600, through a directory that is already open."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from m2me_agent.tre import store as tre_store
from m2me_agent.tre.errors import StateError
from m2me_agent.tre.store import CONTENT_BYTES_MAX, StateDirectory
from tests.fakes.faulty_disk import DIRECTORY, OWNER, FaultyDisk, PowerCutError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "state"
    path.mkdir(mode=0o700)
    return path


@pytest.fixture
def store(folder: Path) -> Iterator[StateDirectory]:
    opened = StateDirectory.open(folder, owner_uid=os.geteuid())
    yield opened
    opened.close()


def test_what_was_written_is_read_and_an_absent_file_is_none(store: StateDirectory) -> None:
    assert store.read("keys") is None
    store.write("keys", b"first")
    store.write("keys", b"second")
    assert store.read("keys") == b"second"


def test_files_are_0600_whatever_the_umask_and_nothing_is_left_beside(
    store: StateDirectory, folder: Path
) -> None:
    before = os.umask(0)
    try:
        store.write("keys", b"x")
    finally:
        os.umask(before)
    assert [(path.name, path.stat().st_mode & 0o7777) for path in folder.iterdir()] == [("keys", 0o600)]


def test_a_removed_file_is_absent_and_removing_it_again_is_no_error(store: StateDirectory) -> None:
    store.write("keys", b"x")
    store.remove("keys")
    store.remove("keys")
    assert store.read("keys") is None


def test_what_a_crash_left_beside_a_file_is_never_read_and_gives_way(
    store: StateDirectory, folder: Path
) -> None:
    store.write("keys", b"old")
    (folder / "keys.new").write_bytes(b"half")
    assert store.read("keys") == b"old"
    store.write("keys", b"new")
    assert store.read("keys") == b"new"
    assert not (folder / "keys.new").exists()


@pytest.mark.negative
def test_every_torn_length_and_every_changed_byte_is_told(store: StateDirectory, folder: Path) -> None:
    store.write("keys", b"content")
    whole = (folder / "keys").read_bytes()
    for length in range(len(whole)):
        (folder / "keys").write_bytes(whole[:length])
        with pytest.raises(StateError, match="torn"):
            store.read("keys")
    for position in range(len(whole)):
        changed = bytearray(whole)
        changed[position] ^= 1
        (folder / "keys").write_bytes(changed)
        with pytest.raises(StateError, match="torn"):
            store.read("keys")


@pytest.mark.negative
def test_a_record_of_another_name_is_told(store: StateDirectory, folder: Path) -> None:
    store.write("keys", b"content")
    (folder / "keys").rename(folder / "credential")
    with pytest.raises(StateError):
        store.read("credential")


@pytest.mark.negative
@pytest.mark.parametrize("mode", [0o644, 0o660, 0o601, 0o700])
def test_a_file_that_others_can_reach_is_refused(store: StateDirectory, folder: Path, mode: int) -> None:
    store.write("keys", b"content")
    (folder / "keys").chmod(mode)
    with pytest.raises(StateError, match=r"keys|mode"):
        store.read("keys")


@pytest.mark.negative
@pytest.mark.parametrize("kind", ["symlink", "fifo", "directory"])
def test_what_is_no_plain_file_is_refused_without_waiting(
    store: StateDirectory, folder: Path, kind: str
) -> None:
    path = folder / "keys"
    if kind == "symlink":
        (folder / "elsewhere").write_bytes(b"")
        path.symlink_to(folder / "elsewhere")
    elif kind == "fifo":
        os.mkfifo(path, 0o600)
    else:
        path.mkdir(mode=0o700)
    with pytest.raises(StateError):
        store.read("keys")


@pytest.mark.negative
@pytest.mark.parametrize("mode", [0o755, 0o750, 0o701])
def test_a_directory_that_others_can_enter_is_refused(folder: Path, mode: int) -> None:
    folder.chmod(mode)
    with pytest.raises(StateError, match="mode"):
        StateDirectory.open(folder, owner_uid=os.geteuid())


@pytest.mark.negative
def test_a_directory_of_another_uid_an_absent_one_and_a_file_are_refused(folder: Path) -> None:
    with pytest.raises(StateError, match="uid"):
        StateDirectory.open(folder, owner_uid=os.geteuid() + 1)
    with pytest.raises(StateError, match="cannot be opened"):
        StateDirectory.open(folder / "absent", owner_uid=os.geteuid())
    (folder / "file").write_bytes(b"")
    with pytest.raises(StateError, match="cannot be opened"):
        StateDirectory.open(folder / "file", owner_uid=os.geteuid())


@pytest.mark.negative
def test_more_than_a_file_may_hold_is_refused_and_the_old_content_stands(store: StateDirectory) -> None:
    store.write("keys", b"old")
    with pytest.raises(StateError):
        store.write("keys", bytes(CONTENT_BYTES_MAX + 1))
    assert store.read("keys") == b"old"


def test_a_failed_write_leaves_the_old_content(store: StateDirectory, folder: Path) -> None:
    store.write("keys", b"old")
    (folder / "keys.new").mkdir()
    with pytest.raises(StateError):
        store.write("keys", b"new")
    assert store.read("keys") == b"old"


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> FaultyDisk:
    """In place of the module that the store writes with."""
    made = FaultyDisk()
    monkeypatch.setattr(tre_store, "os", made)
    return made


@pytest.mark.negative
@pytest.mark.requirement("R37")
def test_what_is_read_after_a_failed_end_of_a_write_survives_a_loss_of_power(disk: FaultyDisk) -> None:
    store = StateDirectory(DIRECTORY, owner_uid=OWNER)
    store.write("keys", b"old")

    def is_full(call: str) -> None:
        if call == "fsync of the directory":
            raise OSError(errno.ENOSPC, "No space left on device")

    disk.before = is_full
    with pytest.raises(StateError):
        store.write("keys", b"new")
    with pytest.raises(StateError):
        store.read("keys")
    disk.before = lambda _call: None
    seen = store.read("keys")
    disk.lose_power(keeps_unsynced=False)
    assert StateDirectory(DIRECTORY, owner_uid=OWNER).read("keys") == seen == b"new"


@pytest.mark.requirement("R37")
def test_what_a_killed_process_has_renamed_survives_once_the_next_one_has_read_it(disk: FaultyDisk) -> None:
    def is_killed(call: str) -> None:
        if call == "fsync of the directory":
            raise PowerCutError(call)

    store = StateDirectory(DIRECTORY, owner_uid=OWNER)
    disk.before = is_killed
    with pytest.raises(PowerCutError):
        store.write("keys", b"new")
    disk.before = lambda _call: None
    seen = StateDirectory(DIRECTORY, owner_uid=OWNER).read("keys")
    disk.lose_power(keeps_unsynced=False)
    assert StateDirectory(DIRECTORY, owner_uid=OWNER).read("keys") == seen == b"new"
