"""The trust list: which ES roots somebody vouches for, with which accreditation, as the claims of a signed token (D7).

Rule: a list is whole. What a newer list of the same issuer leaves out is no longer vouched for; its sequence number
never falls, which whoever takes lists has to see to, since nothing here remembers the last one.

    token type  pva-trust-list+jwt, ES256, x5c; the signer has the purpose trust list (EKU) and a role and id (`iss`)
    roles       overseer  vouches for suppliers at every PVA that has its root
                pva       the administrators of a PVA, who decide by two
                sho, dpf  says which of the suppliers that its PVA recognises count for its own requests

Source: TR 33.812, 4.1.3.2 (11): accreditation (c), robustness rules (d), the central role (e).
"""

import base64
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from cryptography import x509

from messages.errors import MessageError, refusal
from messages.operator_token import TokenKind, verify_operator_token
from standards.pki import oids
from standards.pki.errors import DecodeError
from standards.pki.fingerprints import certificate_der, certificate_sha256, decode_certificate
from standards.rats.fields import Fields, encode_base64url, numeric_date

TRUST_LIST_KIND: Final = TokenKind(
    typ="pva-trust-list+jwt", eku=oids.EKU_TRUST_LIST, roles=frozenset({"overseer", "pva", "sho", "dpf"})
)
TRUST_LIST_BYTES_MAX: Final = 1 << 20
SUPPLIERS_MAX: Final = 500
MODELS_MAX: Final = 200
NAME_MAX: Final = 128
ROOT_BYTES_MAX: Final = 8_192
URL_MAX: Final = 500
CRLS_MAX: Final = 32
HW_TYPE_MAX: Final = 255
_SHA256_SIZE: Final = 32
_SEGMENTS: Final = 3
_URL: Final = re.compile(r"http://[A-Za-z0-9.:\[\]-]+(/[!-~]*)?")
"""OCSP answers and CRLs are signed, so their transport is plain HTTP (RFC 6960, RFC 5280)."""
_LEVEL_MAX: Final = max(oids.POLICY_TRE_LEVELS)


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfCertification:
    """A supplier's own word that its devices keep the robustness rules: the SHA-256 of that document, and its date."""

    document_sha256: bytes
    declared_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Accreditation:
    """What an audit found: under which scheme, the number of its certificate, from when until when that holds."""

    scheme: str
    certificate: str
    valid_from: datetime
    valid_to: datetime
    robustness: SelfCertification | None = None

    def covers(self, at: datetime) -> bool:
        """Whether it holds at a time."""
        return self.valid_from <= at < self.valid_to


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedCrl:
    """Where the CRL of an issuing CA lies whose supplier has no responder."""

    issuer: x509.Certificate
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedSupplier:
    """One ES root with what it may vouch for.

    `models` is the name of a model -> the hwType (dotted OID) of its devices; `tre_level_min` the least TRE level that
    counts, None where any does. The status of its credentials is asked at `ocsp_url`, or read in `crls`, one an issuing
    CA: one of the two is empty.
    """

    name: str
    root: x509.Certificate
    models: Mapping[str, str]
    ocsp_url: str
    crls: tuple[ListedCrl, ...] = ()
    tre_level_min: int | None = None
    accreditation: Accreditation | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustList:
    """A whole list; `issuer` is the id in the signer's certificate."""

    issuer: str
    sequence: int
    issued_at: datetime
    expires_at: datetime
    suppliers: tuple[TrustedSupplier, ...]

    def claims(self) -> dict[str, Any]:
        """JWT claims without `iss`, which the signer adds; `read_claims` takes them back."""
        return {
            "seq": self.sequence,
            "iat": numeric_date(self.issued_at),
            "exp": numeric_date(self.expires_at),
            "suppliers": [supplier_claims(each) for each in self.suppliers],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedTrustList:
    """A list whose signer is proven, with the role in the signer's certificate. Its times are NOT judged."""

    content: TrustList
    role: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that two lists say differently of a supplier; None is what one of them does not say."""

    supplier: str
    what: str
    old: str | None
    new: str | None


def supplier_claims(supplier: TrustedSupplier) -> dict[str, Any]:
    """One supplier as a JSON object; `read_supplier` takes it back."""
    claims: dict[str, Any] = {
        "name": supplier.name,
        "root": encode_base64url(certificate_der(supplier.root)),
        "models": dict(sorted(supplier.models.items())),
    }
    if supplier.crls:
        claims["crls"] = [
            {"issuer": encode_base64url(certificate_der(each.issuer)), "url": each.url}
            for each in supplier.crls
        ]
    else:
        claims["ocsp_url"] = supplier.ocsp_url
    if supplier.tre_level_min is not None:
        claims["tre_level_min"] = supplier.tre_level_min
    if supplier.accreditation is not None:
        claims["accreditation"] = accreditation_claims(supplier.accreditation)
    return claims


def accreditation_claims(accreditation: Accreditation) -> dict[str, Any]:
    """An accreditation as a JSON object; `read_accreditation` takes it back."""
    claims: dict[str, Any] = {
        "scheme": accreditation.scheme,
        "certificate": accreditation.certificate,
        "from": numeric_date(accreditation.valid_from),
        "to": numeric_date(accreditation.valid_to),
    }
    if accreditation.robustness is not None:
        claims["robustness"] = {
            "sha256": accreditation.robustness.document_sha256.hex(),
            "at": numeric_date(accreditation.robustness.declared_at),
        }
    return claims


def read_claims(claims: object) -> TrustList:
    """Read verified claims; a supplier, a root or a hwType that is listed twice is refused.

    Raises:
        MessageError: a claim is missing, unknown, or of another type or size.
    """
    fields = Fields(claims, what="trust list", refusal=refusal)
    rows = fields.items("suppliers", size_max=SUPPLIERS_MAX)
    read = TrustList(
        issuer=fields.text("iss", size_max=NAME_MAX),
        sequence=fields.integer("seq", low=1),
        issued_at=fields.time("iat"),
        expires_at=fields.time("exp"),
        suppliers=tuple(read_supplier(row, what=f"suppliers.{number}") for number, row in enumerate(rows)),
    )
    fields.close()
    _refuse_twice("name", [each.name for each in read.suppliers])
    _refuse_twice("root", [certificate_der(each.root) for each in read.suppliers])
    return read


def read_supplier(row: object, *, what: str) -> TrustedSupplier:
    """Read one supplier; raises MessageError that calls it `what`."""
    fields = Fields(row, what=what, refusal=refusal)
    read = TrustedSupplier(
        name=fields.text("name", size_max=NAME_MAX),
        root=_certificate(fields, "root", what=what),
        models=_models(fields, what=what),
        ocsp_url="" if "crls" in fields else _url(fields, "ocsp_url", what=what),
        crls=_crls(fields, what=what) if "crls" in fields else (),
        tre_level_min=fields.integer("tre_level_min", low=1, high=_LEVEL_MAX)
        if "tre_level_min" in fields
        else None,
        accreditation=read_accreditation(fields.raw("accreditation"), what=f"{what}.accreditation")
        if "accreditation" in fields
        else None,
    )
    fields.close()
    return read


def read_accreditation(row: object, *, what: str) -> Accreditation:
    """Read one accreditation; raises MessageError that calls it `what`."""
    fields = Fields(row, what=what, refusal=refusal)
    robustness = None
    if "robustness" in fields:
        inner = fields.nested("robustness")
        robustness = SelfCertification(
            document_sha256=inner.hex("sha256", size_min=_SHA256_SIZE, size_max=_SHA256_SIZE),
            declared_at=inner.time("at"),
        )
        inner.close()
    read = Accreditation(
        scheme=fields.text("scheme", size_max=NAME_MAX),
        certificate=fields.text("certificate", size_max=NAME_MAX),
        valid_from=fields.time("from"),
        valid_to=fields.time("to"),
        robustness=robustness,
    )
    fields.close()
    if read.valid_to <= read.valid_from:
        raise MessageError(what=f"{what}.to", expected="a time after `from`", got="one that is not")
    return read


def verify_trust_list(token: str, *, anchors: Sequence[x509.Certificate], at: datetime) -> VerifiedTrustList:
    """Verify a list under `anchors`; the signer's certificate is judged `at`.

    NOT checked here: the list's own times and sequence number, and whether this signer may say so to the caller.

    Raises:
        MessageError: it is not signed for this purpose under these anchors, or its claims are malformed.
    """
    verified = verify_operator_token(
        token, TRUST_LIST_KIND, anchors=anchors, at=at, bytes_max=TRUST_LIST_BYTES_MAX
    )
    return VerifiedTrustList(content=read_claims(verified.claims), role=verified.signer.role)


def read_unverified(token: str) -> TrustList:
    """What a token says, whoever signed it: for showing, and for what was verified before. Raises MessageError."""
    segments = token.split(".")
    payload = segments[1] if len(segments) == _SEGMENTS and len(token) <= TRUST_LIST_BYTES_MAX else ""
    try:
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (ValueError, RecursionError):
        got = f"{len(segments)} segments, {len(token)} characters"
        raise MessageError(what="trust list", expected="a signed token (compact JWS)", got=got) from None
    return read_claims(claims)


def differences(old: Sequence[TrustedSupplier], new: Sequence[TrustedSupplier]) -> tuple[Difference, ...]:
    """What `new` says otherwise than `old`, by supplier."""
    before, after = ({each.name: _told(each) for each in side} for side in (old, new))
    found = []
    for name in sorted({*before, *after}):
        one, other = before.get(name, {}), after.get(name, {})
        found += [
            Difference(supplier=name, what=what, old=one.get(what), new=other.get(what))
            for what in sorted({*one, *other})
            if one.get(what) != other.get(what)
        ]
    return tuple(found)


def _told(supplier: TrustedSupplier) -> dict[str, str]:
    """What is said of a supplier, each thing as text."""
    told = {"root": certificate_sha256(supplier.root)}
    if supplier.ocsp_url:
        told["ocsp_url"] = supplier.ocsp_url
    told |= {f"crl {each.url}": certificate_sha256(each.issuer) for each in supplier.crls}
    told |= {f"model {name}": hw_type for name, hw_type in supplier.models.items()}
    if supplier.tre_level_min is not None:
        told["tre_level_min"] = str(supplier.tre_level_min)
    held = supplier.accreditation
    if held is not None:
        told["accreditation"] = f"{held.scheme} {held.certificate}"
        told["accredited"] = f"{held.valid_from:%Y-%m-%dT%H:%M:%SZ} to {held.valid_to:%Y-%m-%dT%H:%M:%SZ}"
        if held.robustness is not None:
            told["robustness"] = held.robustness.document_sha256.hex()
    return told


def _certificate(fields: Fields, key: str, *, what: str) -> x509.Certificate:
    der = fields.base64url(key, size_min=1, size_max=ROOT_BYTES_MAX)
    try:
        return decode_certificate(der)
    except DecodeError as error:
        raise MessageError(what=f"{what}.{key}", expected="a DER certificate", got=str(error)) from error


def _crls(fields: Fields, *, what: str) -> tuple[ListedCrl, ...]:
    crls = []
    for number, row in enumerate(fields.items("crls", size_min=1, size_max=CRLS_MAX)):
        place = f"{what}.crls.{number}"
        inner = Fields(row, what=place, refusal=refusal)
        crls.append(
            ListedCrl(issuer=_certificate(inner, "issuer", what=place), url=_url(inner, "url", what=place))
        )
        inner.close()
    _refuse_twice("issuing CA", [certificate_der(each.issuer) for each in crls])
    return tuple(crls)


def _models(fields: Fields, *, what: str) -> dict[str, str]:
    models = fields.raw("models")
    if not isinstance(models, Mapping) or len(models) > MODELS_MAX:
        raise MessageError(
            what=f"{what}.models", expected=f"at most {MODELS_MAX} models", got="another value"
        )
    inner = Fields(models, what=f"{what}.models", refusal=refusal)
    read = {}
    for name in models:
        if not isinstance(name, str) or not 1 <= len(name) <= NAME_MAX or not name.isprintable():
            raise MessageError(what=f"{what}.models", expected="names of models", got="something else")
        read[name] = inner.text(name, size_max=HW_TYPE_MAX)
        try:
            x509.ObjectIdentifier(read[name])
        except ValueError:
            raise MessageError(
                what=f"{what}.models.{name}", expected="a dotted OID", got="something else"
            ) from None
    _refuse_twice("hwType", list(read.values()))
    return read


def _url(fields: Fields, key: str, *, what: str) -> str:
    url = fields.text(key, size_max=URL_MAX)
    if not _URL.fullmatch(url):
        raise MessageError(what=f"{what}.{key}", expected="an http URL", got="another text")
    return url


def _refuse_twice(name: str, values: Sequence[object]) -> None:
    if len(set(values)) != len(values):
        raise MessageError(what="trust list", expected=f"each {name} once", got="one of them again")
