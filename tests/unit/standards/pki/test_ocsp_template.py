"""The frame of the usual answer holds the very octets that the whole layout gives."""

import pytest

from standards.pki.ocsp_template import SEQUENCE, AnswerTemplate, nonce_extension, tlv
from tests.fakes.pki import NOW

TEMPLATE = AnswerTemplate(key_hash=b"k" * 20, certificate=b"certificate")


@pytest.mark.check("N5")
@pytest.mark.parametrize("nonce", [1, 32, 100, 128])
@pytest.mark.parametrize("told", [2, 40, 127, 300])
def test_the_frame_holds_what_the_whole_layout_gives(told: int, nonce: int) -> None:
    for octets in range(60, 140):
        for mark in (b"\x01", b"\xff"):  # another certificate and another nonce in the same frame
            cert_id, said, echoed = mark * octets, b"t" * told, mark * nonce
            assert TEMPLATE.plain_response_data(
                cert_id, said, produced_at=NOW, nonce=echoed
            ) == TEMPLATE.response_data(
                tlv(SEQUENCE, cert_id + said), produced_at=NOW, extensions=nonce_extension(echoed)
            )
