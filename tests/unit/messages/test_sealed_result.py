"""Sealed results: only the key that the signer named opens them, and whatever was changed opens for nobody."""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc import jwe
from joserfc.jwk import ECKey

from messages.errors import MessageError
from messages.sealed_result import (
    ALGORITHM,
    ENCRYPTION,
    SEALED_BYTES_MAX,
    SealedResult,
    open_sealed_result,
    seal_result,
)
from tests.fakes.pki import p256

KEY = p256()
SEALED = SealedResult(result="e.a.r" * 2_000, refusals=[{"code": "pfc-revoked", "authenticated": True}])


@pytest.mark.parametrize("sealed", [SEALED, SealedResult(result=None, refusals=[])])
def test_the_named_key_opens_it(sealed: SealedResult) -> None:
    assert open_sealed_result(seal_result(sealed, to=KEY.public_key()), key=KEY) == sealed


@pytest.mark.negative
@pytest.mark.requirement("R93")
def test_nobody_else_opens_it_nor_an_altered_one() -> None:
    token = seal_result(SEALED, to=KEY.public_key())
    with pytest.raises(MessageError):
        open_sealed_result(token, key=p256())
    head, key, iv, text, tag = token.split(".")
    altered = text[:8] + ("A" if text[8] != "A" else "B") + text[9:]
    for other in (
        f"{head}.{key}.{iv}.{altered}.{tag}",
        f"{head}.{key}.{iv}.{text}.{tag[:-2]}",
        f"{head}.{key}.{iv}.{text}",
        "",
        "é" + token,
        "A" * (SEALED_BYTES_MAX + 1),
    ):
        with pytest.raises(MessageError):
            open_sealed_result(other, key=KEY)


@pytest.mark.negative
@pytest.mark.parametrize(
    "content",
    [b"no JSON", b"[]", b"{}", b'{"refusals": [1]}', b'{"refusals": [], "more": 1}'],
)
def test_another_content_is_refused(content: bytes) -> None:
    public = KEY.public_key()
    token = jwe.encrypt_compact(
        {"alg": ALGORITHM, "enc": ENCRYPTION},
        content,
        ECKey(public, public),
        algorithms=[ALGORITHM, ENCRYPTION],
    )
    with pytest.raises(MessageError):
        open_sealed_result(token, key=KEY)


@pytest.mark.negative
def test_no_other_algorithm_is_taken() -> None:
    public = KEY.public_key()
    token = jwe.encrypt_compact(
        {"alg": "ECDH-ES+A128KW", "enc": "A128GCM"},
        json.dumps({"refusals": []}).encode(),
        ECKey(public, public),
        algorithms=["ECDH-ES+A128KW", "A128GCM"],
    )
    with pytest.raises(MessageError):
        open_sealed_result(token, key=KEY)


@pytest.mark.negative
def test_a_key_on_another_curve_is_refused() -> None:
    other = ec.generate_private_key(ec.SECP384R1())
    with pytest.raises(MessageError):
        seal_result(SEALED, to=other.public_key())
    with pytest.raises(MessageError):
        open_sealed_result(seal_result(SEALED, to=KEY.public_key()), key=other)
