"""Traffic through one bearer that does not stop while something else happens: what a user of the device would notice (R66).

Rule: each exchange is a request that a service behind the bearer answered; one that was not answered is counted as lost.
"""

import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from edge.http_client import ClientTls, Gateway, HttpClient, HttpError, UnreachableError
from messages.bearer import Bearer

PAUSE_S = 0.25
TIMEOUT_S = 5.0


@dataclass(slots=True, kw_only=True)
class Counted:
    """What has passed: exchanges that were answered, what was said of those that were not, the longest time between two answers."""

    answered: int = 0
    lost: list[str] = field(default_factory=list)
    gap_max_ms: float = 0.0


class BearerTraffic:
    """One exchange after the other in a thread of its own, from `start` to `stop`."""

    def __init__(self, bearer: Bearer, url: str, path: str, *, anchors: Path) -> None:
        """Ask for `path` of the service at `url`, through the gateway of the bearer."""
        tls = ClientTls(anchors=anchors)
        gateway = Gateway(address=bearer.gateway, bearer_id=bearer.id, secret=bearer.secret, tls=tls)
        self._http = HttpClient(url, tls=tls, gateway=gateway, timeout_s=TIMEOUT_S)
        self._path = path
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, name="bearer-traffic")
        self.counted = Counted()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> Counted:
        """End, and say what has passed."""
        self._ends.set()
        self._thread.join()
        self._http.close()
        return self.counted

    def _run(self) -> None:
        last = time.perf_counter()
        while not self._ends.wait(PAUSE_S):
            try:
                self._http.get(self._path)
            except (HttpError, UnreachableError) as error:
                self.counted.lost.append(str(error))
                continue
            now = time.perf_counter()
            self.counted.gap_max_ms = max(self.counted.gap_max_ms, (now - last) * 1000)
            self.counted.answered += 1
            last = now
