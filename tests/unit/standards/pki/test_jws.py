"""Signed tokens: the signer's certificate decides, never the header."""

import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from standards.pki import oids
from standards.pki.errors import JwsError, PathError, PkiError
from standards.pki.fingerprints import certificate_der
from standards.pki.jws import VerifiedJws, jws_length, sign_jws, verify_jws, verify_jws_of
from tests.fakes.pki import NOW, Authority, p256

EKU = oids.EKU_CHALLENGE
TYP = "pva-challenge+jwt"
ROOT = Authority.root()
ISSUING = ROOT.subordinate()
KEY = p256()
LEAF = ISSUING.issue("signer", key=KEY.public_key(), eku=EKU)
CHAIN = [LEAF, ISSUING.certificate]
CLAIMS: dict[str, Any] = {"nonce": "ÄÖ", "n": 1, "nested": {"list": [1, 2]}}
X5C = [b64encode(certificate_der(each)).decode() for each in CHAIN]


def segment(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def forge(
    *,
    header: bytes | None = None,
    payload: bytes = b'{"a":1}',
    key: ec.EllipticCurvePrivateKey = KEY,
    **members: object,
) -> str:
    """A token put together by hand, signed for real over whatever it says."""
    full = {"alg": "ES256", "typ": TYP, "x5c": X5C, **members}
    kept = {name: value for name, value in full.items() if value is not None}
    signed = f"{segment(json.dumps(kept).encode() if header is None else header)}.{segment(payload)}"
    r, s = decode_dss_signature(key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
    return f"{signed}.{segment(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def verify(token: str, **changed: Any) -> VerifiedJws:
    named = {"anchors": [ROOT.certificate], "eku": EKU, "typ": TYP, "at": NOW, **changed}
    return verify_jws(token, **named)


def test_a_token_round_trips() -> None:
    token = sign_jws(CLAIMS, key=KEY, chain=CHAIN, typ=TYP)
    verified = verify(token)
    assert verified.claims == CLAIMS
    assert verified.path == (LEAF, ISSUING.certificate, ROOT.certificate)
    assert verified.token == token


def test_the_length_of_a_token_is_known_without_its_signature() -> None:
    token = sign_jws(CLAIMS, key=KEY, chain=CHAIN, typ=TYP)
    assert jws_length(CLAIMS, key=KEY, chain=CHAIN, typ=TYP) == len(token)


@pytest.mark.negative
def test_a_signer_whose_path_is_known_still_signs_every_token() -> None:
    token = sign_jws(CLAIMS, key=KEY, chain=CHAIN, typ=TYP)
    path = verify(token).path
    other = sign_jws({"n": 2}, key=KEY, chain=CHAIN, typ=TYP)
    assert verify_jws_of(other, path=path).claims == {"n": 2}
    header, payload, signature = other.split(".")
    forged = forge(payload=b'{"n":3}', key=p256()).split(".")
    for wrong in (
        f"{header}.{token.split('.')[1]}.{signature}",
        f"{header}.{forged[1]}.{forged[2]}",
        f"{header}.{payload}.{signature[:-4]}",
        f"{header}.{payload}.",
        f"{header}.{payload}",
        f"{header}.{payload}.{signature}.",
        f"{header}.{payload}.{signature}\N{SNOWMAN}",
    ):
        with pytest.raises(JwsError):
            verify_jws_of(wrong, path=path)
    with pytest.raises(JwsError, match="too long"):
        verify_jws_of(other, path=path, bytes_max=len(other) - 1)


def test_a_token_of_foreign_make_verifies() -> None:
    other = p256().public_key().public_numbers()
    jwk = {
        "kty": "EC",
        "crv": "P-256",
        "x": segment(other.x.to_bytes(32, "big")),
        "y": segment(other.y.to_bytes(32, "big")),
    }
    assert verify(forge(kid="whatever", jwk=jwk, x_own="ignored")).claims == {"a": 1}


@pytest.mark.negative
def test_signing_with_another_key_than_the_chain_says() -> None:
    with pytest.raises(JwsError):
        sign_jws(CLAIMS, key=p256(), chain=CHAIN, typ=TYP)
    with pytest.raises(JwsError):
        sign_jws(CLAIMS, key=KEY, chain=[], typ=TYP)


@pytest.mark.negative
@pytest.mark.parametrize(
    "make",
    [
        lambda: forge(alg="none"),
        lambda: forge(alg="HS256"),
        lambda: forge(alg=["ES256"]),
        lambda: forge(alg=None),
        lambda: forge(typ=None),
        lambda: forge(typ="JWT"),
        lambda: forge(crit=["exp"], exp=1),
        lambda: forge(b64=False),
        lambda: forge(b64=True),
        lambda: forge(x5c=None),
        lambda: forge(x5c=[]),
        lambda: forge(x5c=X5C[0]),
        lambda: forge(x5c=[1]),
        lambda: forge(x5c=["AAAA"]),
        lambda: forge(x5c=[X5C[0] + "\n"]),
        lambda: forge(x5c=X5C * 5),
        lambda: forge(key=p256()),
        lambda: forge(payload=b"[1]"),
        lambda: forge(payload=b'{"a":1,"a":2}'),
        lambda: forge(payload=b'{"a":NaN}'),
        lambda: forge(payload=b"\xff"),
        lambda: forge(payload=b"[" * 20000),
        lambda: forge(payload=b""),
        lambda: forge(header=b"{}"),
        lambda: forge(header=b"nothing"),
        lambda: forge(header=json.dumps({"alg": "none"}).encode()[:-1] + b',"alg":"ES256"}'),
        lambda: forge() + "=",
        lambda: forge() + "A",
        lambda: forge() + ".",
        lambda: forge()[:-1],
        lambda: forge().replace(".", "..", 1),
        lambda: forge() + "\n",
        lambda: "",
        lambda: "ä.b.c",
    ],
)
def test_a_bad_token_is_refused(make: Callable[[], str]) -> None:
    with pytest.raises(JwsError):
        verify(make())


@pytest.mark.negative
def test_a_changed_payload_or_a_long_token_is_refused() -> None:
    header, _, signature = forge().split(".")
    with pytest.raises(JwsError, match="signature"):
        verify(f"{header}.{segment(b'{}')}.{signature}")
    with pytest.raises(JwsError, match="too long"):
        verify(forge(), bytes_max=100)


@pytest.mark.negative
def test_the_signer_needs_a_path_with_the_purpose() -> None:
    with pytest.raises(PathError):
        verify(forge(), eku=oids.EKU_ATTESTATION_RESULT)
    with pytest.raises(PathError):
        verify(forge(), anchors=[Authority.root().certificate])


@pytest.mark.negative
def test_a_signer_on_another_curve_is_refused() -> None:
    other = ec.generate_private_key(ec.SECP384R1())
    leaf = ISSUING.issue("signer", key=other.public_key(), eku=EKU)
    x5c = [b64encode(certificate_der(leaf)).decode(), X5C[1]]
    with pytest.raises(PkiError, match="P-256"):
        verify(forge(x5c=x5c))
