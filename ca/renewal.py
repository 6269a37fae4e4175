"""A new Platform Credential over the same key, for a device that was updated; the old one ends with its window (R82, D1).

The one rule: a PVA may move a device forward along manifests that its supplier signed, and do nothing else. It names a
credential of this CA, the manifest under which it accepted the device, and the result that says so; key, model and device
are those on record. Both credentials are good until the window of the old manifest closes; then the old one is superseded.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from ca.callers import Caller
from ca.credential import renewed_template
from ca.errors import ConflictError, NotFoundError
from ca.key_algorithms import SubjectKey
from ca.lifecycle import AuthorityState, DeviceState, Reason, Status
from ca.manifest_line import windows_before
from ca.profiles import Kind
from ca.races import repeated
from ca.records import Authority, Device, DueRenewal, Issued, ManifestRecord, Model, Renewal, serial_text
from ca.revocation import publish_anyway
from ca.signing import Holder, IssuanceRecords, Signing
from edge.process import Clock
from messages.enrollment import EnrollmentResult
from standards.pki.extensions import ExpectedSystemState

DUE_MAX: Final = 500
"""Credentials that one round supersedes, at most; the next round goes on."""


class RenewalRecords(IssuanceRecords, Protocol):
    """Port to credentials, manifests and renewals."""

    def certificate(self, ca_id: str, serial: int) -> Issued | None:
        """The certificate with its present status."""

    def certificates_of_device(self, device_id: str) -> list[Issued]:
        """All PfCs of a device, oldest first."""

    def authority(self, ca_id: str) -> Authority | None:
        """The CA with this id."""

    def device(self, device_id: str) -> Device | None:
        """The listed device with this id."""

    def model(self, supplier: str, model: str) -> Model | None:
        """The model of this name."""

    def manifest_of_digest(self, digest: bytes) -> ManifestRecord | None:
        """The accepted manifest with this digest of its signed form."""

    def change_status(self, issued: Issued, *, status: Status, reason: Reason | None, at: datetime) -> int:
        """Append the next status row."""

    def renewal(self, ca_id: str, serial: int) -> Renewal | None:
        """What took the place of a credential."""

    def add_renewal(self, renewal: Renewal) -> None:
        """Record what takes the place of a credential; once for each."""

    def due_renewals(self, *, at: datetime, count_max: int) -> list[DueRenewal]:
        """Good credentials with a renewal whose window is closed, oldest first."""


class RenewalStore(Protocol):
    """Port to transactions over them."""

    def reading(self) -> AbstractContextManager[RenewalRecords]:
        """A transaction that cannot change anything."""

    def writing(self) -> AbstractContextManager[RenewalRecords]:
        """A transaction that is committed when the block ends and rolled back when it raises."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewalRequest:
    """A PVA's word: the device of this credential was accepted under this manifest, by this result."""

    ca_id: str
    serial: int
    manifest_digest: bytes
    result_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewals:
    """The use cases; `publish` makes the next CRL of a CA's partition."""

    store: RenewalStore
    signing: Signing
    clock: Clock
    publish: Callable[[str, int], object]

    @repeated
    def renew(self, request: RenewalRequest, *, caller: Caller) -> Issued:
        """The credential over the same key that names the new manifest; asked again, the same one.

        Raises NotFoundError or ConflictError: nothing is issued.
        """
        at = self.clock()
        with self.store.writing() as records:
            # 1 a good credential of an enrolled device of this CA
            before = _credential(records, request)
            device = _enrolled(records, before)
            # 2 a manifest that its supplier signed for its model, in its window, later in the line of the old one
            manifest = _manifest(records, request, device=device, at=at)
            # 3 once: the same request again gets what came of the first; what took its place in between is renewed instead
            known = records.renewal(before.ca_id, before.serial)
            while known is not None and known.manifest_digest != manifest.digest:
                before = _good(_issued(records, known))
                known = records.renewal(before.ca_id, before.serial)
            if known is not None:
                return _issued(records, known)
            ends_at = _window_of(records, before, manifest=manifest)
            # 4 the new one over the same key, what it takes the place of, audit leaf
            issuer, model = _issuer(records, device)
            certificate = self.signing.certify(
                records,
                renewed_template(device, _key_of(before), issuer=issuer, model=model, manifest=manifest),
                by=issuer,
                holder=Holder(
                    subject=device.device_id,
                    supplier=device.supplier,
                    device_id=device.device_id,
                    ak_name=before.ak_name,
                ),
                at=at,
            )
            renewal = Renewal(
                ca_id=before.ca_id,
                serial=before.serial,
                new_ca_id=issuer.ca_id,
                new_serial=certificate.serial_number,
                manifest_digest=manifest.digest,
                ends_at=ends_at,
                renewed_at=at,
            )
            records.add_renewal(renewal)
            _audit(records, renewal, device=device, request=request, caller=caller)
            return _issued(records, renewal)

    def newest(self, device_id: str) -> EnrollmentResult:
        """The chain of the good credential that none has taken the place of, as enrolment gives it; it proves itself."""
        with self.store.reading() as records:
            good = [
                each
                for each in records.certificates_of_device(device_id)
                if each.status is Status.GOOD and records.renewal(each.ca_id, each.serial) is None
            ]
            authority = records.authority(good[-1].ca_id) if good else None
        if authority is None or authority.certificate is None:
            raise NotFoundError(
                "no-such-credential",
                subject=device_id[:64],
                detail="no good Platform Credential of this device is on record",
                remedy="enrol the device",
            )
        return EnrollmentResult(pfc_chain=(good[-1].der, authority.certificate))

    @repeated
    def supersede_due(self) -> int:
        """Revoke, as superseded, credentials whose window is closed; how many. Safe to repeat."""
        at = self.clock()
        with self.store.writing() as records:
            due = records.due_renewals(at=at, count_max=DUE_MAX)
            for each in due:
                records.change_status(each.issued, status=Status.REVOKED, reason=Reason.SUPERSEDED, at=at)
                record = {
                    "issuer": each.issued.ca_id,
                    "serial": serial_text(each.issued.serial),
                    "certificate_kind": str(each.issued.kind),
                    "reason": str(Reason.SUPERSEDED),
                    "by": "renewal",
                    "window_ended_at": f"{each.ends_at:%Y-%m-%dT%H:%M:%SZ}",
                }
                records.audit(kind="certificate-revoked", subject=each.issued.subject, record=record, at=at)
        for issuer, partition in sorted({(each.issued.ca_id, each.issued.crl_partition) for each in due}):
            publish_anyway(self.publish, issuer, partition)
        return len(due)


