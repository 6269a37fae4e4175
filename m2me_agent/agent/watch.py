"""Continuous validation, as the agent sees it (R24): it looks whether anybody asks, and carries one answer each time.

Rule: who asks and how often is the PVA's to say; the agent only looks often enough. Nothing that goes wrong ends it: the
next look is a new exchange.
"""

from collections.abc import Callable, Mapping
from typing import Final

from m2me_agent.agent.attestation import NOTHING_ASKED, PlatformValidationAuthority, attest
from m2me_agent.agent.errors import AgentError
from m2me_agent.agent.ports import Sleep, Tre

PAUSE_MAX_S: Final = 3_600.0
_DOUBLINGS_MAX: Final = 16

Tell = Callable[[Mapping[str, str]], None]
"""Hears what came of each exchange."""


def watch(tre: Tre, pva: PlatformValidationAuthority, *, pause_s: float, sleep: Sleep, tell: Tell) -> None:
    """Answer whoever asks, again and again; ends with what `sleep` raises, and with nothing else.

    A refused exchange doubles the pause, up to an hour: a TRE signs so many times and no more.
    """
    failures = 0
    while True:
        try:
            verdict = attest(tre, pva, sleep=sleep)
            failures = 0
            tell({"outcome": verdict.status, "result_id": verdict.result_id})
        except AgentError as error:
            failures = 0 if error.code == NOTHING_ASKED else failures + 1
            if failures:
                tell({"outcome": "refused", "code": error.code, "reason": error.refusal.reason})
        sleep(max(pause_s, min(PAUSE_MAX_S, pause_s * 2 ** min(failures, _DOUBLINGS_MAX))))
