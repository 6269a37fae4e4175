"""Whose signature counts for a supplier: a certificate under his ES root that is not revoked here."""

from collections.abc import Sequence
from typing import Protocol

from cryptography import x509

from ca.errors import InvalidInputError, NotFoundError
from ca.lifecycle import Status
from ca.profiles import Kind
from ca.records import Authority, Issued
from standards.pki.fingerprints import ca_id


class SignerRecords(Protocol):
    """Port to ES roots and to the status of what they issued."""

    def roots(self, kind: Kind, *, supplier: str | None = None) -> list[Authority]:
        """All generations of a root, oldest first."""

    def certificate(self, ca_id: str, serial: int) -> Issued | None:
        """The certificate with its present status."""


def es_roots_of(records: SignerRecords, supplier: str) -> list[Authority]:
    """The supplier's ES root, with the keys that it had before, oldest first; raises NotFoundError."""
    roots = records.roots(Kind.ES_ROOT, supplier=supplier)
    if not roots:
        raise NotFoundError(
            "no-es-root",
            subject=supplier or "supplier",
            detail=f"the supplier {supplier!r} has no ES root here",
            remedy="have an administrator create or import it first",
        )
    return roots


def check_signer(
    records: SignerRecords, roots: Sequence[Authority], path: Sequence[x509.Certificate]
) -> None:
    """Raise InvalidInputError if the ES root's own books say that the signer of `path` is revoked.

    An imported root keeps no books here; whether its certificates are revoked is not checked.
    """
    signer, issuer, anchor = path[0], ca_id(path[1]), ca_id(path[-1])
    if any(each.ca_id == anchor and not each.hosted for each in roots):
        return
    root = next((each for each in roots if each.ca_id == issuer), None)
    issued = None if root is None else records.certificate(root.ca_id, signer.serial_number)
    if issued is None or issued.status is not Status.GOOD:
        state = "not in the books of" if issued is None else f"revoked ({issued.reason}) by"
        raise InvalidInputError(
            "signer-not-valid",
            subject=f"certificate {signer.serial_number:040x}",
            detail=f"the signer's certificate is {state} the ES root of {roots[0].supplier!r}",
            remedy="sign with a certificate that is valid now",
        )