def _credential(records: RenewalRecords, request: RenewalRequest) -> Issued:
    issued = records.certificate(request.ca_id, request.serial)
    if issued is None or issued.kind is not Kind.PLATFORM_CREDENTIAL:
        raise NotFoundError(
            "no-such-credential",
            subject=f"certificate {serial_text(request.serial)[:64]}",
            detail="this CA issued no Platform Credential of this serial number",
            remedy="name issuer and serial number of the credential that the device was validated with",
        )
    return _good(issued)


def _good(issued: Issued) -> Issued:
    """Nothing but an update ended it."""
    if issued.status is not Status.GOOD and issued.reason is not Reason.SUPERSEDED:
        raise ConflictError(
            "credential-revoked",
            subject=issued.subject,
            detail=f"the credential is revoked, with the reason {issued.reason}",
            remedy="a device whose credential was withdrawn or is on hold gets no new one this way",
        )
    return issued


def _enrolled(records: RenewalRecords, before: Issued) -> Device:
    """The device, with the key of the credential as its present one."""
    device = None if before.device_id is None else records.device(before.device_id)
    if device is None or device.state is not DeviceState.ENROLLED or device.ak_name != before.ak_name:
        raise ConflictError(
            "not-enrolled-with-this-key",
            subject=before.subject,
            detail="the device is not enrolled with the key of this credential now",
            remedy="have the device enrol; it gets a credential for the present manifest then",
        )
    held = [
        each
        for each in records.certificates_of_device(device.device_id)
        if each.reason is Reason.CERTIFICATE_HOLD
    ]
    if held:
        raise ConflictError(
            "platform-credential-on-hold",
            subject=device.device_id,
            detail="a PfC of the device is on hold, and a new one would go round that",
            remedy="have the hold lifted, or replaced by another reason, first",
        )
    return device


