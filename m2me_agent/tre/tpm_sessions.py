"""The sessions of a TRE with its TPM: started when one is first needed, and kept as long as the process lives (D10).

The rule: a session is salted to the pinned storage key, and what is authorised in it names pinned public areas, so that a TPM with
other keys answers nothing that is taken. A session whose state is not known for certain (no answer, a wrong one, a TPM that was
reset) is dropped. The policy session that is kept has shown nothing: a policy is spent by its use (Part 1, 19.7), and one that
was not used is dropped.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from m2me_agent.tre.errors import TpmDeviceError
from m2me_agent.tre.tpm_failures import flushed, reported
from standards.tpm2.commands.objects import TpmObject
from standards.tpm2.connection import TpmConnection
from standards.tpm2.constants import SessionType
from standards.tpm2.errors import Tpm2Error
from standards.tpm2.sessions import Session
from standards.tpm2.structures import ClockInfo, Public


class KeptSessions:
    """One HMAC session and one policy session, at most; both take a slot of the three that a TPM may have."""

    def __init__(self, tpm: TpmConnection) -> None:
        self._tpm = tpm
        self._salted: Session | None = None
        self._salted_to: Public | None = None
        self._policy: Session | None = None
        self._boot: tuple[int, int] | None = None

    def salted(self, key: TpmObject) -> Session:
        """The session that is salted to this key. Raises TpmDeviceError."""
        if self._salted is None or self._salted_to != key.public:
            self.drop()
            with reported("session with the TPM"):
                self._salted = self._tpm.start_auth_session(salt_key=key)
            self._salted_to = key.public
        return self._salted

    @contextmanager
    def another(self, key: TpmObject) -> Iterator[Session]:
        """A second one that is salted, for a command that authorises two objects; flushed at the end of the block."""
        with reported("session with the TPM"):
            session = self._tpm.start_auth_session(salt_key=key)
        with flushed(self._tpm, session.handle):
            yield session

    @contextmanager
    def policy(self) -> Iterator[Session]:
        """A policy session in which nothing was shown yet; to be used once in the block, which ends without an error then."""
        session, self._policy = self._policy, None
        if session is None:
            session = self._tpm.start_auth_session(SessionType.POLICY)
        try:
            yield session
        except BaseException:
            self._flush(session)
            raise
        self._policy = session

    def see(self, clock: ClockInfo) -> None:
        """Drop what a reset or a restart of the TPM has taken away; sessions are lost by it (Part 1, 12)."""
        boot = (clock.reset_count, clock.restart_count)
        if self._boot is not None and self._boot != boot:
            self.drop()
        self._boot = boot

    def drop(self) -> None:
        """Flush and forget all; whatever became of them."""
        sessions = (self._salted, self._policy)
        self._salted = self._salted_to = self._policy = None
        for session in sessions:
            if session is not None:
                self._flush(session)

    def _flush(self, session: Session) -> None:
        with suppress(Tpm2Error, TpmDeviceError):
            self._tpm.flush_context(session.handle)
