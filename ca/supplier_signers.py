"""Whose signature counts for a supplier: a certificate under his ES root that is not revoked here."""

from typing import Protocol

from cryptography import x509

from ca.errors import InvalidInputError, NotFoundError
from ca.lifecycle import Status
from ca.profiles import Kind
from ca.records import Authority, Issued


class SignerRecords(Protocol):
    """Port to ES roots and to the status of what they issued."""

    def root(self, kind: Kind, *, supplier: str | None = None) -> Authority | None:
        """The root of this kind; for an ES root, that of the supplier."""

    def certificate(self, ca_id: str, serial: int) -> Issued | None:
        """The certificate with its present status."""


def es_root_of(records: SignerRecords, supplier: str) -> Authority:
    """The supplier's ES root; raises NotFoundError."""
    root = records.root(Kind.ES_ROOT, supplier=supplier)
    if root is None:
        raise NotFoundError(
            "no-es-root",
            subject=supplier or "supplier",
            detail=f"the supplier {supplier!r} has no ES root here",
            remedy="have an administrator create or import it first",
        )
    return root


def check_signer(records: SignerRecords, root: Authority, signer: x509.Certificate) -> None:
    """Raise InvalidInputError if the ES root's own books say that `signer` is revoked.

    An imported root keeps no books here; whether its certificates are revoked is not checked.
    """
    issued = records.certificate(root.ca_id, signer.serial_number)
    if root.hosted and (issued is None or issued.status is not Status.GOOD):
        state = "not in the books of" if issued is None else f"revoked ({issued.reason}) by"
        raise InvalidInputError(
            "signer-not-valid",
            subject=f"certificate {signer.serial_number:040x}",
            detail=f"the signer's certificate is {state} the ES root of {root.supplier!r}",
            remedy="sign with a certificate that is valid now",
        )
