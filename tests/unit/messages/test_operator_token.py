"""A token is believed for who signed it and as what."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509

from messages.errors import MessageError
from messages.operator_token import OperatorSigner, SignedClaims, TokenKind, check_life, verify_operator_token
from messages.order import ORDER_KIND, read_claims
from standards.pki import oids
from standards.pki.extensions import OperatorRole
from standards.pki.jws import sign_jws
from tests.fakes.pki import DEFAULT_VALIDITY, EXPIRED, LEAF_USAGE, NOW, Authority, Validity, p256
from tests.unit.messages.operator_samples import ORDER, SHO

ROOT = Authority.root("operators")
ISSUING = ROOT.subordinate("operators' CA")
KEY = p256()
SHO_ROLE = OperatorRole(role="sho", id=SHO)


def signer(
    *,
    role: OperatorRole | None = SHO_ROLE,
    eku: x509.ObjectIdentifier = oids.EKU_SUBSCRIPTION,
    issuing: Authority = ISSUING,
    validity: Validity = DEFAULT_VALIDITY,
) -> OperatorSigner:
    """A service whose certificate may be wrong in one respect."""
    extensions: list[tuple[x509.ExtensionType, bool]] = [(LEAF_USAGE, True)]
    if role is not None:
        extensions.append((role.to_extension(), False))
    leaf = issuing.issue("service", key=KEY.public_key(), eku=eku, extensions=extensions, validity=validity)
    return OperatorSigner(key=KEY, chain=(leaf, issuing.certificate), issuer=SHO)


GOOD = signer()
TOKEN = GOOD.sign(ORDER.claims(), typ=ORDER_KIND.typ)


def verify(token: str = TOKEN, **changed: Any) -> SignedClaims:
    named = {"anchors": [ROOT.certificate], "at": NOW, **changed}
    kind = named.pop("kind", ORDER_KIND)
    return verify_operator_token(token, kind, **named)


@pytest.mark.requirement("R65")
def test_a_token_of_the_right_service_is_believed() -> None:
    verified = verify()
    assert read_claims(verified.claims) == ORDER
    assert verified.signer == SHO_ROLE
    assert verified.path == (*GOOD.chain, ROOT.certificate)


@pytest.mark.negative
@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        (signer(role=OperatorRole(role="dpf", id=SHO)), "signer of pva-order"),
        (signer(role=None), "no role"),
        (signer(role=OperatorRole(role="sho", id="sho2.example")), "signer's own id"),
        (signer(eku=oids.EKU_DELIVERY), "operators' root"),
        (signer(validity=EXPIRED), "operators' root"),
        (signer(issuing=Authority.root("operators").subordinate("operators' CA")), "operators' root"),
        (replace(GOOD, issuer="sho2.example"), "signer's own id"),
    ],
    ids=["role", "no role", "id of another", "purpose", "expired", "foreign root", "iss of another"],
)
def test_a_signer_that_is_wrong_in_one_respect_is_refused(wrong: OperatorSigner, match: str) -> None:
    token = wrong.sign(ORDER.claims(), typ=ORDER_KIND.typ)
    with pytest.raises(MessageError, match=match):
        verify(token)


@pytest.mark.negative
def test_a_token_of_another_type_is_refused() -> None:
    with pytest.raises(MessageError, match="type"):
        verify(GOOD.sign(ORDER.claims(), typ="pva-mid-package+jwt"))


@pytest.mark.negative
def test_a_kind_for_other_roles_refuses_the_same_token() -> None:
    kind = TokenKind(typ=ORDER_KIND.typ, eku=ORDER_KIND.eku, roles=frozenset({"dpf", "drf"}))
    with pytest.raises(MessageError, match="dpf or drf"):
        verify(kind=kind)


@pytest.mark.negative
def test_changed_claims_without_anchors_too_long_and_nonsense_are_refused() -> None:
    head, claims, signature = TOKEN.split(".")
    forged = ".".join([head, claims[:-2] + ("AA" if claims[-2:] != "AA" else "BB"), signature])
    wrong: list[dict[str, Any]] = [
        {"token": forged},
        {"token": "a.b.c"},
        {"anchors": []},
        {"bytes_max": len(TOKEN) - 1},
    ]
    for changes in wrong:
        with pytest.raises(MessageError):
            verify(**changes)


@pytest.mark.negative
def test_a_token_without_an_issuer_is_refused() -> None:
    token = sign_jws(ORDER.claims(), key=KEY, chain=GOOD.chain, typ=ORDER_KIND.typ)
    with pytest.raises(MessageError, match="own id"):
        verify(token)


SECOND = timedelta(seconds=1)


@pytest.mark.parametrize("at", [NOW, NOW - 5 * SECOND, NOW + 59 * SECOND])
def test_within_its_life_a_token_is_good(at: Any) -> None:
    check_life("a token", issued_at=NOW, expires_at=NOW + 60 * SECOND, at=at)


@pytest.mark.negative
@pytest.mark.parametrize(
    ("issued", "expires", "at"), [(0, 60, 60), (0, 60, 61), (0, 60, -6), (0, 0, 0), (60, 0, 30)]
)
def test_outside_of_its_life_a_token_is_refused(issued: int, expires: int, at: int) -> None:
    with pytest.raises(MessageError, match="life of a token"):
        check_life(
            "a token",
            issued_at=NOW + issued * SECOND,
            expires_at=NOW + expires * SECOND,
            at=NOW + at * SECOND,
        )
