"""Checkpoints: one text, one signature, one key; the format is that of other logs and witnesses."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from standards.merkle.checkpoint import (
    NOTE_BYTES_MAX,
    Checkpoint,
    VerifierKey,
    open_checkpoint,
    sign_checkpoint,
)
from standards.merkle.tree import EMPTY_ROOT, MerkleError

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
NAME = "pva-1.example.net/log"
VERIFIER = VerifierKey(name=NAME, public_key=KEY.public_key())
CHECKPOINT = Checkpoint(origin=NAME, size=1842, root=EMPTY_ROOT)

# the example of the format's own documentation (golang.org/x/mod/sumdb/note)
KNOWN_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
KNOWN_SIGNATURE = (
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
)


def test_a_checkpoint_is_read_back() -> None:
    note = sign_checkpoint(CHECKPOINT, KEY)
    assert note.startswith(f"{NAME}\n1842\n{base64.b64encode(EMPTY_ROOT).decode()}\n\n\u2014 {NAME} ")
    assert open_checkpoint(note.encode(), VERIFIER) == CHECKPOINT


def test_the_key_has_one_text_form() -> None:
    text = str(VERIFIER)
    assert text.startswith(f"{NAME}+{VERIFIER.id.hex()}+A")
    assert VerifierKey.parse(text) == VERIFIER
    assert str(VerifierKey.parse(KNOWN_KEY)) == KNOWN_KEY


def test_a_signature_made_by_another_program_verifies() -> None:
    key = VerifierKey.parse(KNOWN_KEY)
    text = (
        "If you think cryptography is the answer to your problem,\n"
        "then you don't know what your problem is.\n"
    )
    signature = base64.b64decode(KNOWN_SIGNATURE)
    assert signature[:4] == key.id
    key.public_key.verify(signature[4:], text.encode())


def test_extensions_and_signatures_of_witnesses_are_passed_over() -> None:
    text = CHECKPOINT.text + "extension of later\n"
    signed = base64.b64encode(VERIFIER.id + KEY.sign(text.encode())).decode()
    other = f"\u2014 witness.example {base64.b64encode(bytes(72)).decode()}\n"
    note = f"{text}\n{other}\u2014 {NAME} {signed}\n"
    assert open_checkpoint(note.encode(), VERIFIER) == CHECKPOINT


@pytest.mark.negative
def test_every_changed_byte_of_a_checkpoint_is_refused() -> None:
    note = sign_checkpoint(CHECKPOINT, KEY).encode()
    for at in range(len(note)):
        for flip in (0x01, 0x80):
            changed = note[:at] + bytes([note[at] ^ flip]) + note[at + 1 :]
            with pytest.raises(MerkleError):
                open_checkpoint(changed, VERIFIER)
        with pytest.raises(MerkleError):
            open_checkpoint(note[:at], VERIFIER)


@pytest.mark.negative
def test_the_key_of_another_log_says_nothing_here() -> None:
    note = sign_checkpoint(CHECKPOINT, KEY).encode()
    stranger = VerifierKey(name=NAME, public_key=Ed25519PrivateKey.generate().public_key())
    renamed = VerifierKey(name="other.example/log", public_key=KEY.public_key())
    for key in (stranger, renamed):
        with pytest.raises(MerkleError, match="signature"):
            open_checkpoint(note, key)


@pytest.mark.negative
@pytest.mark.parametrize(
    "text",
    [
        "other\n1\nroot\n",
        f"{NAME}\n01\n{base64.b64encode(EMPTY_ROOT).decode()}\n",
        f"{NAME}\n-1\n{base64.b64encode(EMPTY_ROOT).decode()}\n",
        f"{NAME}\n9223372036854775808\n{base64.b64encode(EMPTY_ROOT).decode()}\n",
        f"{NAME}\n1\n{base64.b64encode(bytes(31)).decode()}\n",
        f"{NAME}\n1\n",
    ],
)
def test_a_signed_text_that_is_no_checkpoint_is_refused(text: str) -> None:
    signed = base64.b64encode(VERIFIER.id + KEY.sign(text.encode())).decode()
    with pytest.raises(MerkleError, match="checkpoint"):
        open_checkpoint(f"{text}\n\u2014 {NAME} {signed}\n".encode(), VERIFIER)


@pytest.mark.negative
@pytest.mark.parametrize("note", [b"", b"\n\n", b"a\n\nb", b"\xff\n\n\n", b"x" * (NOTE_BYTES_MAX + 1)])
def test_what_is_no_note_is_refused(note: bytes) -> None:
    with pytest.raises(MerkleError):
        open_checkpoint(note, VERIFIER)


@pytest.mark.negative
@pytest.mark.parametrize(
    "text",
    [
        "",
        "name",
        KNOWN_KEY.replace("c74f20a3", "c74f20a4"),
        KNOWN_KEY.replace("+ARpc", "+AhpC"),
        KNOWN_KEY.replace("PeterNeumann", "Peter Neumann"),
        KNOWN_KEY[:-4],
        "n" * 500 + KNOWN_KEY,
    ],
)
def test_another_text_is_no_key(text: str) -> None:
    with pytest.raises(MerkleError, match="verifier key"):
        VerifierKey.parse(text)
