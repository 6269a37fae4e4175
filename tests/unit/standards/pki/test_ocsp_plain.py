"""The quick reader takes the plain request, and nothing but the plain request."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from standards.pki.ocsp import decode_request
from standards.pki.ocsp_plain import read_plain_request
from tests.unit.ocsp.asking import BASIC, SHA1, SHA256, ask, ask_for_all

DIGESTS = [SHA1, SHA256]


@pytest.mark.check("L1")
@pytest.mark.parametrize("algorithm", DIGESTS, ids=lambda each: each.name)
@pytest.mark.parametrize("serial", [1, 0x7F, 0x80, 0xFF00, (1 << 159) - 1])
@pytest.mark.parametrize("nonce", [0, 1, 32, 107, 108, 128])
@pytest.mark.parametrize("critical", [False, True])
def test_the_plain_request_is_read_as_the_strict_decoder_reads_it(
    algorithm: hashes.HashAlgorithm,
    serial: int,
    nonce: int,
    critical: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    extensions = [(x509.OCSPNonce(bytes(nonce)), critical)] if nonce else []
    request = ask(serial, algorithm=algorithm, extensions=extensions)
    assert read_plain_request(request) == decode_request(request)


@pytest.mark.negative
@pytest.mark.check("N2")
def test_everything_else_is_left_to_the_strict_decoder() -> None:
    nonce = x509.OCSPNonce(b"n" * 32)
    for request in (
        ask_for_all(ask(1), ask(2)),
        ask(extensions=[(x509.OCSPAcceptableResponses([BASIC]), False)]),
        ask(extensions=[(nonce, False), (x509.OCSPAcceptableResponses([BASIC]), False)]),
        ask(extensions=[(x509.OCSPNonce(b"n" * 129), False)]),
        ask(extensions=[(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b"\x04\x01x"), False)]),
        ask()[:-1],
        ask() + b"\x00",
        ask(algorithm=hashes.SHA384()),
        ask(algorithm=hashes.SHA512()),
        b"",
        b"0",
        bytes(8193),
    ):
        assert read_plain_request(request) is None


@pytest.mark.negative
@pytest.mark.check("N2")
def test_a_nonce_of_no_octets_is_not_plain() -> None:
    request = ask(extensions=[(x509.OCSPNonce(b"nonce"), False)])
    empty = request.replace(b"\x04\x07\x04\x05nonce", b"\x04\x02\x04\x00")
    shorter = bytearray(empty)
    # the five lengths above it shrink by as much
    shorter[1] -= 5
    shorter[3] -= 5
    at = bytes(shorter).rindex(b"\x06\x09\x2b\x06\x01\x05\x05\x07\x30\x01\x02")
    for length in (at - 1, at - 3, at - 5):
        shorter[length] -= 5
    assert read_plain_request(bytes(shorter)) is None
