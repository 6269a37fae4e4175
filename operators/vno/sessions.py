"""Attachments under way: bounded in number and time, each good for one answer.

Rule: they live in memory only, because they hold what only the network may know (XRES); a device whose session is gone
attaches anew. Taking a session removes it, so that a wrong RES ends it.
"""

import threading
from dataclasses import dataclass, field
from datetime import datetime

from clients.icf import BearerTerms
from operators.vno.refusals import RefusalCode, refuse
from operators.vno.routing import Network

SESSIONS_OF_A_PCID_MAX = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One challenge that waits for its answer; `resynchronised` where it is the second one."""

    id: str
    pcid: str
    home: Network
    rand: bytes
    autn: bytes
    xres: bytes = field(repr=False)
    terms: BearerTerms
    resynchronised: bool
    expires_at: datetime


class Sessions:
    """The table of sessions; may be used by threads."""

    def __init__(self, *, sessions_max: int) -> None:
        """Hold at most `sessions_max`."""
        self._lock = threading.Lock()
        self._sessions: dict[str, Session] = {}
        self._sessions_max = sessions_max

    def add(self, session: Session, *, at: datetime) -> None:
        """Hold a session; the oldest of its PCID makes room. Raises RefusedError when there is none."""
        with self._lock:
            self._sessions = {id_: each for id_, each in self._sessions.items() if each.expires_at > at}
            own = [each.id for each in self._sessions.values() if each.pcid == session.pcid]
            for id_ in own[: max(0, len(own) + 1 - SESSIONS_OF_A_PCID_MAX)]:
                del self._sessions[id_]
            if len(self._sessions) >= self._sessions_max:
                raise refuse(
                    RefusalCode.TOO_MANY_SESSIONS,
                    subject="session",
                    reason="too many attachments are under way",
                )
            self._sessions[session.id] = session

    def take(self, session_id: str, *, at: datetime) -> Session:
        """Remove a session and give it. Raises RefusedError where there is none, or no longer."""
        with self._lock:
            session = self._sessions.pop(session_id, None)
        if session is None or session.expires_at <= at:
            raise refuse(
                RefusalCode.SESSION_UNKNOWN, subject="session", reason="no such session waits for an answer"
            )
        return session
