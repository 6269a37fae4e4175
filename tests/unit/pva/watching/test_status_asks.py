"""Asks of the CA: carried until an answer comes that no repeat would change."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest

from edge.http_client import HttpError, UnreachableError
from edge.problem_document import Problem
from pva.watching.holding import Act
from pva.watching.status_asks import StatusAsk, StatusAsker
from tests.fakes.pki import NOW
from tests.fakes.pva_memory import MemoryAsks

HOLD = StatusAsk(issuer="a" * 32, serial=7, act=Act.HOLD, results=("r2", "r1"), asked_at=NOW, tries=0)
RECOVERY = replace(HOLD, act=Act.RECOVERY, results=("r3",))


@dataclass
class FakeCa:
    """Answers with a status, or refuses."""

    status: str = "revoked"
    refusal: Exception | None = None
    asked: list[tuple[Any, ...]] = field(default_factory=list)

    def hold(self, issuer: str, serial: int, *, results: Sequence[str]) -> Any:
        """See `pva.watching.status_asks.HoldingCa`."""
        return self._answer("hold", issuer, serial, results)

    def recover(self, issuer: str, serial: int, *, result: str) -> Any:
        """See `pva.watching.status_asks.HoldingCa`."""
        return self._answer("recover", issuer, serial, result)

    def _answer(self, *asked: Any) -> Any:
        self.asked.append(asked)
        if self.refusal is not None:
            raise self.refusal
        return SimpleNamespace(status=self.status)


def asks(*made: StatusAsk) -> MemoryAsks:
    return MemoryAsks(asked={(each.issuer, each.serial): (each, NOW, False) for each in made})


def refused(status: int, reason: str) -> HttpError:
    problem = Problem(
        status=status, type=reason, title="no", detail="no", subject="it", reason=reason, remedy="none"
    )
    return HttpError("https://ca", status=status, problem=problem)


def test_each_act_goes_by_its_own_route() -> None:
    ca = FakeCa()
    asker = StatusAsker(ca=ca, store=asks())
    asker.tell(HOLD)
    asker.tell(RECOVERY)
    assert ca.asked == [("hold", "a" * 32, 7, ("r2", "r1")), ("recover", "a" * 32, 7, "r3")]


def test_a_hold_that_the_ca_did_not_make_is_forgotten() -> None:
    store = asks(HOLD)
    StatusAsker(ca=FakeCa(), store=store).tell(HOLD)
    assert store.asked
    StatusAsker(ca=FakeCa(status="good"), store=store).tell(HOLD)
    assert not store.asked


@pytest.mark.negative
@pytest.mark.parametrize("status", [404, 409, 422])
def test_a_final_no_is_the_end_of_it(status: int) -> None:
    store = asks(HOLD)
    StatusAsker(ca=FakeCa(refusal=refused(status, "not-on-hold")), store=store).tell(HOLD)
    assert store.asked


@pytest.mark.negative
@pytest.mark.parametrize(
    "failure",
    [
        UnreachableError("https://ca", reason="silence"),
        refused(403, "principal-not-registered"),
        refused(409, "concurrent-change"),
        refused(503, "busy"),
        HttpError("https://ca", status=500, problem=None),
    ],
)
def test_what_another_try_may_change_is_tried_again(failure: Exception) -> None:
    with pytest.raises((HttpError, UnreachableError)):
        StatusAsker(ca=FakeCa(refusal=failure), store=asks()).tell(HOLD)
