"""The port that enrolment needs: sessions, devices, CAs, manifests and the books of issued certificates."""

from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol

from ca.lifecycle import Reason, Status
from ca.records import Authority, Device, Issued, ManifestRecord, Model, Session
from ca.signing import IssuanceRecords


class CredentialRecords(IssuanceRecords, Protocol):
    """What issuing a PfC reads and writes."""

    def authority(self, ca_id: str) -> Authority | None:
        """The CA with this id."""

    def model(self, supplier: str, model: str) -> Model | None:
        """The model of this name."""

    def current_manifest(self, supplier: str, model: str) -> ManifestRecord | None:
        """The manifest that new PfCs of this model name."""

    def device_with_key(self, *, ak_name: bytes, storage_name: bytes, other_than: str) -> Device | None:
        """Another device that was enrolled with one of these keys."""

    def key_compromised(self, ak_name: bytes) -> bool:
        """Whether some PfC of this AK was ever revoked for keyCompromise."""

    def certificates_of_device(self, device_id: str) -> list[Issued]:
        """All PfCs of a device, oldest first."""

    def change_status(self, issued: Issued, *, status: Status, reason: Reason | None, at: datetime) -> int:
        """Append the next status row."""


class EnrollmentRecords(CredentialRecords, Protocol):
    """What the two messages read and write."""

    def device(self, device_id: str) -> Device | None:
        """The listed device with this id."""

    def consume_ek(self, device_id: str, *, ak_name: bytes, storage_name: bytes) -> bool:
        """Use up the one enrolment of an EK, in one statement; False when there is none to use."""

    def add_session(self, session: Session) -> None:
        """Record an open session."""

    def session(self, session_id: bytes) -> Session | None:
        """The session with this id, whatever its state."""

    def drop_surplus_sessions(self, device_id: str, *, keep: int, at: datetime) -> None:
        """Leave at most `keep` sessions that a device opened itself and that led to nothing: the open ones first."""

    def drop_station_session(self, device_id: str) -> None:
        """Forget the session that a station opened for a device, unless it led to a PfC."""

    def redeem_session(self, session_id: bytes, *, activation_sha256: bytes, at: datetime) -> bool:
        """Use an open session up, in one statement; False when it is used, burned, expired or unknown."""

    def burn_session(self, session_id: bytes) -> None:
        """Close a session for good."""

    def complete_session(self, session_id: bytes, *, ca_id: str, serial: int) -> None:
        """Remember which PfC came of a session."""

    def certificate(self, ca_id: str, serial: int) -> Issued | None:
        """The certificate with its present status."""

    def note_refusal(self, device_id: str, *, reason: str, at: datetime) -> bool:
        """Whether this refusal of a device is the first of its kind within the hour."""

    def forget_sessions(self, *, opened_before: datetime) -> int:
        """Delete sessions that nobody can come back to; how many."""


class EnrollmentStore(Protocol):
    """Port to transactions over them."""

    def reading(self) -> AbstractContextManager[EnrollmentRecords]:
        """A transaction that cannot change anything."""

    def writing(self) -> AbstractContextManager[EnrollmentRecords]:
        """A transaction that is committed when the block ends and rolled back when it raises."""
