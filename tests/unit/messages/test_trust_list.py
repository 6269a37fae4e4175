"""Trust lists: claims that come back, claims that are refused, who may sign one, and what differs between two."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from messages.errors import MessageError
from messages.trust_list import (
    ListedCrl,
    SelfCertification,
    TrustedSupplier,
    TrustList,
    differences,
    read_claims,
    read_unverified,
    verify_trust_list,
)
from standards.rats.fields import encode_base64url
from tests.fakes.credentials import FakeSupplier
from tests.fakes.pki import NOW, Authority
from tests.fakes.trust_lists import AUDIT, ListIssuer, vouched

ACME, OTHER = FakeSupplier.make("Acme"), FakeSupplier.make("Other")
ROBUST = replace(
    AUDIT, robustness=SelfCertification(document_sha256=bytes(range(32)), declared_at=NOW - timedelta(days=1))
)
FIRST = vouched(ACME, accreditation=ROBUST, tre_level_min=2)
SECOND = TrustedSupplier(
    name="Other",
    root=OTHER.root.certificate,
    models={},
    ocsp_url="",
    crls=(ListedCrl(issuer=OTHER.issuing.certificate, url="http://crl.example.net/1.crl"),),
)
LIST = TrustList(
    issuer="overseer-1",
    sequence=7,
    issued_at=NOW,
    expires_at=NOW + timedelta(days=1),
    suppliers=(FIRST, SECOND),
)
CLAIMS = {**LIST.claims(), "iss": "overseer-1"}
ROW, CRL_ROW = CLAIMS["suppliers"]

pytestmark = [pytest.mark.requirement("R26"), pytest.mark.requirement("R20")]


def test_claims_are_read_back() -> None:
    assert read_claims(CLAIMS) == LIST


@pytest.mark.negative
@pytest.mark.parametrize(
    ("claim", "value"),
    [
        ("seq", 0),
        ("seq", "1"),
        ("iat", None),
        ("exp", "tomorrow"),
        ("iss", ""),
        ("note", "unknown"),
        ("suppliers", {}),
        ("suppliers", [ROW, ROW]),
        ("suppliers", [ROW, {**ROW, "name": "another name, the same root"}]),
    ],
)
def test_a_claim_that_is_wrong_in_one_respect_is_refused(claim: str, value: Any) -> None:
    with pytest.raises(MessageError):
        read_claims({**CLAIMS, claim: value})


@pytest.mark.negative
@pytest.mark.parametrize(
    "changed",
    [
        {"root": encode_base64url(b"no certificate")},
        {"models": {"a": "1.2.3", "b": "1.2.3"}},
        {"models": {"a": "not an OID"}},
        {"models": {"": "1.2.3"}},
        {"models": []},
        {"ocsp_url": "https://ocsp.example.net"},
        {"ocsp_url": "http://ocsp.example.net/ x"},
        {"tre_level_min": 4},
        {"accreditation": {**ROW["accreditation"], "to": ROW["accreditation"]["from"]}},
        {"accreditation": {**ROW["accreditation"], "robustness": {"sha256": "00", "at": 1}}},
        {"accreditation": {**ROW["accreditation"], "more": 1}},
        {"crls": CRL_ROW["crls"]},
        {"owner": "someone"},
    ],
)
def test_a_supplier_that_is_wrong_in_one_respect_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(MessageError):
        read_claims({**CLAIMS, "suppliers": [{**ROW, **changed}]})


@pytest.mark.negative
@pytest.mark.parametrize("crls", [[], CRL_ROW["crls"] * 2, [{"issuer": CRL_ROW["crls"][0]["issuer"]}]])
def test_crls_are_one_an_issuing_ca(crls: list[Any]) -> None:
    with pytest.raises(MessageError):
        read_claims({**CLAIMS, "suppliers": [{**CRL_ROW, "crls": crls}]})


def test_a_list_is_believed_for_its_signer() -> None:
    issuer = ListIssuer()
    token = issuer.sign(FIRST, sequence=7)
    verified = verify_trust_list(token, anchors=[issuer.root.certificate], at=NOW)
    assert (verified.role, verified.content.suppliers) == ("overseer", (FIRST,))
    assert read_unverified(token) == verified.content


@pytest.mark.negative
@pytest.mark.check("A25")
def test_a_forged_list_is_refused() -> None:
    issuer = ListIssuer()
    token = issuer.sign(FIRST)
    with pytest.raises(MessageError):
        verify_trust_list(token, anchors=[Authority.root("another root").certificate], at=NOW)
    head, payload, signature = token.split(".")
    other = issuer.sign(FIRST, sequence=9).split(".")[1]
    assert other != payload
    with pytest.raises(MessageError):
        verify_trust_list(f"{head}.{other}.{signature}", anchors=[issuer.root.certificate], at=NOW)
    with pytest.raises(MessageError, match="expected"):
        verify_trust_list(
            ListIssuer(root=issuer.root, role="icf").sign(FIRST), anchors=[issuer.root.certificate], at=NOW
        )


@pytest.mark.negative
@pytest.mark.parametrize("token", ["", "a.b", "a.b.c", "a.ew.c", f"a.{'x' * (1 << 20)}.c"])
def test_what_is_no_list_is_not_read(token: str) -> None:
    with pytest.raises(MessageError):
        read_unverified(token)


def test_differences_name_supplier_and_thing() -> None:
    longer = replace(ROBUST, valid_to=ROBUST.valid_to + timedelta(days=1))
    found = differences((FIRST, SECOND), (replace(FIRST, accreditation=longer, tre_level_min=None),))
    assert {(each.supplier, each.what) for each in found} == {
        ("Acme", "accredited"),
        ("Acme", "tre_level_min"),
        ("Other", "root"),
        ("Other", "crl http://crl.example.net/1.crl"),
    }
    assert differences((FIRST, SECOND), (SECOND, FIRST)) == ()
