"""Certification paths: each check refuses a path that is right in every other respect."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from cryptography import x509

from standards.pki import oids
from standards.pki.errors import PathError, PathFault
from standards.pki.paths import validate_path
from tests.fakes.pki import (
    EXPIRED,
    ISSUER_USAGE,
    LEAF_USAGE,
    NOW,
    Authority,
    Extensions,
    issuer_extensions,
    key_usage,
    p256,
)

EKU = oids.EKU_CHALLENGE
NO_SIGNING = key_usage("content_commitment")


def refused(leaf: x509.Certificate, issuers: Sequence[Authority], anchors: Sequence[Authority]) -> PathError:
    with pytest.raises(PathError) as caught:
        validate_path(
            leaf,
            intermediates=[each.certificate for each in issuers],
            anchors=[each.certificate for each in anchors],
            at=NOW,
            eku=EKU,
        )
    assert caught.value.subject
    assert caught.value.reason
    return caught.value


def leaf_of(
    issuer: Authority, *, name: str = "leaf", extensions: Extensions = ((LEAF_USAGE, True),)
) -> x509.Certificate:
    return issuer.issue(name, key=p256().public_key(), eku=EKU, extensions=extensions)


AGREEMENT_ONLY = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=True,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)


@pytest.mark.parametrize(
    ("purpose", "usage", "accepted"),
    [
        (oids.EKU_RESULT_ENCRYPTION, AGREEMENT_ONLY, True),
        (oids.EKU_RESULT_ENCRYPTION, LEAF_USAGE, False),
        (EKU, AGREEMENT_ONLY, False),
    ],
)
def test_a_key_that_is_encrypted_to_agrees_and_does_not_sign(
    purpose: x509.ObjectIdentifier, usage: x509.KeyUsage, *, accepted: bool
) -> None:
    root = Authority.root()
    leaf = root.issue("leaf", key=p256().public_key(), eku=purpose, extensions=[(usage, True)])
    anchors = [root.certificate]
    if accepted:
        assert validate_path(leaf, intermediates=[], anchors=anchors, at=NOW, eku=purpose)[0] == leaf
        return
    with pytest.raises(PathError) as caught:
        validate_path(leaf, intermediates=[], anchors=anchors, at=NOW, eku=purpose)
    assert caught.value.fault is PathFault.PURPOSE


def test_a_path_is_returned_leaf_first_anchor_last() -> None:
    root = Authority.root()
    issuing = root.subordinate()
    leaf = leaf_of(issuing)
    stranger = Authority.root("stranger")
    path = validate_path(
        leaf,
        intermediates=[stranger.certificate, issuing.certificate],
        anchors=[stranger.certificate, root.certificate],
        at=NOW,
        eku=EKU,
    )
    assert path == (leaf, issuing.certificate, root.certificate)


def test_the_right_issuer_is_found_among_two_of_the_same_name() -> None:
    root = Authority.root()
    wrong = root.subordinate(
        extensions=[(x509.BasicConstraints(ca=True, path_length=None), True), (LEAF_USAGE, True)]
    )
    issuing = root.subordinate()
    leaf = leaf_of(issuing)
    path = validate_path(
        leaf,
        intermediates=[wrong.certificate, issuing.certificate],
        anchors=[root.certificate],
        at=NOW,
        eku=EKU,
    )
    assert path[1] == issuing.certificate


def test_critical_certificate_policies_are_understood() -> None:
    root = Authority.root()
    policies = x509.CertificatePolicies([x509.PolicyInformation(oids.POLICY_TRE_LEVELS[2], None)])
    leaf = leaf_of(root, extensions=[(policies, True)])
    assert len(validate_path(leaf, intermediates=[], anchors=[root.certificate], at=NOW, eku=EKU)) == 2


@pytest.mark.negative
def test_an_unknown_root_is_untrusted() -> None:
    root, stranger = Authority.root(), Authority.root()  # of the same name
    leaf = leaf_of(stranger)
    assert refused(leaf, [], [root]).fault is PathFault.UNTRUSTED
    assert refused(leaf, [stranger], [root]).fault is PathFault.UNTRUSTED
    assert refused(leaf, [stranger], []).fault is PathFault.UNTRUSTED


@pytest.mark.negative
def test_x1_an_anchor_is_no_end_entity() -> None:
    root = Authority.root()
    leaf = leaf_of(root)
    with pytest.raises(PathError, match="trust anchor itself"):
        validate_path(leaf, intermediates=[], anchors=[leaf], at=NOW, eku=EKU)


@pytest.mark.negative
def test_x2_an_issuer_needs_key_cert_sign() -> None:
    root = Authority.root()
    issuing = root.subordinate(
        extensions=[(x509.BasicConstraints(ca=True, path_length=None), True), (LEAF_USAGE, True)]
    )
    assert "keyCertSign" in refused(leaf_of(issuing), [issuing], [root]).reason


@pytest.mark.negative
def test_x3_an_issuer_of_another_purpose_cannot_vouch() -> None:
    root = Authority.root()
    other = x509.ExtendedKeyUsage([oids.EKU_BATCH_SIGNING])
    issuing = root.subordinate(extensions=[*issuer_extensions(), (other, False)])
    assert "extendedKeyUsage" in refused(leaf_of(issuing), [issuing], [root]).reason


@pytest.mark.negative
def test_x4_a_ca_is_no_end_entity() -> None:
    root = Authority.root()
    leaf = leaf_of(root, extensions=[*issuer_extensions()])
    assert refused(leaf, [], [root]).fault is PathFault.CONSTRAINT


@pytest.mark.negative
@pytest.mark.parametrize("eku", [None, oids.EKU_ANY, oids.EKU_BATCH_SIGNING])
def test_x5_the_purpose_is_asked_by_name(eku: x509.ObjectIdentifier | None) -> None:
    root = Authority.root()
    leaf = root.issue("leaf", key=p256().public_key(), eku=eku)
    assert refused(leaf, [], [root]).fault is PathFault.PURPOSE


@pytest.mark.negative
def test_x6_a_leaf_signs() -> None:
    root = Authority.root()
    assert refused(leaf_of(root, extensions=[(NO_SIGNING, True)]), [], [root]).fault is PathFault.PURPOSE


@pytest.mark.negative
@pytest.mark.check("P6")
def test_x7_an_empty_subject_needs_a_critical_name() -> None:
    root = Authority.root()
    san = x509.SubjectAlternativeName([x509.DNSName("device.invalid")])
    leaf = leaf_of(root, name="", extensions=[(san, True)])
    assert len(validate_path(leaf, intermediates=[], anchors=[root.certificate], at=NOW, eku=EKU)) == 2
    assert refused(leaf_of(root, name="", extensions=[(san, False)]), [], [root])
    assert refused(leaf_of(root, name=""), [], [root])


@pytest.mark.negative
def test_dates_of_leaf_and_issuers() -> None:
    root = Authority.root()
    expired = root.issue("leaf", key=p256().public_key(), eku=EKU, validity=EXPIRED)
    assert refused(expired, [], [root]).fault is PathFault.EXPIRED
    issuing = root.subordinate(validity=EXPIRED)
    assert refused(leaf_of(issuing), [issuing], [root]).fault is PathFault.EXPIRED
    old_root = Authority.root(validity=EXPIRED)
    assert refused(leaf_of(old_root), [], [old_root]).fault is PathFault.EXPIRED
    leaf = leaf_of(root)
    with pytest.raises(PathError, match="valid from"):
        validate_path(leaf, intermediates=[], anchors=[root.certificate], at=NOW - timedelta(days=9), eku=EKU)


@pytest.mark.negative
@pytest.mark.check("P3")
@pytest.mark.check("P4")
def test_what_the_library_refuses() -> None:
    root = Authority.root()
    for extensions in (
        [(ISSUER_USAGE, True)],
        [(x509.BasicConstraints(ca=False, path_length=None), True), (ISSUER_USAGE, True)],
        [(x509.BasicConstraints(ca=True, path_length=None), False), (ISSUER_USAGE, True)],
    ):
        issuing = root.subordinate(extensions=extensions)
        refused(leaf_of(issuing), [issuing], [root])
    short = Authority.root(path_length=0)
    issuing = short.subordinate()
    assert "path length" in refused(leaf_of(issuing), [issuing], [short]).reason
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
    refused(leaf_of(root, extensions=[(unknown, True)]), [], [root])


@pytest.mark.negative
def test_long_paths_and_floods_of_intermediates() -> None:
    issuers = [Authority.root()]
    for number in range(8):
        issuers.append(issuers[-1].subordinate(f"CA {number}"))
    refused(leaf_of(issuers[-1]), issuers[1:], issuers[:1])
    leaf = leaf_of(issuers[0])
    assert refused(leaf, issuers[1:] * 3, issuers[:1]).fault is PathFault.MALFORMED
