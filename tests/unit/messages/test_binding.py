"""The one rule for extraData."""

import hashlib

import pytest

from messages.binding import LABELS, PVA_EVIDENCE, PVA_KEY, PVA_STATEMENT, extra_data
from messages.errors import MessageError

NONCE = bytes(range(32))


@pytest.mark.check("A5")
def test_extra_data_is_the_hash_of_label_nonce_and_hashed_body() -> None:
    body_digest = hashlib.sha256(b"body").digest()
    by_hand = bytes.fromhex("83") + b"\x6epva/evidence/1" + b"\x58\x20" + NONCE + b"\x58\x20" + body_digest
    assert extra_data(PVA_EVIDENCE, nonce=NONCE, body=b"body") == hashlib.sha256(by_hand).digest()


@pytest.mark.check("A5")
@pytest.mark.negative
def test_label_nonce_and_body_each_change_it() -> None:
    values = {extra_data(label, nonce=NONCE, body=b"body") for label in LABELS}
    values.add(extra_data(PVA_KEY, nonce=NONCE[::-1], body=b"body"))
    values.add(extra_data(PVA_STATEMENT, nonce=NONCE, body=b"bodY"))
    assert len(values) == len(LABELS) + 2


@pytest.mark.negative
def test_unknown_label_and_short_nonce_are_refused() -> None:
    with pytest.raises(MessageError, match="label"):
        extra_data("pva/other/1", nonce=NONCE, body=b"")
    with pytest.raises(MessageError, match="nonce: expected 32 bytes, got 31 bytes"):
        extra_data(PVA_KEY, nonce=NONCE[:31], body=b"")
