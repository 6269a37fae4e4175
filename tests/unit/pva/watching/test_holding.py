"""The rule of holds, as a table: which results lead to what, and which findings count."""

from datetime import timedelta

import pytest

from messages.challenge import RECOVERY, VALIDATION
from pva.appraisal.findings import FINDINGS, FindingCode
from pva.watching.holding import (
    STATE_FINDINGS,
    Act,
    Ask,
    HoldRule,
    Outcome,
    next_ask,
    shows_recovery,
    speaks_against,
)
from standards.rats.ar4si import Tier, tier_of
from tests.fakes.pki import NOW

RULE = HoldRule(contraindicated=3, of=5, within=timedelta(hours=1))

pytestmark = [pytest.mark.requirement("R24"), pytest.mark.requirement("R101")]


def outcomes(story: str, *, apart: timedelta = timedelta(minutes=1)) -> list[Outcome]:
    """Results newest first out of letters oldest first: a(ffirming) c(ontraindicated) r(ecovered) f(ailed recovery)."""
    made = [
        Outcome(
            result_id=str(number),
            purpose=RECOVERY if letter in "rf" else VALIDATION,
            against=letter in "cf",
            recovered=letter == "r",
            at=NOW - apart * (len(story) - 1 - number),
        )
        for number, letter in enumerate(story)
    ]
    return made[::-1]


@pytest.mark.parametrize(
    ("story", "asked"),
    [
        ("c", None),
        ("cc", None),
        ("ccc", ("2", "1", "0")),
        ("cccc", ("3", "2", "1", "0")),
        ("cacac", ("4", "2", "0")),
        ("caacac", None),
        ("caaacc", None),
        ("ccca", None),
        ("ccrc", None),
        ("ccrccc", ("5", "4", "3")),
        ("ccfc", ("3", "1", "0")),
        ("cccr", ("3",)),
        ("cccf", None),
        ("aaaa", None),
    ],
)
def test_n_of_m_since_the_last_recovery(story: str, asked: tuple[str, ...] | None) -> None:
    act = Act.RECOVERY if story.endswith("r") else Act.HOLD
    expected = None if asked is None else Ask(act=act, results=asked)
    assert next_ask(outcomes(story), last=None, rule=RULE, at=NOW) == expected


@pytest.mark.negative
def test_while_a_hold_was_asked_no_other_one_is() -> None:
    assert next_ask(outcomes("cccc"), last=Act.HOLD, rule=RULE, at=NOW) is None
    assert next_ask(outcomes("ccc"), last=Act.RECOVERY, rule=RULE, at=NOW) is not None
    recovered = next_ask(outcomes("cccr"), last=Act.HOLD, rule=RULE, at=NOW)
    assert recovered == Ask(act=Act.RECOVERY, results=("3",))


@pytest.mark.negative
def test_results_count_within_the_time_only() -> None:
    half = RULE.within / 2
    assert next_ask(outcomes("ccc", apart=half), last=None, rule=RULE, at=NOW) is not None
    assert next_ask(outcomes("ccc", apart=half + timedelta(seconds=1)), last=None, rule=RULE, at=NOW) is None


def test_the_table_is_what_contraindicates_without_what_is_about_recognition() -> None:
    contraindicating = {
        code
        for code, rule in FINDINGS.items()
        if tier_of({rule.claim.value: rule.value}) is Tier.CONTRAINDICATED
    }
    of_this_pva = {
        FindingCode.MODEL_NOT_PERMITTED,
        FindingCode.MODEL_MISMATCH,
        FindingCode.SUPERSEDED_STATE,
        FindingCode.MANIFEST_EXPIRED,
        FindingCode.MANIFEST_RETIRED,
    }
    assert contraindicating - of_this_pva == STATE_FINDINGS
    assert speaks_against(["clock-not-safe", "kernel-mismatch"])
    assert not speaks_against(["model-mismatch", "no-reference-value", "secure-boot-not-proven"])


@pytest.mark.negative
def test_a_recovery_finds_the_hold_and_nothing_else() -> None:
    assert shows_recovery(["credential-on-hold", "credential-on-hold"], purpose=RECOVERY)
    assert not shows_recovery(["credential-on-hold"], purpose=VALIDATION)
    assert not shows_recovery([], purpose=RECOVERY)
    assert not shows_recovery(["credential-on-hold", "no-reference-value"], purpose=RECOVERY)


@pytest.mark.negative
@pytest.mark.parametrize(("count", "of"), [(1, 5), (0, 5), (6, 5)])
def test_a_rule_that_one_result_fulfils_or_none_is_no_rule(count: int, of: int) -> None:
    with pytest.raises(ValueError, match="contraindicated"):
        HoldRule(contraindicated=count, of=of, within=timedelta(hours=1))
