"""What a saved result is worth: one refusal for each numbered step, and the verdict only after all of them."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from cli.failures import CliError
from cli.result_check import Question, verify_result
from standards.pki import oids
from standards.pki.extensions import OperatorRole
from standards.pki.jws import sign_jws
from standards.rats.ear import RESULT_TYPE, AttestationResult
from tests.fakes.pki import LEAF_USAGE, NOW, Authority, p256
from tests.unit.cli.person import Person
from tests.unit.standards.rats.results import RESULT

ROOT = Authority.root("operators' root")
KEY = p256()
GENUINE = replace(RESULT, issued_at=NOW, expires_at=NOW + timedelta(minutes=5))
AFFIRMING = replace(GENUINE, submodules={"tre": RESULT.submodules["tre"]})
NOBODY = Question()


def signed(
    result: AttestationResult = GENUINE,
    *,
    role: OperatorRole | None = OperatorRole(role="pva", id=RESULT.issuer),  # noqa: B008 - frozen
    eku: Any = oids.EKU_ATTESTATION_RESULT,
    typ: str = RESULT_TYPE,
    claims: dict[str, Any] | None = None,
) -> str:
    extensions: list[Any] = [(LEAF_USAGE, True)]
    if role is not None:
        extensions.append((role.to_extension(), False))
    leaf = ROOT.issue("signer", key=KEY.public_key(), eku=eku, extensions=extensions)
    return sign_jws(result.claims() if claims is None else claims, key=KEY, chain=[leaf], typ=typ)


def code_of(token: str, question: Question = NOBODY, *, at: Any = NOW, root: Authority = ROOT) -> str:
    with pytest.raises(CliError) as caught:
        verify_result(token, anchors=[root.certificate], question=question, at=at)
    assert caught.value.failure.exit_code == 1
    assert caught.value.failure.remedy
    return caught.value.failure.code


def test_a_genuine_result_is_read() -> None:
    question = Question(device_id=RESULT.device_id, nonce=RESULT.nonce, audience="dpf.example")
    for asked in (NOBODY, question):
        assert verify_result(signed(), anchors=[ROOT.certificate], question=asked, at=NOW) == GENUINE


@pytest.mark.negative
def test_a_result_that_is_not_signed_for_this_under_the_root_is_not_genuine() -> None:
    head, body, signature = signed().split(".")
    assert code_of(f"{head}.{body}.{signature[:-4]}AAAA") == "result-not-genuine"
    assert code_of(signed(), root=Authority.root("another root")) == "result-not-genuine"
    assert code_of(signed(eku=oids.EKU_CHALLENGE)) == "result-not-genuine"
    assert code_of(signed(typ="pva-challenge+jwt")) == "result-not-genuine"
    assert code_of("no token") == "result-not-genuine"


@pytest.mark.negative
def test_a_result_that_contradicts_itself_is_malformed() -> None:
    assert code_of(signed(claims={**GENUINE.claims(), "ear_status": "affirming"})) == "result-malformed"
    assert code_of(signed(claims={})) == "result-malformed"


@pytest.mark.negative
@pytest.mark.parametrize(
    "role", [None, OperatorRole(role="sho", id=RESULT.issuer), OperatorRole(role="pva", id="pva-2")]
)
def test_only_the_pva_that_is_named_may_have_signed(role: OperatorRole | None) -> None:
    assert code_of(signed(role=role)) == "result-of-another-signer"


@pytest.mark.negative
def test_a_result_is_good_from_its_time_until_just_before_its_end() -> None:
    for at in (NOW - timedelta(seconds=1), GENUINE.expires_at):
        assert code_of(signed(), at=at) == "result-out-of-time"
    last = GENUINE.expires_at - timedelta(seconds=1)
    assert verify_result(signed(), anchors=[ROOT.certificate], question=NOBODY, at=last) == GENUINE


@pytest.mark.negative
@pytest.mark.parametrize(
    "question", [Question(device_id="d2" * 32), Question(nonce=bytes(32)), Question(audience="sho-9")]
)
def test_the_answer_to_another_question_is_refused(question: Question) -> None:
    assert code_of(signed(), question) == "result-of-another-question"


@pytest.mark.parametrize(("result", "exit_code"), [(AFFIRMING, 0), (GENUINE, 3)])
def test_the_verdict_is_the_exit_code_and_findings_are_printed(
    tmp_path: Path, result: AttestationResult, exit_code: int
) -> None:
    (tmp_path / "result.jwt").write_text(signed(result) + "\n")
    (tmp_path / "root.pem").write_bytes(ROOT.certificate.public_bytes(Encoding.PEM))
    words = ("result", "verify", str(tmp_path / "result.jwt"), "--operators-root", str(tmp_path / "root.pem"))
    person = Person(folder=tmp_path)
    done = person.run(*words, environment={})
    assert done.exit_code == exit_code
    assert done.stdout.splitlines()[0] == result.status.value
    answer = person.json(*words)
    assert len(answer["findings"]) == (exit_code == 3)
    for finding in answer["findings"]:
        assert finding["code"] == "pcr-mismatch"
        assert all(part in done.stdout for part in finding.values())


@pytest.mark.negative
def test_an_old_result_is_read_as_of_its_own_time_only_when_asked(tmp_path: Path) -> None:
    old = replace(RESULT, issued_at=NOW - timedelta(hours=2), expires_at=NOW - timedelta(hours=1))
    (tmp_path / "result.jwt").write_text(signed(old))
    (tmp_path / "root.pem").write_bytes(ROOT.certificate.public_bytes(Encoding.PEM))
    words = ["result", "verify", str(tmp_path / "result.jwt"), "--operators-root", str(tmp_path / "root.pem")]
    refused = Person(folder=tmp_path).run(*words)
    assert refused.exit_code == 1
    hint = refused.stderr.split("what to do: ")[1].split("--at ")[1].strip()
    assert Person(folder=tmp_path).run(*words, "--at", hint).exit_code == 3
