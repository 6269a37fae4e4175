"""Key files: what another user could read is refused, with the command that repairs it."""

import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from edge.keys import (
    KeyFileError,
    create_passphrase,
    create_private_key,
    load_private_key,
    read_passphrase,
    read_private_file,
    write_private_file,
)
from tests.vectors.slow_keys import private_rsa_key


def fixed(count: int) -> bytes:
    return b"\x07" * count


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    folder = tmp_path / "keys"
    create_passphrase(folder / "passphrase", random_bytes=fixed)
    create_private_key(folder / "a.key", passphrase_file=folder / "passphrase")
    return folder


def test_a_key_comes_back_as_it_was_made(keys: Path) -> None:
    made = create_private_key(keys / "b.key", passphrase_file=keys / "passphrase", curve=ec.SECP384R1())
    loaded = load_private_key(keys / "b.key", passphrase_file=keys / "passphrase")
    assert loaded.private_numbers() == made.private_numbers()


def test_files_and_folder_are_private_from_the_first_moment(keys: Path) -> None:
    assert keys.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in keys.iterdir()} == {0o600}


def test_the_file_is_encrypted_and_the_passphrase_is_256_random_bits(keys: Path) -> None:
    assert b"ENCRYPTED PRIVATE KEY" in (keys / "a.key").read_bytes()
    assert read_passphrase(keys / "passphrase") == b"07" * 32


@pytest.mark.negative
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o700, 0o602])
def test_a_file_with_more_than_0600_is_refused_with_the_remedy(keys: Path, mode: int) -> None:
    (keys / "a.key").chmod(mode)
    with pytest.raises(KeyFileError, match="chmod 600") as caught:
        load_private_key(keys / "a.key", passphrase_file=keys / "passphrase")
    assert caught.value.path == keys / "a.key"


@pytest.mark.negative
@pytest.mark.parametrize("mode", [0o750, 0o705, 0o777])
def test_a_folder_with_more_than_0700_is_refused_with_the_remedy(keys: Path, mode: int) -> None:
    keys.chmod(mode)
    with pytest.raises(KeyFileError, match="chmod 700"):
        read_private_file(keys / "a.key")


@pytest.mark.negative
def test_a_reachable_passphrase_is_refused_too(keys: Path) -> None:
    (keys / "passphrase").chmod(0o644)
    with pytest.raises(KeyFileError, match="passphrase"):
        load_private_key(keys / "a.key", passphrase_file=keys / "passphrase")


@pytest.mark.negative
def test_a_link_is_not_followed(keys: Path) -> None:
    (keys / "link.key").symlink_to(keys / "a.key")
    with pytest.raises(KeyFileError, match="cannot be opened"):
        load_private_key(keys / "link.key", passphrase_file=keys / "passphrase")


@pytest.mark.negative
def test_what_is_no_file_is_refused_without_waiting_for_it(keys: Path) -> None:
    os.mkfifo(keys / "pipe", 0o600)
    with pytest.raises(KeyFileError, match="regular file"):
        read_private_file(keys / "pipe")
    with pytest.raises(KeyFileError, match="No such file"):
        read_private_file(keys / "absent")
    with pytest.raises(KeyFileError, match="folder"):
        read_private_file(keys / "nowhere" / "absent")


@pytest.mark.negative
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_foreign_owner_is_refused(keys: Path) -> None:
    os.chown(keys / "a.key", 4242, -1)
    with pytest.raises(KeyFileError, match="uid 4242"):
        read_private_file(keys / "a.key")
    os.chown(keys, 4242, -1)
    with pytest.raises(KeyFileError, match="belongs to uid 4242"):
        read_private_file(keys / "passphrase")


@pytest.mark.negative
def test_nothing_is_overwritten(keys: Path) -> None:
    before = (keys / "a.key").read_bytes()
    with pytest.raises(KeyFileError, match="never overwritten"):
        create_private_key(keys / "a.key", passphrase_file=keys / "passphrase")
    assert (keys / "a.key").read_bytes() == before


@pytest.mark.negative
def test_an_unencrypted_key_is_refused(keys: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_private_file(keys / "plain.key", pem)
    with pytest.raises(KeyFileError, match="not an encrypted"):
        load_private_key(keys / "plain.key", passphrase_file=keys / "passphrase")


@pytest.mark.negative
def test_a_wrong_passphrase_and_a_wrong_kind_of_key_are_named(keys: Path) -> None:
    write_private_file(keys / "wrong", b"wrong\n")
    with pytest.raises(KeyFileError, match="does not open"):
        load_private_key(keys / "a.key", passphrase_file=keys / "wrong")
    pem = private_rsa_key().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"wrong"),
    )
    write_private_file(keys / "rsa.key", pem)
    with pytest.raises(KeyFileError, match="no EC key"):
        load_private_key(keys / "rsa.key", passphrase_file=keys / "wrong")


@pytest.mark.negative
def test_an_empty_passphrase_and_an_endless_file_are_refused(keys: Path) -> None:
    write_private_file(keys / "empty", b"\n")
    with pytest.raises(KeyFileError, match="no passphrase"):
        read_passphrase(keys / "empty")
    write_private_file(keys / "long", b"x" * 65537)
    with pytest.raises(KeyFileError, match="larger"):
        read_private_file(keys / "long")


@pytest.mark.negative
def test_errors_never_hold_the_content(keys: Path) -> None:
    write_private_file(
        keys / "odd", b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nhunter2\n-----END ENCRYPTED PRIVATE KEY-----"
    )
    with pytest.raises(KeyFileError) as caught:
        load_private_key(keys / "odd", passphrase_file=keys / "passphrase")
    assert "hunter2" not in str(caught.value)
    assert "0707" not in str(caught.value)


def test_a_credential_of_systemd_may_show_its_access_list_as_permissions_of_a_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "credentials"
    write_private_file(folder / "passphrase", b"secret\n")
    (folder / "passphrase").chmod(0o440)
    folder.chmod(0o550)
    with pytest.raises(KeyFileError, match="expected 0700"):
        read_passphrase(folder / "passphrase")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
    assert read_passphrase(folder / "passphrase") == b"secret"


@pytest.mark.negative
@pytest.mark.parametrize(("file", "folder"), [(0o444, 0o550), (0o440, 0o555), (0o460, 0o550), (0o440, 0o570)])
def test_a_credential_that_others_reach_is_refused_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: int, folder: int
) -> None:
    place = tmp_path / "credentials"
    write_private_file(place / "passphrase", b"secret\n")
    (place / "passphrase").chmod(file)
    place.chmod(folder)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(place))
    with pytest.raises(KeyFileError):
        read_passphrase(place / "passphrase")
