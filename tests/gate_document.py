"""docs/BRING-YOUR-OWN-DPF.md: its code, its claims and its table of findings are those of the code.

`python -m tests.gate_document --write` renews what stands between the document's marks, `--check` fails when it is stale.
"""

import argparse
import re
import sys
from pathlib import Path

from pva.appraisal.findings import FINDINGS
from standards.rats.ar4si import tier_of_claim

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs/BRING-YOUR-OWN-DPF.md"
GATE = ROOT / "tests/end_to_end/own_gate.py"
_BEGIN = "<!-- generated: {} -->"
_END = "<!-- end of {} -->"


def page(text: str) -> str:
    """The document with its generated parts renewed."""
    parts = {"gate": _gate(), "findings": _findings()}
    for name, part in parts.items():
        begin, end = _BEGIN.format(name), _END.format(name)
        text = re.sub(
            f"{re.escape(begin)}.*?{re.escape(end)}",
            lambda _: f"{begin}\n{part}\n{end}",  # noqa: B023  # called at once
            text,
            flags=re.DOTALL,
        )
    return text


def _gate() -> str:
    return f"```python\n{GATE.read_text(encoding='utf-8').rstrip()}\n```"


def _findings() -> str:
    rows = [
        f"| `{code}` | {rule.claim} | {tier_of_claim(rule.value).value} | {rule.reason} | {rule.remedy} |"
        for code, rule in sorted(FINDINGS.items())
    ]
    return "\n".join(
        ("| finding | claim | tier | what it means | what to do |", "|---|---|---|---|---|", *rows)
    )


def main() -> int:
    """Write the page, or say that it is stale."""
    parser = argparse.ArgumentParser(description="generated parts of docs/BRING-YOUR-OWN-DPF.md")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--write", action="store_true", help="renew them")
    what.add_argument("--check", action="store_true", help="fail when they are stale")
    arguments = parser.parse_args()
    before = DOCUMENT.read_text(encoding="utf-8")
    after = page(before)
    if arguments.write:
        DOCUMENT.write_text(after, encoding="utf-8")
        return 0
    if before != after:
        sys.stderr.write(f"{DOCUMENT.relative_to(ROOT)} is stale: run ./dev fix and commit it\n")
    return int(before != after)


if __name__ == "__main__":
    sys.exit(main())
