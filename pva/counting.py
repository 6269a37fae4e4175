"""What a PVA counts of its verdicts, for whoever watches the service.

The one rule: tiers and findings are words of tables, and the age of a challenge is a number: nothing here says which
device it was.
"""

from collections.abc import Callable
from datetime import timedelta

from prometheus_client import CollectorRegistry, Counter, Histogram

from pva.results.result import SignedResult

AGES_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 45.0, 60.0, 120.0, 300.0, 600.0)


class VerdictCounts:
    """Results on record by tier and by finding, and how old challenges are when they come back."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Count from zero, into `registry`."""
        self._verdicts = Counter(
            "pva_verdicts", "Results on record, by overall tier.", ["tier"], registry=registry
        )
        self._findings = Counter(
            "pva_findings", "Results on record that have a finding, by its code.", ["code"], registry=registry
        )
        self._ages = Histogram(
            "pva_challenge_age_seconds",
            "From the issue of a challenge to its redemption.",
            buckets=AGES_S,
            registry=registry,
        )

    def redeemed(self, age: timedelta) -> None:
        """A challenge of that age came back."""
        self._ages.observe(age.total_seconds())

    def before(self, announce: Callable[[SignedResult], None]) -> Callable[[SignedResult], None]:
        """Count each result that is announced."""

        def counted(result: SignedResult) -> None:
            self._verdicts.labels(result.status).inc()
            for code in frozenset(result.codes):
                self._findings.labels(code).inc()
            announce(result)

        return counted
