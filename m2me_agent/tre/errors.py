"""Every way in which the TRE says no. Each refusal carries subject, reason and remedy, and a stable code."""


class TreError(Exception):
    """The TRE did not do what was asked, and nothing was changed or signed.

    Attributes:
        code: stable word for programs.
        subject: what the refusal is about.
        reason: what was wrong: expected, got.
        remedy: what to do next.
    """

    code = "refused"

    def __init__(self, *, subject: str, reason: str, remedy: str) -> None:
        super().__init__(f"{subject}: {reason} ({remedy})")
        self.subject = subject
        self.reason = reason
        self.remedy = remedy


class AnchorError(TreError):
    """What was presented does not lead to an anchor of this device, or not for this use."""

    code = "untrusted"


class ChallengeError(TreError):
    """An authentic challenge that this TRE must not answer: device, purpose or time."""

    code = "challenge-refused"


class RateLimitError(TreError):
    """More signatures were asked for than this TRE gives in the time (R70)."""

    code = "rate-limited"


class CredentialError(TreError):
    """A platform credential that is not for this device's AK."""

    code = "credential-refused"


class NotEnrolledError(TreError):
    """The device has no platform credential, or no keys, yet."""

    code = "not-enrolled"


class MalformedError(TreError):
    """A message inside a request could not be decoded."""

    code = "malformed"


class StateError(TreError):
    """The TRE's own files are unreadable, torn, or open to others."""

    code = "state"


class BootLogError(TreError):
    """The boot log cannot be read or is larger than evidence can carry."""

    code = "boot-log"


class TpmDeviceError(TreError):
    """The TPM cannot be reached, refused a command, or holds something unexpected."""

    code = "tpm"


class KeysChangedError(TpmDeviceError):
    """The TPM no longer holds the keys that were enrolled."""

    code = "keys-changed"


class PlaceTakenError(TpmDeviceError):
    """Something that this TRE did not make stands at one of its places in the TPM; it is left alone."""


class StateRefusedError(TpmDeviceError):
    """The TPM does not open a secret: registers or counter are not those that were approved."""

    code = "state-refused"


class SealedObjectError(TpmDeviceError):
    """The TPM does not take an import blob or an approval: altered, or made for another TPM or key."""

    code = "package-refused"


class ApprovalError(TreError):
    """An approval that is not for this device, operator, order or counter, or that nobody signed."""

    code = "approval-refused"


class ConnectivityError(TreError):
    """Connectivity that is for another device or key, or none is installed."""

    code = "connectivity-refused"


class NetworkError(TreError):
    """A network that does not know the key of the identity that it challenges."""

    code = "network-refused"


class OrderError(TreError):
    """An order that this TRE does not know, or must not follow."""

    code = "order-refused"


class PackageError(TreError):
    """A package whose sender is not proven: no receipt is signed for it."""

    code = "package-refused"


class VaultError(TreError):
    """A compartment of the vault that cannot be opened, or is not the newest one."""

    code = "vault"


class RollbackError(VaultError):
    """A compartment that is older than its counter says."""

    code = "rollback"


class PolicyError(TreError):
    """A MID that would widen what the device allows, or that does not keep to its own policy."""

    code = "policy-refused"


class KeyGoneError(VaultError):
    """A compartment whose key the TPM does not have any more: nothing in it opens again."""


class InstructionError(TreError):
    """An instruction that is not the owner's, answers no open receipt or report, or was followed before."""

    code = "instruction-refused"


class UpdateError(TreError):
    """Approvals for an update that are for another device or generation, or answer no open nonce."""

    code = "update-refused"


class MidError(TreError):
    """A MID that is not there, not active, or must not do what was asked."""

    code = "mid-refused"


def keys_changed() -> KeysChangedError:
    """TPM2_Clear, or another TPM."""
    return KeysChangedError(
        subject="keys of this device",
        reason="the TPM no longer holds the keys that were pinned at enrolment: it was cleared or replaced",
        remedy="enrol the device again; its supplier must release it first",
    )
