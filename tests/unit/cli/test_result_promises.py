"""`pva result logged`: a promise that was kept, that has time, that was broken, and what is no promise."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding

from edge.problem_document import Problem
from pva.results.result import PromiseTerms
from standards.merkle.checkpoint import open_checkpoint
from tests.fakes.pki import NOW
from tests.fakes.pva_log import NAME, MemoryLog
from tests.fakes.pva_world import World
from tests.unit.cli.person import Person
from tests.unit.clients.test_inclusion import ReadLog

WORDS = ("--operators-root", "operators-root.pem", "--verifier-key", "log.vkey")
MISSING = Problem(
    status=404,
    type="log-not-found",
    title="Not Found",
    detail="it is in no signed tree of this log",
    subject="leaf",
    reason="log-not-found",
    remedy="wait",
)


class Holder:
    """Somebody with a result, the operators' root and the log's key, and a log that answers."""

    def __init__(self, folder: Path, *, merge_delay_s: int, promises: bool = True) -> None:
        world = World(promises=PromiseTerms(log=NAME, merge_delay_s=merge_delay_s) if promises else None)
        at = NOW - timedelta(seconds=30)
        signed = world.validate(world.answer(at=at), at=at)
        self.folder, self.log, self.leaf = folder, MemoryLog(), signed.leaf.leaf_hash
        (folder / "result.jwt").write_text(signed.token)
        (folder / "log.vkey").write_text(f"{self.log.verifier}\n")
        pem = world.operators.certificate.public_bytes(Encoding.PEM)
        (folder / "operators-root.pem").write_bytes(pem)
        self.person = Person(folder=folder)

    def answers(self, *, has_it: bool) -> None:
        """Let the log have the leaf, or not."""
        if has_it:
            self.log.place(self.leaf)
        else:
            self.log.leaves = [bytes(32)]
        proof = self.log.prove(self.leaf)
        self.person.given = {
            ("GET", f"/v1/log/proofs/{self.leaf.hex()}"): MISSING
            if proof is None
            else proof.encode().encode(),
            ("GET", "/v1/log/checkpoint"): ReadLog(self.log).checkpoint(),
            ("GET", "/v1/log/tile/entries/000.p/1"): b"\x00\x20" + bytes(32),
        }

    def asks(self, *more: str) -> tuple[int, dict[str, Any]]:
        """Exit status and answer."""
        named = [str(self.folder / each) if "." in each else each for each in WORDS]
        words = ["result", "logged", str(self.folder / "result.jwt"), *named, *more, "-o", "json"]
        done = self.person.run(*words)
        return done.exit_code, json.loads(done.stdout)


def test_a_leaf_that_is_there_is_shown(tmp_path: Path) -> None:
    holder = Holder(tmp_path, merge_delay_s=10)
    holder.answers(has_it=True)
    code, said = holder.asks("--out", str(tmp_path / "kept"))
    assert (code, said["outcome"], said["leaf"], said["leaves"]) == (0, "logged", holder.leaf.hex(), 8)
    assert open_checkpoint((tmp_path / "kept").read_bytes(), holder.log.verifier).size == 8
    assert {each.host for each in holder.person.asked} == {"https://pva.example.net:8443"}


def test_as_long_as_there_is_time_the_answer_is_to_wait(tmp_path: Path) -> None:
    holder = Holder(tmp_path, merge_delay_s=40)
    holder.answers(has_it=False)
    code, said = holder.asks()
    assert (code, said["outcome"], said["leaves"]) == (1, "waiting", None)
    assert said["due_at"] == f"{NOW + timedelta(seconds=10):%Y-%m-%dT%H:%M:%SZ}"


@pytest.mark.negative
def test_a_broken_promise_is_named_and_its_proof_kept(tmp_path: Path) -> None:
    holder = Holder(tmp_path, merge_delay_s=30)
    holder.answers(has_it=False)
    code, said = holder.asks("--out", str(tmp_path / "kept"))
    assert (code, said["error"]["code"]) == (1, "promise-broken")
    assert holder.leaf.hex() in said["error"]["reason"]
    assert open_checkpoint((tmp_path / "kept").read_bytes(), holder.log.verifier).size == 1


@pytest.mark.negative
def test_a_log_under_another_key_is_not_proven(tmp_path: Path) -> None:
    holder = Holder(tmp_path, merge_delay_s=30)
    holder.log = MemoryLog(key=Ed25519PrivateKey.generate())
    holder.answers(has_it=False)
    code, said = holder.asks()
    assert (code, said["error"]["code"]) == (1, "log-not-proven")


@pytest.mark.negative
def test_a_result_that_promises_nothing_breaks_nothing(tmp_path: Path) -> None:
    holder = Holder(tmp_path, merge_delay_s=30, promises=False)
    holder.answers(has_it=False)
    code, said = holder.asks()
    assert (code, said["error"]["code"]) == (1, "nothing-promised")


@pytest.mark.negative
@pytest.mark.parametrize("text", ["", "a.b", "a.!.c", "a.e30.c", "a.eyJpYXQiOiAxZTk5OX0.c"])
def test_what_is_no_result_is_refused(tmp_path: Path, text: str) -> None:
    holder = Holder(tmp_path, merge_delay_s=30)
    (tmp_path / "result.jwt").write_text(text)
    code, said = holder.asks()
    assert code == 1
    assert said["outcome"] == "refused"
