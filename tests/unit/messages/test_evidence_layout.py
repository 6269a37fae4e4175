"""Evidence that is laid out as other evidence was: the same message as from the decoder, or nothing."""

from dataclasses import replace

import pytest

from messages.errors import MessageError
from messages.evidence import EvidenceMessage, decode_evidence, encode_evidence
from messages.evidence_layout import EvidenceLayout
from standards.rats.cmw import decode_record
from tests.unit.messages.samples import EVIDENCE


def inner(message: EvidenceMessage) -> bytes:
    """The CBOR map in the record."""
    return decode_record(encode_evidence(message), bytes_max=100_000).value


MESSAGE = replace(
    EVIDENCE,
    challenge_token="header.claims.signature",  # noqa: S106 - no secret
    pfc_chain=(b"leaf", b"issuer"),
    pcr_values={0x000B: {0: b"0" * 32, 7: b"7" * 32}, 0x000C: {4: b"4" * 48}},
    boot_log=b"log of this boot",
)
ENCODED = inner(MESSAGE)
LAYOUT = EvidenceLayout.of(ENCODED, MESSAGE)


def decoded(encoded: bytes) -> EvidenceMessage | None:
    """What the decoder makes of it; None where it refuses."""
    record = encode_evidence(MESSAGE)
    try:
        return decode_evidence(record[: -len(ENCODED)] + encoded)
    except MessageError:
        return None


def test_it_reads_the_message_that_it_was_taken_of() -> None:
    assert LAYOUT.read(ENCODED) == MESSAGE == decoded(ENCODED)


def test_it_reads_another_message_with_strings_of_the_same_sizes() -> None:
    other = replace(
        MESSAGE,
        challenge_token="HEADER.CLAIMS.SIGNATURE",  # noqa: S106 - no secret
        pcr_values={0x000B: {0: b"a" * 32, 7: b"b" * 32}, 0x000C: {4: b"c" * 48}},
        boot_log=b"LOG OF THAT BOOT",
    )
    assert LAYOUT.read(inner(other)) == other


@pytest.mark.check("A1")
@pytest.mark.negative
def test_for_every_changed_byte_it_says_what_the_decoder_says_or_nothing() -> None:
    read = 0
    for position in range(len(ENCODED)):
        for flip in (0x01, 0x1F, 0x80, 0xFF):
            changed = bytearray(ENCODED)
            changed[position] ^= flip
            message = LAYOUT.read(bytes(changed))
            if message is not None:
                read += 1
                assert message == decoded(bytes(changed))
    assert read > len(ENCODED)


@pytest.mark.negative
@pytest.mark.parametrize(
    "token", ["header.claims.signatur\n", "header.claims.signatu\x00e", "header.claims.signatu\u00e9"]
)
def test_a_token_that_is_not_plain_text_is_left_to_the_decoder(token: str) -> None:
    message = replace(MESSAGE, challenge_token=token)
    encoded = ENCODED.replace(MESSAGE.challenge_token.encode(), token.encode())
    assert len(encoded) == len(ENCODED)
    assert LAYOUT.read(encoded) is None
    assert decoded(encoded) == (message if token.isprintable() else None)


@pytest.mark.negative
@pytest.mark.parametrize(
    "other",
    [
        replace(MESSAGE, pcr_values={0x000B: {0: b"0" * 32, 8: b"7" * 32}, 0x000C: {4: b"4" * 48}}),
        replace(MESSAGE, pfc_chain=(b"leafi", b"ssuer")),
        replace(MESSAGE, boot_log=b"log of this boot", ak_public=MESSAGE.ak_public + b"x"),
    ],
)
def test_another_layout_is_not_read(other: EvidenceMessage) -> None:
    assert LAYOUT.read(inner(other)) is None