def _manifest(
    records: RenewalRecords, request: RenewalRequest, *, device: Device, at: datetime
) -> ManifestRecord:
    manifest = records.manifest_of_digest(request.manifest_digest)
    if (
        manifest is None
        or manifest.supplier != device.supplier
        or device.model not in manifest.models
        or (manifest.not_before is not None and at < manifest.not_before)
        or (manifest.not_after is not None and at > manifest.not_after)
    ):
        raise ConflictError(
            "manifest-not-for-this-device",
            subject=device.device_id,
            detail=f"no manifest {request.manifest_digest.hex()} of {device.supplier!r} for the model "
            f"{device.model!r} is valid here now",
            remedy="have the supplier send the manifest to its CA as well",
        )
    return manifest


def _window_of(records: RenewalRecords, before: Issued, *, manifest: ManifestRecord) -> datetime:
    """When the state of the old credential is over: as the manifest that follows its own says."""
    expected = ExpectedSystemState.of(x509.load_der_x509_certificate(before.der))
    windows = windows_before(records, manifest)
    if expected is not None and expected.manifest_digest in windows:
        return windows[expected.manifest_digest]
    named = "none" if expected is None else expected.manifest_id
    raise ConflictError(
        "manifest-no-successor",
        subject=before.subject,
        detail=f"the manifest {manifest.manifest_id!r} does not follow {named!r}, which the credential names",
        remedy="name the manifest that follows the credential's own, or enrol the device again",
    )


def _issued(records: RenewalRecords, renewal: Renewal) -> Issued:
    issued = records.certificate(renewal.new_ca_id, renewal.new_serial)
    if issued is None:
        raise LookupError(f"the books have no certificate {renewal.new_serial:040x} of {renewal.new_ca_id}")
    return issued


def _issuer(records: RenewalRecords, device: Device) -> tuple[Authority, Model]:
    model = records.model(device.supplier, device.model)
    issuer = None if model is None else records.authority(model.ca_id)
    if model is None or issuer is None or issuer.state is not AuthorityState.ACTIVE:
        raise ConflictError(
            "no-issuing-ca",
            subject=device.device_id,
            detail=f"there is no active issuing CA for the model {device.model!r}",
            remedy="have the supplier or an administrator provide it, then ask again",
        )
    return issuer, model


def _key_of(before: Issued) -> SubjectKey:
    key = x509.load_der_x509_certificate(before.der).public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
        raise TypeError(f"the credential {before.serial:040x} is over a key that no AK here has")
    return key


def _audit(
    records: RenewalRecords, renewal: Renewal, *, device: Device, request: RenewalRequest, caller: Caller
) -> None:
    records.audit(
        kind="credential-renewed",
        subject=device.device_id,
        record={
            "issuer": renewal.ca_id,
            "serial": serial_text(renewal.serial),
            "new_issuer": renewal.new_ca_id,
            "new_serial": serial_text(renewal.new_serial),
            "manifest_digest": renewal.manifest_digest.hex(),
            "result_id": request.result_id,
            "old_good_until": f"{renewal.ends_at:%Y-%m-%dT%H:%M:%SZ}",
            "by": caller.name,
        },
        at=renewal.renewed_at,
    )
