"""docs/PROTOCOL.md names every reason with which a device can be refused, and none that does not exist."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from pva.refusals import RefusalCode
from tests.house.tree import ROOT

OF_OPERATORS_ONLY = frozenset(
    {
        RefusalCode.PURPOSE_NOT_OFFERED,
        RefusalCode.AUDIENCE_WITHOUT_CALLER,
        RefusalCode.REQUEST_UNANSWERABLE,
        RefusalCode.NONCE_REUSED,
        RefusalCode.TOO_MANY_REQUESTS,
        RefusalCode.NOT_FOUND,
        RefusalCode.RECORD_ALTERED,
        RefusalCode.PROFILE_NOT_OFFERED,
        RefusalCode.NOT_EXPORTABLE,
        RefusalCode.POLICY_FAULTY,
        RefusalCode.POLICY_STATE,
        RefusalCode.TOO_MANY_POLICIES,
        RefusalCode.WATCH_WITHOUT_RESULT,
        RefusalCode.WATCH_CONFLICT,
        RefusalCode.WATCH_TERMS,
        RefusalCode.TOO_MANY_WATCHES,
        RefusalCode.ORDER_NEEDS_SIGNATURE,
        RefusalCode.REQUEST_UNTRUSTED,
        RefusalCode.REQUEST_OUT_OF_TIME,
        RefusalCode.REQUEST_FOR_ANOTHER_PVA,
        RefusalCode.REQUEST_OF_ANOTHER,
        RefusalCode.REQUEST_CONFLICT,
        RefusalCode.ENCRYPTION_KEY_UNACCEPTABLE,
        RefusalCode.ORDER_MISMATCH,
        RefusalCode.RESULT_EXPIRED,
        RefusalCode.RESULT_NOT_AFFIRMING,
        RefusalCode.RESULT_SUPERSEDED,
        RefusalCode.ORDER_CLOSED,
        RefusalCode.CONCURRENT_CHANGE,
        RefusalCode.UPDATE_NOT_ANNOUNCEABLE,
        RefusalCode.UPDATE_NOT_ANNOUNCED,
        RefusalCode.UPDATE_PAUSED,
        RefusalCode.UPDATE_NOT_YET,
        RefusalCode.UPDATE_NO_SUCCESSOR,
        RefusalCode.UPDATES_ABANDONED,
        RefusalCode.ROLLOUT_CONFLICT,
        RefusalCode.ROOT_UNACCEPTABLE,
        RefusalCode.SUPPLIER_CONFLICT,
        RefusalCode.MANIFEST_UNTRUSTED,
        RefusalCode.MANIFEST_UNSIGNED,
        RefusalCode.MANIFEST_WRONG_PURPOSE,
        RefusalCode.MANIFEST_MALFORMED,
        RefusalCode.MANIFEST_WRONG_VENDOR,
        RefusalCode.MANIFEST_WRONG_MODEL,
        RefusalCode.MANIFEST_FORBIDDEN_PCR,
        RefusalCode.MANIFEST_UNQUOTED_PCR,
        RefusalCode.MANIFEST_INCONSISTENT,
        RefusalCode.MANIFEST_CONFLICT,
        RefusalCode.PROPOSAL_DONE,
        RefusalCode.MANIFEST_PREDECESSOR_UNKNOWN,
        RefusalCode.MANIFEST_FORK,
        RefusalCode.MANIFEST_OTHER_LINE,
        RefusalCode.MANIFEST_SVN_FALLS,
        RefusalCode.MANIFEST_MODELS_WIDENED,
        RefusalCode.MANIFEST_LINE_TOO_LONG,
        RefusalCode.MANIFEST_RETIRED,
        RefusalCode.APPROVER_NOT_ANOTHER,
        RefusalCode.APPROVER_NOT_INDEPENDENT,
        RefusalCode.APPROVER_ORIGIN_UNKNOWN,
        RefusalCode.TRUST_LIST_UNTRUSTED,
        RefusalCode.TRUST_LIST_OUT_OF_TIME,
        RefusalCode.TRUST_LIST_ROLLED_BACK,
    }
)
OF_SUPPLY = ("root-", "supplier-", "manifest-", "approver-", "proposal-", "trust-list-")
"""What administrators and suppliers are refused with; docs/CLI.md shows their commands."""
_REASON = re.compile(r"`([a-z]+(?:-[a-z]+)+)`")
_RAISERS = frozenset({"EnrollmentRefusedError", "_refused", "_no_session", "_not_ready"})
_ENROLLMENT_FILES = ("enrollment.py", "device_keys.py", "credential.py")


def part(begin: str, end: str) -> set[str]:
    """Reasons that stand in backticks between two headings."""
    text = (ROOT / "docs/PROTOCOL.md").read_text(encoding="utf-8")
    return set(_REASON.findall(text[text.index(begin) : text.index(end)]))


def raised(path: Path) -> Iterator[str]:
    """Reasons that a file of the CA refuses an enrolment with."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _RAISERS:
            for argument in node.args[:2]:
                reason = argument.value if isinstance(argument, ast.Constant) else None
                if isinstance(reason, str) and _REASON.fullmatch(f"`{reason}`"):
                    yield reason


def test_reasons_of_the_pva() -> None:
    documented = part("### 4.4", "States of a challenge") | part("## 4 Attestation", "### 4.1")
    meant_for_devices = {code.value for code in RefusalCode if code not in OF_OPERATORS_ONLY}
    assert documented == meant_for_devices


def test_reasons_for_relying_parties() -> None:
    documented = part("What a relying party can be refused with", "### 5.2")
    meant = {code.value for code in OF_OPERATORS_ONLY if not code.value.startswith(OF_SUPPLY)}
    assert documented == meant


def test_reasons_of_the_ca() -> None:
    documented = part("Reasons in problem documents", "## 4 Attestation")
    raised_by_the_ca = {reason for name in _ENROLLMENT_FILES for reason in raised(ROOT / "ca" / name)}
    assert documented == raised_by_the_ca
