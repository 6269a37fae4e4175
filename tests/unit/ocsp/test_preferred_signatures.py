"""What a client would like the signature to be is heard, and never makes it weaker."""

import pytest
from asn1crypto import keys as lax_keys
from asn1crypto import ocsp as lax
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from ocsp.delegates import DelegateDirectory
from tests.fakes.ocsp import (
    issuer_with_delegate,
)
from tests.unit.ocsp.asking import ISSUER, LINE, PREFERRED, SHA256, ask, malformed, responded, verified


def preferring(*wishes: tuple[str, lax_keys.PublicKeyAlgorithm | None], critical: bool = False) -> bytes:
    """A request whose client would like these signatures, the best first."""
    listed = [
        {"sig_identifier": {"algorithm": algorithm}, **({} if key is None else {"cert_identifier": key})}
        for algorithm, key in wishes
    ]
    value = lax.PreferredSignatureAlgorithms(listed).dump()
    return ask(extensions=[(x509.UnrecognizedExtension(PREFERRED, value), critical)])


def on_curve(curve: str) -> lax_keys.PublicKeyAlgorithm:
    parameters = lax_keys.ECDomainParameters(name="named", value=curve)
    return lax_keys.PublicKeyAlgorithm({"algorithm": "ec", "parameters": parameters})


@pytest.mark.check("O17")
@pytest.mark.parametrize(
    ("wishes", "digest"),
    [
        ([("sha384_ecdsa", None)], hashes.SHA384()),
        ([("sha512_ecdsa", None), ("sha256_ecdsa", None)], hashes.SHA512()),
        ([("sha256_ecdsa", on_curve("secp256r1"))], SHA256),
        ([("sha256_rsa", None), ("sha384_ecdsa", None)], hashes.SHA384()),
        ([("sha512_ecdsa", on_curve("secp521r1")), ("sha384_ecdsa", on_curve("secp256r1"))], hashes.SHA384()),
    ],
    ids=["one", "the first of two", "for the key's own curve", "what the key cannot do", "another curve"],
)
def test_a_signature_that_the_client_prefers_and_the_key_can_make(
    wishes: list[tuple[str, lax_keys.PublicKeyAlgorithm | None]], digest: hashes.HashAlgorithm
) -> None:
    response = responded(preferring(*wishes, critical=True))
    assert response.signature_hash_algorithm == digest
    assert ISSUER.delegate is not None
    signer = ISSUER.delegate.key.public_key()
    signer.verify(response.signature, response.tbs_response_bytes, ec.ECDSA(digest))


@pytest.mark.negative
@pytest.mark.check("O17")
@pytest.mark.parametrize("weak", ["sha1_ecdsa", "sha224_ecdsa", "sha1_rsa", "md5_rsa", "sha1_dsa"])
def test_nobody_talks_the_responder_into_a_weaker_signature(weak: str) -> None:
    assert verified(responded(preferring((weak, None)))).signature_hash_algorithm == SHA256
    strong = issuer_with_delegate(LINE, key=ec.generate_private_key(ec.SECP384R1()))
    response = responded(preferring(("sha256_ecdsa", None)), delegates=DelegateDirectory([strong]))
    assert response.signature_hash_algorithm == hashes.SHA384()


@pytest.mark.negative
@pytest.mark.check("O17")
def test_preferences_that_cannot_be_read_or_are_too_many_are_malformed() -> None:
    malformed(preferring(*[("sha256_ecdsa", None)] * 17))
    verified(responded(preferring(*[("sha256_ecdsa", None)] * 16)))
    for value in (b"", b"\x30\x00", b"\x05\x00", b"\x30\x02\x30\x00", b"\x30\x03\x02\x01\x01"):
        malformed(ask(extensions=[(x509.UnrecognizedExtension(PREFERRED, value), False)]))
