"""NIST PKITS, the sections on certificate revocation lists: the verdict of our path and CRL checks on each case.

A case is a certificate, the CAs above it and every list that the test suite publishes for them. A certificate stands when its
path validates, a list of its issuer verifies for it, and no list that verifies names it. The project reads full lists whose
scope is a URI: cases of indirect lists, lists of some reasons, delta lists and scopes that are directory names are looked at
in one direction only, that nothing is accepted that the suite calls invalid.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature

from standards.pki.crl import VerifiedCrl, verify_crl
from standards.pki.errors import PkiError
from standards.pki.paths import validate_path
from tests.tools import need_cryptography_vectors

AT = datetime(2026, 1, 1, tzinfo=UTC)
ANCHOR = "TrustAnchorRootCertificate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One test of the suite: names of files without their endings."""

    section: str
    certificate: str
    authorities: tuple[str, ...]
    lists: tuple[str, ...]

    @property
    def is_valid(self) -> bool:
        """As the suite's names say it."""
        return self.certificate.startswith("Valid")


def case(section: str, certificate: str, *authorities: str, lists: Sequence[str] | None = None) -> Case:
    """A case whose lists are those of its CAs, where no others are named."""
    named = tuple(f"{each}CRL" for each in authorities) if lists is None else tuple(lists)
    return Case(section=section, certificate=certificate, authorities=authorities, lists=named)


SEPARATE = ("SeparateCertificateandCRLKeysCertificateSigningCA", "SeparateCertificateandCRLKeysCRLSigning")
SEPARATE_2 = (
    "SeparateCertificateandCRLKeysCA2CertificateSigningCA",
    "SeparateCertificateandCRLKeysCA2CRLSigning",
)
SIGNING_KEY = ("BasicSelfIssuedCRLSigningKeyCA", "BasicSelfIssuedCRLSigningKeyCRL")
SIGNING_KEY_LISTS = ("BasicSelfIssuedCRLSigningKeyCACRL", "BasicSelfIssuedCRLSigningKeyCRLCertCRL")

