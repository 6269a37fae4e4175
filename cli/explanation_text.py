"""An explanation as a person reads it: the verdict, what the state is nearest to, then finding by finding what to do.

Rule: lines of text alone, the same for every terminal; who wants to compute with it takes JSON.
"""

import textwrap
from collections.abc import Iterator

from clients.pva_explanation import ExplainedFinding, ExplainedRefusal, Explanation

WIDTH = 100
_INDENT = "   "
_LABEL = 10


def explanation_text(explanation: Explanation) -> str:
    """The explanation in lines of at most `WIDTH` characters, long digests apart."""
    return "\n".join(_lines(explanation))


def _lines(explanation: Explanation) -> Iterator[str]:
    if explanation.scopes:
        for scope in explanation.scopes:
            claims = ", ".join(f"{name} {value}" for name, value in scope.vector.items())
            yield from _labelled(
                scope.scope, f"{scope.status} ({claims})" if claims else scope.status, indent=""
            )
    yield from _nearest(explanation)
    for number, finding in enumerate(explanation.findings, start=1):
        yield ""
        yield from _finding(number, finding)
    for number, refusal in enumerate(explanation.refusals, start=1):
        yield ""
        yield from _refusal(number, refusal)


def _nearest(explanation: Explanation) -> Iterator[str]:
    nearest = explanation.nearest
    if nearest is not None:
        share = f"explains {nearest.explained} of {nearest.measurements} measurements"
        yield from _labelled("state", f"{nearest.sentence}; this manifest {share}", indent="")
    elif explanation.result_id is not None and not explanation.evidence_kept:
        yield from _labelled(
            "state", "not compared: the evidence has been deleted, its time is over", indent=""
        )
    elif explanation.result_id is not None:
        yield from _labelled(
            "state", "no manifest that this PVA holds for the model explains any of it", indent=""
        )


def _finding(number: int, finding: ExplainedFinding) -> Iterator[str]:
    yield f"{number}. {finding.code}, in scope {finding.scope}"
    moved = "" if finding.claim is None else f" ({finding.claim}: {finding.value})"
    yield from _labelled("reason", f"{finding.reason}{moved}")
    yield from _labelled("subject", finding.subject)
    yield from _labelled("expected", finding.expected)
    yield from _labelled("measured", finding.measured)
    cause = finding.cause
    if cause is None:
        yield from _labelled("event", finding.event)
    else:
        place = f"PCR {cause.register}, event {cause.number}, {cause.type}"
        yield from _labelled("event", f"{place}: {cause.description}")
    yield from _labelled("to do", finding.remedy)


def _refusal(number: int, refusal: ExplainedRefusal) -> Iterator[str]:
    yield f"{number}. try of {refusal.at} was refused: {refusal.code}"
    yield from _labelled("reason", refusal.reason)
    yield from _labelled("subject", refusal.subject)
    yield from _labelled("to do", refusal.remedy)


def _labelled(label: str, text: str | None, *, indent: str = _INDENT) -> Iterator[str]:
    """The text behind its label, wrapped; words without spaces (digests) are never cut, so that they can be pasted."""
    if text is None:
        return
    head = f"{indent}{label:<{_LABEL}}"
    yield from textwrap.wrap(
        text,
        width=WIDTH,
        initial_indent=head,
        subsequent_indent=" " * len(head),
        break_long_words=False,
        break_on_hyphens=False,
    )
