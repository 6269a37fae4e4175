"""The Platform Credential: who may have one, and what stands in it (D1, D2, A26).

The one rule: a PfC repeats facts that are on record (model, TRE level, current manifest) about keys that were
proven; nothing in it comes from the device's request but the AK itself.
"""

from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from ca.device_keys import DeviceKeys
from ca.enrollment_records import CredentialRecords
from ca.errors import EnrollmentRefusedError
from ca.key_algorithms import SubjectKey
from ca.lifecycle import ENROLLABLE, AuthorityState, Reason, Status
from ca.profiles import Kind
from ca.records import Authority, Device, ManifestRecord, Model
from ca.signing import Holder, Signing
from ca.template import Template
from standards.pki import oids
from standards.pki.extensions import ExpectedSystemState, HardwareModuleName


@dataclass(frozen=True, slots=True, kw_only=True)
class Supply:
    """What the supplier's side contributes to a PfC."""

    model: Model
    issuer: Authority
    manifest: ManifestRecord


def check_clone(records: CredentialRecords, device_id: str, keys: DeviceKeys) -> None:
    """Raise EnrollmentRefusedError if another device has one of these keys (A26), or the AK is compromised."""
    other = records.device_with_key(
        ak_name=keys.ak_name, storage_name=keys.storage_name, other_than=device_id
    )
    if other is not None:
        raise EnrollmentRefusedError(
            "key-of-another-device",
            subject=device_id,
            detail="its AK or storage key was enrolled for another device: one TPM under two identities",
            remedy="have the supplier find out which of the two listed devices exists",
        )
    if records.key_compromised(keys.ak_name):
        raise EnrollmentRefusedError(
            "ak-compromised",
            subject=device_id,
            detail="a PfC of this AK was revoked for keyCompromise",
            remedy="the TPM must get another endorsement seed or be replaced; this AK is never certified again",
        )


def check_not_held(records: CredentialRecords, device_id: str) -> None:
    """Raise EnrollmentRefusedError while a PfC of the device is on hold: a new one would go round that (D6)."""
    for pfc in records.certificates_of_device(device_id):
        if pfc.reason is Reason.CERTIFICATE_HOLD:
            raise EnrollmentRefusedError(
                "platform-credential-on-hold",
                subject=device_id,
                detail="a PfC of the device is on hold since it was reopened",
                remedy="have the hold lifted, or replaced by another reason, then enrol again",
            )


def check_enrollable(device: Device, keys: DeviceKeys) -> None:
    """Raise EnrollmentRefusedError unless the device may enrol now (D2: once, unless the supplier reopens it)."""
    if device.state in ENROLLABLE:
        return
    reopen = "ask the supplier to reopen the device (POST /v1/devices/<device_id>/reopening)"
    if device.ak_name != keys.ak_name:
        raise EnrollmentRefusedError(
            "ek-under-two-identities",
            subject=device.device_id,
            detail="the EK is enrolled with another AK: the device was reset in full, or copied",
            remedy=f"find out which of the two it is, then {reopen}",
        )
    if device.storage_name != keys.storage_name:
        raise EnrollmentRefusedError(
            "storage-key-changed",
            subject=device.device_id,
            detail="the EK is enrolled with another storage key: the TPM was cleared, its MIDs are lost",
            remedy=reopen,
        )
    raise EnrollmentRefusedError(
        "ek-already-enrolled",
        subject=device.device_id,
        detail="the EK is enrolled already, with these very keys",
        remedy=f"install the PfC that it has, or {reopen}",
    )


def supply_of(records: CredentialRecords, device: Device, *, at: datetime) -> Supply:
    """Issuing CA and current manifest of a device's model; raises EnrollmentRefusedError."""
    model = records.model(device.supplier, device.model)
    issuer = None if model is None else records.authority(model.ca_id)
    if model is None or issuer is None or issuer.state is not AuthorityState.ACTIVE:
        raise _not_ready(device, "no-issuing-ca", "there is no active issuing CA for this model")
    manifest = records.current_manifest(device.supplier, device.model)
    if manifest is None:
        raise _not_ready(device, "no-manifest", "there is no reference manifest for this model")
    early = manifest.not_before is not None and at < manifest.not_before
    late = manifest.not_after is not None and at > manifest.not_after
    if early or late:
        detail = f"the reference manifest {manifest.manifest_id!r} is not valid now"
        raise _not_ready(device, "manifest-not-valid", detail)
    return Supply(model=model, issuer=issuer, manifest=manifest)


def issue_credential(
    records: CredentialRecords,
    device: Device,
    keys: DeviceKeys,
    *,
    supply: Supply,
    signing: Signing,
    at: datetime,
) -> x509.Certificate:
    """Supersede the device's good PfCs and issue the next, in the caller's transaction."""
    for before in records.certificates_of_device(device.device_id):
        if before.status is Status.GOOD:
            records.change_status(before, status=Status.REVOKED, reason=Reason.SUPERSEDED, at=at)
            records.audit(
                kind="certificate-revoked",
                subject=device.device_id,
                record={
                    "issuer": before.ca_id,
                    "serial": f"{before.serial:040x}",
                    "reason": str(Reason.SUPERSEDED),
                    "by": "enrolment",
                    "storage_key_changed": int(device.storage_name != keys.storage_name),
                },
                at=at,
            )
    holder = Holder(
        subject=device.device_id,
        supplier=device.supplier,
        device_id=device.device_id,
        ak_name=keys.ak_name,
    )
    template = credential_template(device, keys, supply=supply)
    return signing.certify(records, template, by=supply.issuer, holder=holder, at=at)


def credential_template(device: Device, keys: DeviceKeys, *, supply: Supply) -> Template:
    """What the PfC says: AK, TRE level, model and device id, expected system state."""
    return renewed_template(
        device, keys.ak_key, issuer=supply.issuer, model=supply.model, manifest=supply.manifest
    )


def renewed_template(
    device: Device, ak_key: SubjectKey, *, issuer: Authority, model: Model, manifest: ManifestRecord
) -> Template:
    """The same over an AK that was proven when the device enrolled."""
    return Template(
        kind=Kind.PLATFORM_CREDENTIAL,
        public_key=ak_key,
        tre_level=issuer.tre_level,
        hardware_module=HardwareModuleName(
            hw_type=oids.hw_type_of_model(model.hw_type), serial=bytes.fromhex(device.device_id)
        ),
        expected_state=ExpectedSystemState(
            manifest_id=manifest.manifest_id, manifest_digest=manifest.digest, svn=manifest.svn
        ),
    )


def _not_ready(device: Device, reason: str, detail: str) -> EnrollmentRefusedError:
    return EnrollmentRefusedError(
        reason,
        subject=device.device_id,
        detail=f"model {device.model!r} of {device.supplier!r}: {detail}",
        remedy="have the supplier or an administrator provide it, then enrol again",
    )