DECIDED = (
    case("4.4.1", "InvalidMissingCRLTest1EE", "NoCRLCA", lists=()),
    case("4.4.2", "InvalidRevokedCATest2EE", "GoodCA", "RevokedsubCA"),
    case("4.4.3", "InvalidRevokedEETest3EE", "GoodCA"),
    case("4.4.4", "InvalidBadCRLSignatureTest4EE", "BadCRLSignatureCA"),
    case("4.4.5", "InvalidBadCRLIssuerNameTest5EE", "BadCRLIssuerNameCA"),
    case("4.4.6", "InvalidWrongCRLTest6EE", "WrongCRLCA"),
    case("4.4.7", "ValidTwoCRLsTest7EE", "TwoCRLsCA", lists=("TwoCRLsCABadCRL", "TwoCRLsCAGoodCRL")),
    case("4.4.8", "InvalidUnknownCRLEntryExtensionTest8EE", "UnknownCRLEntryExtensionCA"),
    case("4.4.9", "InvalidUnknownCRLExtensionTest9EE", "UnknownCRLExtensionCA"),
    case("4.4.10", "InvalidUnknownCRLExtensionTest10EE", "UnknownCRLExtensionCA"),
    case("4.4.11", "InvalidOldCRLnextUpdateTest11EE", "OldCRLnextUpdateCA"),
    case("4.4.12", "Invalidpre2000CRLnextUpdateTest12EE", "pre2000CRLnextUpdateCA"),
    case("4.4.13", "ValidGeneralizedTimeCRLnextUpdateTest13EE", "GeneralizedTimeCRLnextUpdateCA"),
    case("4.4.14", "ValidNegativeSerialNumberTest14EE", "NegativeSerialNumberCA"),
    case("4.4.15", "InvalidNegativeSerialNumberTest15EE", "NegativeSerialNumberCA"),
    case("4.4.16", "ValidLongSerialNumberTest16EE", "LongSerialNumberCA"),
    case("4.4.17", "ValidLongSerialNumberTest17EE", "LongSerialNumberCA"),
    case("4.4.18", "InvalidLongSerialNumberTest18EE", "LongSerialNumberCA"),
    case(
        "4.4.19",
        "ValidSeparateCertificateandCRLKeysTest19EE",
        *SEPARATE,
        lists=("SeparateCertificateandCRLKeysCRL",),
    ),
    case(
        "4.4.20",
        "InvalidSeparateCertificateandCRLKeysTest20EE",
        *SEPARATE,
        lists=("SeparateCertificateandCRLKeysCRL",),
    ),
    case(
        "4.4.21",
        "InvalidSeparateCertificateandCRLKeysTest21EE",
        *SEPARATE_2,
        lists=("SeparateCertificateandCRLKeysCA2CRL",),
    ),
    case("4.5.6", "ValidBasicSelfIssuedCRLSigningKeyTest6EE", *SIGNING_KEY, lists=SIGNING_KEY_LISTS),
    case("4.5.7", "InvalidBasicSelfIssuedCRLSigningKeyTest7EE", *SIGNING_KEY, lists=SIGNING_KEY_LISTS),
    case("4.5.8", "InvalidBasicSelfIssuedCRLSigningKeyTest8EE", *SIGNING_KEY, lists=SIGNING_KEY_LISTS),
    case("4.7.4", "InvalidkeyUsageCriticalcRLSignFalseTest4EE", "keyUsageCriticalcRLSignFalseCA"),
    case("4.7.5", "InvalidkeyUsageNotCriticalcRLSignFalseTest5EE", "keyUsageNotCriticalcRLSignFalseCA"),
    case("4.14.10", "ValidNoissuingDistributionPointTest10EE", "NoissuingDistributionPointCA"),
    case("4.14.11", "InvalidonlyContainsUserCertsTest11EE", "onlyContainsUserCertsCA"),
    case("4.14.12", "InvalidonlyContainsCACertsTest12EE", "onlyContainsCACertsCA"),
    case("4.14.14", "InvalidonlyContainsAttributeCertsTest14EE", "onlyContainsAttributeCertsCA"),
    case("4.15.1", "InvaliddeltaCRLIndicatorNoBaseTest1EE", "deltaCRLIndicatorNoBaseCA"),
)

REASONS = tuple(
    f"onlySomeReasonsCA{number}{of}CRL" for number in (1, 3, 4) for of in ("compromise", "otherreasons")
)
OTHER_SCOPES = (
    *(case("4.14", f"InvaliddistributionPointTest{number}EE", "distributionPoint1CA") for number in (2, 3)),
    *(
        case("4.14", f"InvaliddistributionPointTest{number}EE", "distributionPoint2CA")
        for number in (6, 8, 9)
    ),
    *(
        case("4.14", f"InvalidonlySomeReasonsTest{number}EE", "onlySomeReasonsCA1", lists=REASONS)
        for number in (15, 16)
    ),
    case(
        "4.14",
        "InvalidonlySomeReasonsTest17EE",
        "onlySomeReasonsCA2",
        lists=("onlySomeReasonsCA2CRL1", "onlySomeReasonsCA2CRL2"),
    ),
    *(
        case("4.14", f"InvalidonlySomeReasonsTest{number}EE", "onlySomeReasonsCA4", lists=REASONS)
        for number in (20, 21)
    ),
    case("4.14", "InvalidIDPwithindirectCRLTest23EE", "indirectCRLCA1"),
    case("4.14", "InvalidIDPwithindirectCRLTest26EE", "indirectCRLCA2", lists=("indirectCRLCA1CRL",)),
    case("4.14", "InvalidcRLIssuerTest27EE", "indirectCRLCA2", lists=("GoodCACRL",)),
    case("4.14", "InvalidcRLIssuerTest31EE", "indirectCRLCA6", lists=("indirectCRLCA5CRL",)),
    case("4.14", "InvalidcRLIssuerTest32EE", "indirectCRLCA6", lists=("indirectCRLCA5CRL",)),
    case("4.14", "InvalidcRLIssuerTest34EE", "indirectCRLCA5"),
    case("4.14", "InvalidcRLIssuerTest35EE", "indirectCRLCA5"),
    *(
        case(
            "4.15",
            f"InvaliddeltaCRLTest{number}EE",
            "deltaCRLCA1",
            lists=("deltaCRLCA1CRL", "deltaCRLCA1deltaCRL"),
        )
        for number in (3, 6)
    ),
    case("4.15", "InvaliddeltaCRLTest9EE", "deltaCRLCA2", lists=("deltaCRLCA2CRL", "deltaCRLCA2deltaCRL")),
    case("4.15", "InvaliddeltaCRLTest10EE", "deltaCRLCA3", lists=("deltaCRLCA3CRL", "deltaCRLCA3deltaCRL")),
)


