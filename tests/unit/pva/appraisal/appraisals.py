"""Appraisals of a device in one call, for the tests of the rules."""

from collections.abc import Mapping
from dataclasses import replace

from pva.appraisal.appraisal import Appraisal, ReferenceManifest, appraise
from pva.appraisal.boot_events import replay_boot_log
from pva.appraisal.continuity import Sighting
from pva.appraisal.manifest_chain import Validity
from pva.appraisal.policy import AppraisalPolicy
from pva.appraisal.quote import PlatformQuote
from standards.boot_log.encode import Measurement
from standards.rats.corim import Manifest
from tests.fakes.attesting_device import AttestingDevice
from tests.fakes.credentials import MODEL, hw_type
from tests.fakes.pki import NOW
from tests.fakes.pva_world import POLICY, SELECTION

GOOD = AttestingDevice()
MODELS = {MODEL: hw_type()}


def quote_of(device: AttestingDevice, selections: Mapping[int, tuple[int, ...]]) -> PlatformQuote:
    """What a verified quote of a device says."""
    return PlatformQuote(
        device_id=device.device_id,
        ak_name=device.ak.name,
        qualified_signer=b"signer",
        pcr_values=device.pcr_values(selections),
        pcr_digest=bytes(32),
        clock_info=device.clock_info,
        firmware_version=device.firmware_version,
        storage_key_name=device.storage.name,
        storage_public=device.storage.encode(),
        generation_counter_name=device.counter.name,
        generation_counter=device.counter_value,
    )


def appraised(
    device: AttestingDevice,
    manifest: Manifest | None,
    *,
    selections: Mapping[int, tuple[int, ...]] = SELECTION,
    models: Mapping[str, str] = MODELS,
    policy: AppraisalPolicy = POLICY,
) -> Appraisal:
    """Quote, replay and appraise a device against a manifest."""
    quote = quote_of(device, selections)
    seen = Sighting(
        device_id=quote.device_id,
        supplier="Acme",
        hw_type=hw_type(),
        ak_name=quote.ak_name,
        qualified_signer=quote.qualified_signer,
        storage_key_name=quote.storage_key_name,
        generation_counter_name=quote.generation_counter_name,
        generation_counter=quote.generation_counter,
        clock_info=quote.clock_info,
        firmware_version=quote.firmware_version,
        credential_sha256=bytes(32),
        credential_not_before=NOW,
        at=NOW,
    )
    reference = (
        None
        if manifest is None
        else ReferenceManifest(
            manifest=manifest, digest=bytes(32), permitted_models=models, validity=Validity.of(manifest)
        )
    )
    boot = replay_boot_log(device.boot_log, quoted=quote.pcr_values)
    return appraise(quote, boot=boot, reference=reference, history=None, seen=seen, policy=policy)


def found(appraisal: Appraisal) -> list[tuple[str, str]]:
    """Scope and code of every finding."""
    return [(finding.scope, finding.code) for finding in appraisal.findings]


def booted(*boot: Measurement) -> AttestingDevice:
    """The good device after another boot."""
    return replace(GOOD, boot=boot)
