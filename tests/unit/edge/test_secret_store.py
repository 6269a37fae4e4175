"""Secrets at rest open in their own place under their own key, and nowhere else."""

from pathlib import Path

import pytest

from edge.keys import KeyFileError, create_passphrase, write_private_file
from edge.process import system_random
from edge.secret_store import KEY_SIZE, NONCE_SIZE, SecretStore, SecretStoreError

STORE = SecretStore(bytes(KEY_SIZE), random_bytes=system_random)


def test_what_was_sealed_opens_and_never_looks_the_same() -> None:
    first, second = STORE.seal(b"k", bound_to=b"row 1"), STORE.seal(b"k", bound_to=b"row 1")
    assert first != second
    assert STORE.open(first, bound_to=b"row 1") == STORE.open(second, bound_to=b"row 1") == b"k"


@pytest.mark.negative
def test_another_place_key_or_byte_opens_nothing() -> None:
    sealed = STORE.seal(b"secret", bound_to=b"row 1")
    other = SecretStore(b"\x01" * KEY_SIZE, random_bytes=system_random)
    tries = [(STORE, sealed, b"row 2"), (other, sealed, b"row 1"), (STORE, sealed[:NONCE_SIZE], b"row 1")]
    tries += [(STORE, b"", b"row 1")]
    tries += [
        (STORE, sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :], b"row 1")
        for at in range(len(sealed))
    ]
    for store, data, place in tries:
        with pytest.raises(SecretStoreError):
            store.open(data, bound_to=place)


def test_the_key_comes_from_a_private_file(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "subscribers"
    create_passphrase(path, random_bytes=system_random)
    sealed = SecretStore.load(path, random_bytes=system_random).seal(b"k", bound_to=b"")
    assert SecretStore.load(path, random_bytes=system_random).open(sealed, bound_to=b"") == b"k"


@pytest.mark.negative
@pytest.mark.parametrize("content", [b"a passphrase of words\n", b"00" * 31 + b"\n", b"\xff" * 64 + b"\n"])
def test_a_file_of_another_form_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "keys" / "subscribers"
    write_private_file(path, content)
    with pytest.raises(KeyFileError, match="256 bits"):
        SecretStore.load(path, random_bytes=system_random)