@pytest.fixture(scope="module")
def suite() -> Path:
    """The folder of the suite, from the package `cryptography-vectors`."""
    return need_cryptography_vectors() / "PKITS_data"


def certificate(suite: Path, name: str) -> x509.Certificate:
    for ending in ("", "Cert"):
        path = suite / "certs" / f"{name}{ending}.crt"
        if path.exists():
            return x509.load_der_x509_certificate(path.read_bytes())
    raise FileNotFoundError(name)


def verdict(suite: Path, asked: Case) -> bool:
    """Whether the certificate of the case stands, by what it and its CAs are signed with and by the lists of the case."""
    anchor = certificate(suite, ANCHOR)
    authorities = [certificate(suite, each) for each in asked.authorities]
    lists = [(suite / "crls" / f"{each}.crl").read_bytes() for each in (*asked.lists, "TrustAnchorRootCRL")]
    leaf = certificate(suite, asked.certificate)
    path = validate_path(leaf, intermediates=authorities, anchors=[anchor], at=AT, eku=None)
    for each in path[:-1]:
        found = list(speaking(each, [*authorities, anchor], lists))
        if not found or any(each.serial_number in one.revoked for one in found):
            return False
    return True


def speaking(
    about: x509.Certificate, authorities: Sequence[x509.Certificate], lists: Sequence[bytes]
) -> Iterator[VerifiedCrl]:
    """The lists that verify under a key of the issuer of `about`."""
    for der in lists:
        for issuer in authorities:
            if issuer.subject == about.issuer and is_trusted(issuer, authorities[-1], lists):
                try:
                    yield verify_crl(der, issuer=issuer, at=AT)
                except PkiError:
                    continue


def is_trusted(issuer: x509.Certificate, anchor: x509.Certificate, lists: Sequence[bytes]) -> bool:
    """Whether the signer of a list is the anchor, or stands below it: as a CA of the path, or with a key for lists alone."""
    if issuer == anchor or issuer.issuer != anchor.subject:
        return True  # a CA deeper in the path is judged where it stands in it
    try:
        issuer.verify_directly_issued_by(anchor)
    except (InvalidSignature, ValueError, TypeError):
        return False
    found = list(speaking(issuer, [anchor], lists))
    return bool(found) and all(issuer.serial_number not in one.revoked for one in found)


def stands(suite: Path, asked: Case) -> bool:
    try:
        return verdict(suite, asked)
    except PkiError:
        return False


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
@pytest.mark.parametrize("asked", DECIDED, ids=lambda each: each.section)
def test_the_verdict_is_that_of_the_suite(suite: Path, asked: Case) -> None:
    assert stands(suite, asked) is asked.is_valid


@pytest.mark.negative
@pytest.mark.parametrize("asked", OTHER_SCOPES, ids=lambda each: each.certificate)
def test_nothing_stands_that_the_suite_calls_invalid(suite: Path, asked: Case) -> None:
    assert not asked.is_valid
    assert not stands(suite, asked)


def test_what_only_a_delta_list_knows_counts_from_the_next_full_list(suite: Path) -> None:
    revoked = case(
        "4.15.4", "InvaliddeltaCRLTest4EE", "deltaCRLCA1", lists=("deltaCRLCA1CRL", "deltaCRLCA1deltaCRL")
    )
    assert stands(suite, revoked)
