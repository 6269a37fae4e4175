"""Revoking certificates, following what changed, and letting a device enrol once more.

The one rule: a status is never edited. A row with the next version is appended, in the same transaction as its
audit leaf and its place in the change feed; the CRL follows at once, and again whenever it is due.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from cryptography import x509

from ca.callers import Caller
from ca.errors import ConcurrentChangeError, ConflictError, NotFoundError
from ca.lifecycle import Reason, Status, check_revocation, read_reason
from ca.profiles import Kind
from ca.races import repeated
from ca.records import Authority, Device, Issued, serial_text
from edge.process import Clock, logger
from standards.pki.fingerprints import ca_id


class RevocationRecords(Protocol):
    """Port to issued certificates, their status, and devices."""

    def certificate(self, ca_id: str, serial: int) -> Issued | None:
        """The certificate with its present status; (issuer, serial) always go together."""

    def authority(self, ca_id: str) -> Authority | None:
        """The CA with this id."""

    def retire_authority(self, ca_id: str) -> None:
        """Mark a CA as revoked: it signs no certificate any more."""

    def change_status(self, issued: Issued, *, status: Status, reason: Reason | None, at: datetime) -> int:
        """Append the next status row."""

    def certificates_of_device(self, device_id: str) -> list[Issued]:
        """All PfCs of a device, oldest first."""

    def device(self, device_id: str) -> Device | None:
        """The listed device with this id."""

    def reopen_device(self, device_id: str) -> bool:
        """Let an enrolled device enrol once more; False when it is not enrolled."""

    def audit(self, *, kind: str, subject: str, record: dict[str, Any], at: datetime) -> None:
        """Add one leaf to the ledger."""


class RevocationStore(Protocol):
    """Port to transactions over them."""

    def reading(self) -> AbstractContextManager[RevocationRecords]:
        """A transaction that cannot change anything."""

    def writing(self) -> AbstractContextManager[RevocationRecords]:
        """A transaction that is committed when the block ends and rolled back when it raises."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """The use cases around status; `publish` makes the next CRL of a CA's partition."""

    store: RevocationStore
    clock: Clock
    publish: Callable[[str, int], object]

    @repeated
    def revoke(self, issuer: str, serial: int, *, reason: str, caller: Caller) -> Issued:
        """Revoke one certificate for a reason of RFC 5280 5.3.1; its supplier or an administrator may."""
        at = self.clock()
        with self.store.writing() as records:
            # 1 a certificate of this CA, within the caller's sight
            issued = _found(records, issuer, serial)
            subject = f"certificate {serial_text(serial)}"
            caller.speak_for(issued.supplier, subject=subject)
            # 2 a reason that this kind may have, from a status that may change
            asked = read_reason(reason, kind=issued.kind, subject=subject)
            check_revocation(subject=subject, status=issued.status, held=issued.reason, asked=asked)
            # 3 next status row, feed and audit leaf
            records.change_status(issued, status=Status.REVOKED, reason=asked, at=at)
            _audit(records, issued, reason=asked, caller=caller, at=at)
            # 4 a revoked CA signs nothing any more
            if issued.kind is Kind.ISSUING_CA:
                records.retire_authority(_authority_of(issued))
            revoked = _found(records, issuer, serial)
        # 5 the CRL follows
        self.publish_list(issuer, revoked.crl_partition)
        return revoked

    def publish_list(self, issuer: str, partition: int) -> None:
        """Make the CRL now; whatever keeps it back, the status stands and the periodic work tries again."""
        publish_anyway(self.publish, issuer, partition)

    def find(self, issuer: str, serial: int, *, caller: Caller) -> Issued:
        """One certificate with its status, for its supplier or an administrator."""
        with self.store.reading() as records:
            issued = _found(records, issuer, serial)
        caller.speak_for(issued.supplier, subject=f"certificate {serial_text(serial)}")
        return issued

    def is_revoked(self, certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
        """Whether a certificate that `issuer` signed is in this CA's books as revoked."""
        with self.store.reading() as records:
            issued = records.certificate(ca_id(issuer), certificate.serial_number)
        return issued is not None and issued.status is Status.REVOKED

    @repeated
    def reopen(self, device_id: str, *, caller: Caller) -> Device:
        """Let an enrolled device enrol once more; its PfC stays good until the next one supersedes it."""
        at = self.clock()
        with self.store.writing() as records:
            # 1 a device of this supplier
            device = _device(records, device_id)
            caller.speak_for(device.supplier, subject=device_id)
            # 2 not while a PfC is on hold: only a recovery result lifts that (D6)
            for pfc in records.certificates_of_device(device_id):
                if pfc.reason is Reason.CERTIFICATE_HOLD:
                    raise _on_hold(device_id)
            # 3 one statement decides, audit leaf
            if not records.reopen_device(device_id):
                raise ConflictError(
                    "not-enrolled",
                    subject=device_id,
                    detail=f"the device is {device.state}, expected enrolled",
                    remedy="nothing needs to be done: it may enrol now",
                )
            record = {"supplier": device.supplier, "by": caller.name}
            records.audit(kind="device-reopened", subject=device_id, record=record, at=at)
            return _device(records, device_id)


def publish_anyway(publish: Callable[[str, int], object], issuer: str, partition: int) -> None:
    """Make the CRL now; whatever keeps it back, the status stands and the periodic work tries again."""
    try:
        publish(issuer, partition)
    except ConcurrentChangeError:
        pass  # another process makes one at this moment
    except Exception as error:  # noqa: BLE001  # an error here would say that nothing was revoked
        logger("ca").error("crl-not-made", ca_id=issuer, exc_info=error)


def _found(records: RevocationRecords, issuer: str, serial: int) -> Issued:
    issued = records.certificate(issuer, serial)
    if issued is None:
        raise NotFoundError(
            "no-such-certificate",
            subject=f"certificate {serial_text(serial)[:64]}",
            detail="this CA issued no certificate of this serial number",
            remedy="give the issuer's ca_id and the serial number in hexadecimal",
        )
    return issued


def _authority_of(issued: Issued) -> str:
    return ca_id(x509.load_der_x509_certificate(issued.der))


def _device(records: RevocationRecords, device_id: str) -> Device:
    device = records.device(device_id)
    if device is None:
        raise NotFoundError(
            "no-such-device",
            subject=device_id[:64],
            detail="no batch lists this device",
            remedy="give the device id (SHA-256 of the EK's SubjectPublicKeyInfo, 64 hex digits)",
        )
    return device


def _on_hold(device_id: str) -> ConflictError:
    return ConflictError(
        "platform-credential-on-hold",
        subject=device_id,
        detail="a PfC of the device is on hold, and a new one would go round that",
        remedy="have the hold lifted, or replaced by another reason, first",
    )


def _audit(
    records: RevocationRecords, issued: Issued, *, reason: Reason, caller: Caller, at: datetime
) -> None:
    records.audit(
        kind="certificate-revoked",
        subject=issued.subject,
        record={
            "issuer": issued.ca_id,
            "serial": serial_text(issued.serial),
            "certificate_kind": str(issued.kind),
            "reason": str(reason),
            "by": caller.name,
        },
        at=at,
    )
