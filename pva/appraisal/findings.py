"""What the PVA can find about the state of an authentic platform: stable codes, claims and remedies.

Rule: every finding moves exactly one claim of a scope's trustworthiness vector (AR4SI) to a worse value, and
the tier of a scope follows from its vector; so no verdict exists that its findings do not explain.
Value semantics: draft-ietf-rats-ar4si, section 2.3 (affirming 2..31, warning 32..95, contraindicated 96..127).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum, unique

from standards.rats.ear import Finding

TEXT_MAX = 1000
"""Longest text of a finding, in characters."""


@unique
class Scope(StrEnum):
    """The two submodules of a result: the trusted environment, and the platform that it stands on."""

    TRE = "tre"
    PLATFORM = "platform"


@unique
class Claim(StrEnum):
    """Claims of the trustworthiness vector that this appraisal makes."""

    INSTANCE_IDENTITY = "instance-identity"
    CONFIGURATION = "configuration"
    EXECUTABLES = "executables"
    FILE_SYSTEM = "file-system"
    HARDWARE = "hardware"
    STORAGE_OPAQUE = "storage-opaque"


@unique
class FindingCode(StrEnum):
    """Stable codes of findings."""

    PCR_MISMATCH = "pcr-mismatch"
    EVENT_MISMATCH = "event-mismatch"
    CONFIGURATION_PCR_MISMATCH = "configuration-pcr-mismatch"
    BOOT_LOADER_MISMATCH = "boot-loader-mismatch"
    KERNEL_MISMATCH = "kernel-mismatch"
    INITRD_MISMATCH = "initrd-mismatch"
    COMMAND_LINE_MISMATCH = "command-line-mismatch"
    NO_REFERENCE_VALUE = "no-reference-value"
    NO_REFERENCE_MANIFEST = "no-reference-manifest"
    SUPERSEDED_STATE = "superseded-state"
    MANIFEST_NOT_YET_VALID = "manifest-not-yet-valid"
    MANIFEST_EXPIRED = "manifest-expired"
    MANIFEST_RETIRED = "manifest-retired"
    MODEL_NOT_PERMITTED = "model-not-permitted"
    MODEL_MISMATCH = "model-mismatch"
    SECURE_BOOT_DISABLED = "secure-boot-disabled"
    SECURE_BOOT_VARIABLE_MISSING = "secure-boot-variable-missing"
    SECURE_BOOT_VARIABLE_REPEATED = "secure-boot-variable-repeated"
    SECURE_BOOT_VARIABLE_LATE = "secure-boot-variable-after-separator"
    SECURE_BOOT_SEPARATOR_WRONG = "secure-boot-separator-wrong"
    SECURE_BOOT_DATABASE_MALFORMED = "secure-boot-database-malformed"
    SECURE_BOOT_AUTHORITY_UNKNOWN = "secure-boot-authority-not-in-db"
    SECURE_BOOT_NOT_PROVEN = "secure-boot-not-proven"
    TRE_IMAGE_MISMATCH = "tre-image-mismatch"
    TRE_IMAGE_NOT_MEASURED = "tre-image-not-measured"
    TRE_IMAGE_UNPROVEN = "tre-image-unproven"
    TRE_IMAGE_NO_REFERENCE = "tre-image-no-reference"
    IMA_LOG_MISSING = "ima-log-missing"
    IMA_BOOT_AGGREGATE_MISMATCH = "ima-boot-aggregate-mismatch"
    IMA_BOOT_AGGREGATE_UNPROVEN = "ima-boot-aggregate-unproven"
    IMA_VIOLATION = "ima-violation"
    IMA_FILE_NOT_ALLOWED = "ima-file-not-allowed"
    IMA_SIGNATURE_INVALID = "ima-signature-invalid"
    PLATFORM_NOT_AFFIRMED = "platform-not-affirmed"
    CREDENTIAL_ON_HOLD = "credential-on-hold"
    POLICY_DENIED = "policy-denied"
    POLICY_NOT_EVALUATED = "policy-not-evaluated"
    CLOCK_REGRESSION = "clock-regression"
    CLOCK_NOT_SAFE = "clock-not-safe"
    TPM_FIRMWARE_CHANGED = "tpm-firmware-changed"
    STORAGE_KEY_CHANGED = "storage-key-changed"
    GENERATION_COUNTER_REGRESSION = "generation-counter-regression"


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingRule:
    """What belongs to a code whatever the device: the claim that it moves, its value, reason and remedy."""

    claim: Claim
    value: int
    reason: str
    remedy: str


_RESTORE = (
    "restore the release that the manifest describes, or have the supplier issue a manifest for this one"
)
_CLEAR = (
    "look for a clone of the device; if there is none, clear its TPM (TPM2_Clear) and enrol it again with its "
    "supplier's release: a new credential over the same keys does not help"
)
_NEW_MANIFEST = "ask the supplier for a manifest that covers this, then a Platform Credential that names it"

_FIRMWARE = (
    "update the platform's firmware; if it is the approved one, ask the supplier for a manifest with a reference value "
    "for PCR 7"
)

FINDINGS: Mapping[FindingCode, FindingRule] = {
    FindingCode.PCR_MISMATCH: FindingRule(
        claim=Claim.EXECUTABLES,
        value=96,
        reason="code that ran in the boot is not the approved one",
        remedy=_RESTORE,
    ),
    FindingCode.EVENT_MISMATCH: FindingRule(
        claim=Claim.EXECUTABLES,
        value=96,
        reason="a measured event differs from its reference value",
        remedy=_RESTORE,
    ),
    FindingCode.CONFIGURATION_PCR_MISMATCH: FindingRule(
        claim=Claim.CONFIGURATION,
        value=96,
        reason="configuration measured in the boot is not the approved one",
        remedy=_RESTORE,
    ),
    FindingCode.BOOT_LOADER_MISMATCH: FindingRule(
        claim=Claim.EXECUTABLES,
        value=96,
        reason="the boot loader that ran is not the approved one",
        remedy=_RESTORE,
    ),
    FindingCode.KERNEL_MISMATCH: FindingRule(
        claim=Claim.EXECUTABLES,
        value=96,
        reason="the kernel that ran is not the approved one",
        remedy=_RESTORE,
    ),
    FindingCode.INITRD_MISMATCH: FindingRule(
        claim=Claim.EXECUTABLES,
        value=96,
        reason="the initrd that ran is not the approved one",
        remedy=_RESTORE,
    ),
    FindingCode.COMMAND_LINE_MISMATCH: FindingRule(
        claim=Claim.CONFIGURATION,
        value=96,
        reason="the kernel's command line is not the approved one",
        remedy=_RESTORE,
    ),
    FindingCode.NO_REFERENCE_VALUE: FindingRule(
        claim=Claim.EXECUTABLES,
        value=33,
        reason="the manifest has no reference value for a quoted PCR",
        remedy=_NEW_MANIFEST,
    ),
    FindingCode.NO_REFERENCE_MANIFEST: FindingRule(
        claim=Claim.EXECUTABLES,
        value=33,
        reason="the PVA holds no approved manifest with the digest that the Platform Credential names",
        remedy="have the supplier send its signed manifest to this PVA, and two administrators approve it",
    ),
    FindingCode.SUPERSEDED_STATE: FindingRule(
        claim=Claim.EXECUTABLES,
        value=96,
        reason="the supplier has replaced the release that runs, and the time to update is over",
        remedy="update the device to the supplier's current release",
    ),
    # nothing took its place: whoever forgot to renew a manifest must not make a fleet look compromised
    FindingCode.MANIFEST_EXPIRED: FindingRule(
        claim=Claim.EXECUTABLES,
        value=33,
        reason="the validity of the manifest that describes this state is over, and no successor counts",
        remedy="ask the supplier for a manifest whose window is open",
    ),
    # one administrator can retire a manifest: that denies and does not accuse
    FindingCode.MANIFEST_RETIRED: FindingRule(
        claim=Claim.EXECUTABLES,
        value=33,
        reason="an administrator of the PVA has withdrawn the manifest that describes this state",
        remedy="ask the PVA's administrator why, and the supplier for a release that this PVA approves",
    ),
    FindingCode.MANIFEST_NOT_YET_VALID: FindingRule(
        claim=Claim.EXECUTABLES,
        value=33,
        reason="the manifest that describes this state is not valid yet",
        remedy="wait until the manifest's validity begins, or run the current release",
    ),
    FindingCode.MODEL_NOT_PERMITTED: FindingRule(
        claim=Claim.INSTANCE_IDENTITY,
        value=96,
        reason="the supplier is not recognised for this model any more",
        remedy="have an administrator of the PVA recognise the model for this supplier",
    ),
    FindingCode.MODEL_MISMATCH: FindingRule(
        claim=Claim.INSTANCE_IDENTITY,
        value=96,
        reason="the Platform Credential is of a model that the manifest does not describe, or that the supplier is "
        "not recognised for",
        remedy="have an administrator compare the model's hwType with the supplier's recognition, or ask the "
        "supplier for a Platform Credential that names a manifest of this model",
    ),
    # about Secure Boot: only where the manifest does not confirm PCR 7 (docs/adr/0026-secure-boot-facts.md)
    FindingCode.SECURE_BOOT_DISABLED: FindingRule(
        claim=Claim.CONFIGURATION,
        value=32,
        reason="Secure Boot was off, or its validation switched off, in this boot",
        remedy="switch Secure Boot on in the firmware's setup, and shim's validation with mokutil, and boot again",
    ),
    FindingCode.SECURE_BOOT_VARIABLE_MISSING: FindingRule(
        claim=Claim.CONFIGURATION,
        value=96,
        reason="the firmware did not measure a variable of the Secure Boot policy",
        remedy=_FIRMWARE,
    ),
    FindingCode.SECURE_BOOT_VARIABLE_REPEATED: FindingRule(
        claim=Claim.CONFIGURATION,
        value=96,
        reason="a variable of the Secure Boot policy was measured more than once: it changed during the boot",
        remedy=_FIRMWARE,
    ),
    FindingCode.SECURE_BOOT_VARIABLE_LATE: FindingRule(
        claim=Claim.CONFIGURATION,
        value=96,
        reason="a variable of the Secure Boot policy was measured after the separator: it changed once images had run",
        remedy="boot again without changing the Secure Boot policy in the same boot",
    ),
    FindingCode.SECURE_BOOT_SEPARATOR_WRONG: FindingRule(
        claim=Claim.CONFIGURATION,
        value=96,
        reason="PCR 7 does not have exactly one separator of four zero bytes",
        remedy=_FIRMWARE,
    ),
    FindingCode.SECURE_BOOT_DATABASE_MALFORMED: FindingRule(
        claim=Claim.CONFIGURATION,
        value=96,
        reason="a variable of the Secure Boot policy is no list of signatures",
        remedy="restore the platform's Secure Boot keys in the firmware's setup and boot again",
    ),
    FindingCode.SECURE_BOOT_AUTHORITY_UNKNOWN: FindingRule(
        claim=Claim.CONFIGURATION,
        value=96,
        reason="an image was started on the word of a certificate or digest that the measured db does not hold",
        remedy=_FIRMWARE,
    ),
    # what the log's carrier may have spoiled is missing, and proves nothing against the device
    FindingCode.SECURE_BOOT_NOT_PROVEN: FindingRule(
        claim=Claim.CONFIGURATION,
        value=36,
        reason="the log's text does not show what PCR 7 measured, or shows it where no digest covers it",
        remedy="send the log as the firmware recorded it",
    ),
    FindingCode.TRE_IMAGE_MISMATCH: FindingRule(
        claim=Claim.EXECUTABLES, value=96, reason="the TRE that runs is not the approved one", remedy=_RESTORE
    ),
    # absence of a measurement, not a bad one: whoever carries the log can spoil text that no digest covers,
    # and must not be able to make a device look compromised; a TRE that really differs moves PCR 8
    FindingCode.TRE_IMAGE_NOT_MEASURED: FindingRule(
        claim=Claim.EXECUTABLES,
        value=33,
        reason="what was measured does not name exactly one TRE image",
        remedy="boot with one pva.tre=<SHA-256> parameter in the measured kernel command line, and send the "
        "log as the firmware recorded it",
    ),
    FindingCode.TRE_IMAGE_UNPROVEN: FindingRule(
        claim=Claim.EXECUTABLES,
        value=33,
        reason="the log names another TRE image, but the register of the command line does not contradict the "
        "manifest: what the log calls the command line is not proven to be it",
        remedy="send the log as the firmware recorded it; if it is, have the supplier correct PCR 8 or the TRE "
        "image of its manifest",
    ),
    FindingCode.TRE_IMAGE_NO_REFERENCE: FindingRule(
        claim=Claim.EXECUTABLES,
        value=33,
        reason="the manifest has no reference value for the TRE image",
        remedy=_NEW_MANIFEST,
    ),
    # what ran since the boot (docs/adr/0027-ima.md)
    FindingCode.IMA_LOG_MISSING: FindingRule(
        claim=Claim.EXECUTABLES,
        value=33,
        reason="the device was asked for its IMA list and sent none: what ran since the boot is not known",
        remedy="name the IMA list in the settings of the TRE (ima_log)",
    ),
    FindingCode.IMA_BOOT_AGGREGATE_MISMATCH: FindingRule(
        claim=Claim.EXECUTABLES,
        value=96,
        reason="the IMA list begins with the measurements of another boot than the one that was quoted",
        remedy="look for software that extends PCR 10 beside the kernel; restore the release that the manifest describes",
    ),
    FindingCode.IMA_BOOT_AGGREGATE_UNPROVEN: FindingRule(
        claim=Claim.EXECUTABLES,
        value=33,
        reason="the IMA list does not begin with a boot_aggregate that can be compared with the quoted registers",
        remedy="boot with IMA measuring and ima_hash=sha256",
    ),
    FindingCode.IMA_VIOLATION: FindingRule(
        claim=Claim.EXECUTABLES,
        value=33,
        reason="files were measured while something could write them: what ran is not known",
        remedy="find what writes files that the IMA policy measures, exempt logs and data in that policy, and boot again",
    ),
    FindingCode.IMA_FILE_NOT_ALLOWED: FindingRule(
        claim=Claim.EXECUTABLES,
        value=33,
        reason="a file was measured that the supplier's runtime policy does not allow at this path",
        remedy="remove or restore the file and boot again, or ask the supplier for a runtime policy that allows it",
    ),
    FindingCode.IMA_SIGNATURE_INVALID: FindingRule(
        claim=Claim.EXECUTABLES,
        value=33,
        reason="a file that the runtime policy does not list has a signature that no key of its keyring made",
        remedy="restore the file with its security.ima attribute as the supplier signed it, and boot again",
    ),
    FindingCode.PLATFORM_NOT_AFFIRMED: FindingRule(
        claim=Claim.CONFIGURATION,
        value=32,
        reason="what measured the TRE is itself not affirmed",
        remedy="resolve the findings of the platform scope",
    ),
    # which instance it is stands proven; AR4SI has no warning for that claim
    FindingCode.CREDENTIAL_ON_HOLD: FindingRule(
        claim=Claim.CONFIGURATION,
        value=32,
        reason="the Platform Credential is on hold: this result is about its recovery and permits nothing",
        remedy="where this is the only finding, have the supplier release the credential: pva credential release",
    ),
    # policies of operators and suppliers (docs/adr/0030-policies.md): they deny, and accuse nobody
    FindingCode.POLICY_DENIED: FindingRule(
        claim=Claim.CONFIGURATION,
        value=32,
        reason="a policy in force denies this platform",
        remedy="do what the policy's reason asks for, or ask its owner about it: pva policy show DIGEST has its text",
    ),
    FindingCode.POLICY_NOT_EVALUATED: FindingRule(
        claim=Claim.CONFIGURATION,
        value=32,
        reason="a policy in force could not be evaluated, and so denies",
        remedy="have its owner correct it (pva policy check FILE), activate the new one and retire this one",
    ),
    FindingCode.CLOCK_REGRESSION: FindingRule(
        claim=Claim.HARDWARE,
        value=96,
        reason="the TPM's counts or clock went back: its state was cleared, restored or copied",
        remedy=_CLEAR,
    ),
    FindingCode.CLOCK_NOT_SAFE: FindingRule(
        claim=Claim.HARDWARE,
        value=32,
        reason="the TPM has not confirmed its clock since an unorderly shutdown, past the grace",
        remedy="shut the device down in order (TPM2_Shutdown), start it and validate again",
    ),
    FindingCode.TPM_FIRMWARE_CHANGED: FindingRule(
        claim=Claim.HARDWARE,
        value=32,
        reason="the TPM's firmware version is not the one last seen",
        remedy="confirm the TPM firmware update with the supplier; the next validation takes it as known",
    ),
    FindingCode.STORAGE_KEY_CHANGED: FindingRule(
        claim=Claim.STORAGE_OPAQUE,
        value=96,
        reason="the storage key is not the enrolled one: the TPM was cleared or the key made anew",
        remedy="enrol the device again with its supplier's release; MIDs under the old key are lost",
    ),
    FindingCode.GENERATION_COUNTER_REGRESSION: FindingRule(
        claim=Claim.STORAGE_OPAQUE,
        value=96,
        reason="the generation counter went back",
        remedy=_CLEAR,
    ),
}


def finding_rule(code: str) -> FindingRule | None:
    """What belongs to a code, None of one that this version does not know."""
    return FINDINGS[FindingCode(code)] if code in set(FindingCode) else None


def find(
    code: FindingCode,
    *,
    scope: Scope,
    subject: str,
    expected: str | None = None,
    measured: str | None = None,
    event: str | None = None,
) -> Finding:
    """A finding by its code; the texts are hex or words for people, made harmless and short here.

    They quote logs and manifests, which others wrote.
    """
    rule = FINDINGS[code]
    return Finding(
        code=code.value,
        scope=scope.value,
        subject=_printable(subject) or "",
        reason=rule.reason,
        remedy=rule.remedy,
        expected=_printable(expected),
        measured=_printable(measured),
        event=_printable(event),
    )


def vector(affirmed: Mapping[Claim, int], codes: Iterable[str]) -> dict[str, int]:
    """Trustworthiness vector of a scope: what was affirmed, made worse by each finding in it, by their codes."""
    values: dict[str, int] = {str(claim): value for claim, value in affirmed.items()}
    for code in codes:
        rule = FINDINGS[FindingCode(code)]
        claim = str(rule.claim)
        values[claim] = max(values.get(claim, 0), rule.value)
    return values


def _printable(text: str | None) -> str | None:
    if not text:
        return None
    if text.isprintable():
        return text[:TEXT_MAX]
    safe = "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text[:TEXT_MAX]
    )
    return safe[:TEXT_MAX]
