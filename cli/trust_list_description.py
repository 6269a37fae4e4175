"""A trust list out of a description in TOML: whom its issuer vouches for, with files for certificates and documents.

Rule: every key is known and every value is checked before anything is signed.
"""

import hashlib
from datetime import datetime, timedelta
from typing import Annotated, Final, Self

from cryptography import x509
from pydantic import AwareDatetime, Field, StringConstraints, model_validator

from cli.files import read_certificate, read_file
from edge.settings import Settings, SettingsPath
from messages.trust_list import (
    CRLS_MAX,
    NAME_MAX,
    SUPPLIERS_MAX,
    URL_MAX,
    Accreditation,
    ListedCrl,
    SelfCertification,
    TrustedSupplier,
    TrustList,
)
from standards.pki.oids import POLICY_TRE_LEVELS

DOCUMENT_BYTES_MAX: Final = 1 << 26
_Name = Annotated[str, StringConstraints(min_length=1, max_length=NAME_MAX)]
_Url = Annotated[str, StringConstraints(max_length=URL_MAX, pattern=r"^http://[!-~]+$")]


class AccreditationDescription(Settings):
    """What an audit found; `robustness_document` is the supplier's self-certification, of which the digest is listed."""

    scheme: _Name
    certificate: _Name
    valid_from: AwareDatetime
    valid_to: AwareDatetime
    robustness_document: SettingsPath | None = None
    robustness_declared_at: AwareDatetime | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if (self.robustness_document is None) != (self.robustness_declared_at is None):
            raise ValueError("give robustness_document with robustness_declared_at, or neither")
        if self.valid_to <= self.valid_from:
            raise ValueError("valid_to: expected a time after valid_from")
        return self

    def value(self) -> Accreditation:
        """As it is listed. Raises CliError."""
        robustness = None
        if self.robustness_document is not None and self.robustness_declared_at is not None:
            document = read_file(self.robustness_document, bytes_max=DOCUMENT_BYTES_MAX)
            robustness = SelfCertification(
                document_sha256=hashlib.sha256(document).digest(), declared_at=self.robustness_declared_at
            )
        return Accreditation(
            scheme=self.scheme,
            certificate=self.certificate,
            valid_from=self.valid_from,
            valid_to=self.valid_to,
            robustness=robustness,
        )


class CrlDescription(Settings):
    """Where the CRL of an issuing CA (PEM file) lies."""

    issuing_ca: SettingsPath
    url: _Url


class SupplierDescription(Settings):
    """One supplier; `models` is the name of a model -> the hwType (dotted OID) of its devices."""

    name: _Name
    root: SettingsPath
    models: Annotated[dict[_Name, str], Field(min_length=1)]
    ocsp_url: _Url | None = None
    crls: Annotated[tuple[CrlDescription, ...], Field(max_length=CRLS_MAX)] = ()
    tre_level_min: Annotated[int, Field(ge=1, le=max(POLICY_TRE_LEVELS))] | None = None
    accreditation: AccreditationDescription | None = None

    @model_validator(mode="after")
    def _has_one_source_of_status(self) -> Self:
        if (self.ocsp_url is None) == (not self.crls):
            raise ValueError("give ocsp_url or crls")
        return self

    def value(self) -> TrustedSupplier:
        """As it is listed. Raises CliError."""
        return TrustedSupplier(
            name=self.name,
            root=_certificate(self.root),
            models=dict(self.models),
            ocsp_url=self.ocsp_url or "",
            crls=tuple(ListedCrl(issuer=_certificate(each.issuing_ca), url=each.url) for each in self.crls),
            tre_level_min=self.tre_level_min,
            accreditation=None if self.accreditation is None else self.accreditation.value(),
        )


class TrustListDescription(Settings):
    """What an issuer of trust lists writes down; `issuer` is the id in its certificate, `days` how long the list holds."""

    issuer: _Name
    sequence: Annotated[int, Field(ge=1)]
    days: Annotated[int, Field(ge=1, le=3_660)]
    suppliers: Annotated[tuple[SupplierDescription, ...], Field(max_length=SUPPLIERS_MAX)] = ()


def trust_list_of(description: TrustListDescription, *, at: datetime) -> TrustList:
    """The list that a description stands for, as of now. Raises CliError."""
    at = at.replace(microsecond=0)
    return TrustList(
        issuer=description.issuer,
        sequence=description.sequence,
        issued_at=at,
        expires_at=at + timedelta(days=description.days),
        suppliers=tuple(each.value() for each in description.suppliers),
    )


def _certificate(path: SettingsPath) -> x509.Certificate:
    return read_certificate(path)
