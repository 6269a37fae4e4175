"""Runtime policies: one encoding, one name, and whose they are."""

import dataclasses
import hashlib
from datetime import timedelta
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from messages.encoding import encode_deterministic
from messages.errors import MessageError
from messages.runtime_policy import (
    RuntimePolicy,
    decode_runtime_policy,
    sign_runtime_policy,
    verify_runtime_policy,
)
from standards.pki import oids
from standards.pki.errors import PathError
from standards.pki.fingerprints import spki_der
from tests.fakes.pki import LEAF_USAGE, NOW, Authority, p256
from tests.vectors.slow_keys import private_rsa_key

ONE, OTHER = (hashlib.sha256(each).digest() for each in (b"one", b"other"))
KEYS = tuple(sorted(spki_der(each.public_key()) for each in (p256(), private_rsa_key())))
POLICY = RuntimePolicy(
    supplier="Acme",
    id="runtime-1",
    models=("gateway", "meter"),
    files={b"/usr/bin/meter": frozenset({ONE, OTHER}), b"/etc/evil\n name": frozenset({ONE})},
    keys=KEYS,
)
ROOT = Authority.root("ES root")


def signed(data: RuntimePolicy = POLICY, *, eku: Any = oids.EKU_MANIFEST_SIGNING) -> bytes:
    key = p256()
    leaf = ROOT.issue("manifests", key=key.public_key(), eku=eku, extensions=[(LEAF_USAGE, True)])
    return sign_runtime_policy(data, key=key, chain=[leaf])


@pytest.mark.check("A22")
def test_a_policy_has_one_encoding_whatever_the_order_that_it_was_written_in() -> None:
    turned = dataclasses.replace(
        POLICY,
        models=("meter", "gateway"),
        files=dict(reversed(list(POLICY.files.items()))),
        keys=tuple(reversed(KEYS)),
    )
    assert turned.digest == POLICY.digest == hashlib.sha256(POLICY.encode()).digest()
    assert decode_runtime_policy(turned.encode()) == dataclasses.replace(POLICY, files=dict(POLICY.files))
    assert len(POLICY.keyring) == 2


@pytest.mark.check("A22")
def test_a_signed_policy_is_verified_with_its_name_and_anchor() -> None:
    verified = verify_runtime_policy(signed(), anchors=[ROOT.certificate], at=NOW)
    assert (verified.policy, verified.digest, verified.root) == (POLICY, POLICY.digest, ROOT.certificate)
    assert set(verified.keyring) == set(POLICY.keyring)


@pytest.mark.check("A22")
@pytest.mark.negative
@pytest.mark.parametrize(
    ("key", "value"),
    [
        (1, ""),
        (2, b"bytes"),
        (3, []),
        (3, ["meter", "gateway"]),
        (3, ["meter", "meter"]),
        (4, {b"/a": [ONE]}),
        (4, [{0: b"/a", 1: [ONE]}]),
        (4, [[b"/a"]]),
        (4, [[b"/a", [ONE], 1]]),
        (4, [["/a", [ONE]]]),
        (4, [[b"", [ONE]]]),
        (4, [[b"/a", []]]),
        (4, [[b"/a", [ONE[:31]]]]),
        (4, [[b"/a", sorted([ONE, OTHER], reverse=True)]]),
        (4, [[b"/a", [ONE, ONE]]]),
        (4, [[b"/b", [ONE]], [b"/a", [ONE]]]),
        (4, [[b"/a", [ONE]], [b"/a", [ONE]]]),
        (5, list(reversed(KEYS))),
        (5, [b"no key"]),
        (5, ["text"]),
        (5, [spki_der(private_rsa_key(1024).public_key())]),
        (
            5,
            [
                ed25519.Ed25519PrivateKey.generate()
                .public_key()
                .public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            ],
        ),
        (6, "unknown"),
    ],
)
def test_content_that_is_wrong_in_one_member_is_refused(key: int, value: Any) -> None:
    content = cbor2.loads(POLICY.encode()) | {key: value}
    with pytest.raises(MessageError):
        decode_runtime_policy(encode_deterministic(content))


@pytest.mark.negative
def test_a_policy_that_no_decoder_would_take_is_not_encoded() -> None:
    with pytest.raises(MessageError):
        dataclasses.replace(POLICY, models=()).encode()


@pytest.mark.check("A22")
@pytest.mark.negative
def test_only_a_signature_for_manifests_under_the_anchor_counts() -> None:
    good = signed()
    with pytest.raises(MessageError):
        verify_runtime_policy(POLICY.encode(), anchors=[ROOT.certificate], at=NOW)
    with pytest.raises(MessageError, match="signature"):
        verify_runtime_policy(good[:-1] + bytes([good[-1] ^ 1]), anchors=[ROOT.certificate], at=NOW)
    with pytest.raises(PathError):
        verify_runtime_policy(good, anchors=[Authority.root("another").certificate], at=NOW)
    with pytest.raises(PathError):
        verify_runtime_policy(signed(eku=oids.EKU_CHALLENGE), anchors=[ROOT.certificate], at=NOW)
    with pytest.raises(PathError):
        verify_runtime_policy(good, anchors=[ROOT.certificate], at=NOW + timedelta(days=36_500))
