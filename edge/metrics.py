"""What a process counts, in the text format of Prometheus.

The one rule: a label takes its values from the program (routes, codes, tiers, states of a table), never from a
request: so a series appears for each kind of thing that happens and not for each device, and the number of series is
bounded by the source text. What asks a store or a queue is read when somebody scrapes, not counted on the way.
"""

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

import sqlalchemy as sa
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric

from edge.database import ALONE_SIZE, POOL_OVERFLOW, POOL_SIZE

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
UNMATCHED = "unmatched"
"""Route label of a request that no route serves, or that was refused before it was looked for."""
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Collected(Protocol):
    """A source that is read at each scrape."""

    def collect(self) -> Iterable[Metric]:
        """Its metrics as they are now."""


@dataclass(slots=True, kw_only=True)
class ListenerLoad:
    """How many requests of a listener are at work or wait for a worker, and how many may."""

    name: str
    requests_max: int
    at_work: int = 0

    @property
    def share(self) -> float:
        """Of what may wait, what does: 1.0 is full."""
        return self.at_work / self.requests_max


@dataclass(slots=True)
class _Pool:
    """Connections to the store that are at work, over all pools of the process."""

    at_work: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def move(self, by: int) -> None:
        with self.lock:
            self.at_work += by


class ProcessMetrics:
    """The metrics of one process, in a registry of its own; rooms add what only they know with `add`."""

    def __init__(self) -> None:
        """Count from zero."""
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._requests = Counter(
            "pva_requests",
            "Requests answered, by the template of the route that matched.",
            ["listener", "route", "status"],
            registry=self.registry,
        )
        self._durations = Histogram(
            "pva_request_duration_seconds",
            "From a request's head to the end of its answer.",
            ["listener"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self._refusals = Counter(
            "pva_refusals",
            "Refusals, by their stable code.",
            ["listener", "code"],
            registry=self.registry,
        )
        self._failures = Counter(
            "pva_periodic_failures",
            "Rounds of work beside the listeners that ended with an exception.",
            ["work"],
            registry=self.registry,
        )
        self.loads: list[ListenerLoad] = []
        self._pool: _Pool | None = None
        self.registry.register(_Gauges(self))

    def add(self, source: Collected) -> None:
        """Read `source` too at each scrape."""
        self.registry.register(source)

    def load_of(self, listener: str, *, requests_max: int) -> ListenerLoad:
        """The place where a listener keeps how many requests it has at work."""
        load = ListenerLoad(name=listener, requests_max=requests_max)
        self.loads.append(load)
        return load

    def answered(self, *, listener: str, route: str | None, status: int, seconds: float) -> None:
        """A request was answered; `status` is 0 where its client had gone."""
        self._requests.labels(listener, route or UNMATCHED, str(status)).inc()
        self._durations.labels(listener).observe(seconds)

    def refused(self, *, listener: str, code: str) -> None:
        """A request was refused for the reason `code`."""
        self._refusals.labels(listener, code).inc()

    def work_failed(self, name: str) -> None:
        """A round of periodic work ended with an exception."""
        self._failures.labels(name).inc()

    def watch_pools(self) -> None:
        """Count connections at work, of every pool that this process opens from now on and has opened."""
        pool = self._pool = _Pool()
        sa.event.listen(sa.pool.Pool, "checkout", lambda *_: pool.move(1))
        sa.event.listen(sa.pool.Pool, "checkin", lambda *_: pool.move(-1))

    @property
    def connections_at_work(self) -> int | None:
        """Connections to the store that are at work; None where pools are not watched."""
        return None if self._pool is None else self._pool.at_work

    def render(self) -> bytes:
        """Everything, as Prometheus reads it."""
        return generate_latest(self.registry)


class _Gauges:
    """What is read when somebody scrapes."""

    def __init__(self, metrics: ProcessMetrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        """Load of the listeners, and of the pool of connections."""
        at_work = GaugeMetricFamily(
            "pva_requests_at_work", "Requests at work or waiting for a worker.", labels=["listener"]
        )
        limit = GaugeMetricFamily(
            "pva_requests_at_work_max", "So many at once before 503.", labels=["listener"]
        )
        for load in self._metrics.loads:
            at_work.add_metric([load.name], load.at_work)
            limit.add_metric([load.name], load.requests_max)
        yield at_work
        yield limit
        connections = self._metrics.connections_at_work
        if connections is not None:
            yield GaugeMetricFamily(
                "pva_database_connections_at_work", "Connections to the store at work.", value=connections
            )
            yield GaugeMetricFamily(
                "pva_database_connections_max",
                "Connections to one PostgreSQL store that may be at work.",
                value=POOL_SIZE + POOL_OVERFLOW + ALONE_SIZE,
            )
