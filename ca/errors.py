"""Refusals of the certification authority: each names its subject, the reason and the remedy.

`reason` is stable and meant for programs; `detail` and `remedy` are sentences for people and never hold
secrets. The class says whose fault it is and therefore which HTTP status the web floor answers with.
"""


class CaError(Exception):
    """Root of every error that this room raises."""


class RefusedError(CaError):
    """A request that was understood and is not granted; nothing was changed.

    Attributes:
        reason: stable word for programs, for example `ek-not-listed`.
        subject: what was refused (a device id, a batch, a certificate's serial number ...).
        detail: what was wrong, with what was expected and got, for people.
        remedy: what the caller can do next.
    """

    def __init__(self, reason: str, *, subject: str, detail: str, remedy: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.subject = subject
        self.detail = detail
        self.remedy = remedy


class InvalidInputError(RefusedError):
    """The input contradicts itself, its signature or its profile."""


class MalformedMessageError(RefusedError):
    """Bytes that are not the message that they should be."""


class NotPermittedError(RefusedError):
    """The caller is known and may not do this, mostly because the thing belongs to another tenant."""


class NotFoundError(RefusedError):
    """Nothing of that name exists within the caller's sight."""


class ConflictError(RefusedError):
    """What is asked for contradicts what is recorded already."""


class ConcurrentChangeError(RefusedError):
    """Somebody else changed the same records at the same moment; nothing was changed by this request."""


class EnrollmentRefusedError(RefusedError):
    """A device is not enrolled."""


ALARMS = frozenset({"key-of-another-device", "ek-under-two-identities", "device-of-another-supplier"})
"""Reasons that smell of a cloned identity (A26): they are recorded as alarms."""


class ProfileError(CaError):
    """A certificate that was about to be signed does not follow its profile: a defect, never a caller's fault."""
