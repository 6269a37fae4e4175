"""What a relying party does with the promise in a result: has the PVA put the leaf into its log, as it signed that it would?

Rule: the log's verifier key comes from elsewhere than the log. A leaf that is not there in time is looked for in the whole
signed tree first; then the result, which anybody can verify, is the proof that its signer broke a promise.
"""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from edge.log_verification import LogReader, VerifiedLog, verify_log
from standards.merkle.checkpoint import Checkpoint, VerifierKey
from standards.merkle.proof import LeafProof
from standards.merkle.tree import MerkleError
from standards.rats.ear import AttestationResult, InclusionPromise


class ProvingLog(LogReader, Protocol):
    """A log that proves single leaves; `clients.audit_log.AuditLogClient` is one."""

    def proof(self, leaf_hash: bytes) -> LeafProof | None:
        """That a leaf is in the tree; None where the log says that it is not."""


class NothingPromisedError(Exception):
    """A result promises nothing, or promises it of another log than the one that is asked."""


class PromiseBrokenError(Exception):
    """A verifier signed that a leaf is in its log by `due_at`, and the signed log is without it.

    `note` is the signed checkpoint that the leaf is not under. Together with the result it proves the misbehaviour to others.
    """

    def __init__(self, promise: InclusionPromise, *, due_at: datetime, reason: str, note: bytes) -> None:
        """Keep what is proven."""
        super().__init__(
            f"leaf {promise.leaf_hash.hex()} was promised to be in {promise.log} by {due_at:%Y-%m-%dT%H:%M:%SZ}: {reason}"
        )
        self.promise = promise
        self.due_at = due_at
        self.reason = reason
        self.note = note


@dataclass(frozen=True, slots=True, kw_only=True)
class PromiseState:
    """How a promise stands: the leaf is under `checkpoint`, signed in `note`; both None while there is time until `due_at`."""

    promise: InclusionPromise
    due_at: datetime
    checkpoint: Checkpoint | None = None
    note: bytes | None = None


def due_at(result: AttestationResult, promise: InclusionPromise) -> datetime:
    """Until when the leaf must be under a checkpoint."""
    return result.issued_at + timedelta(seconds=promise.merge_delay_s)


def check_promise(
    result: AttestationResult, *, log: ProvingLog, key: VerifierKey, at: datetime
) -> PromiseState:
    """Whether the leaf that a verified result promises is in the log now.

    Raises NothingPromisedError or PromiseBrokenError, and MerkleError where the log itself does not verify under `key`, which is
    no proof to others; errors of the connection pass through.
    """
    promise = result.promise
    if promise is None:
        raise NothingPromisedError("the result promises nothing: its verifier keeps no log, or did not then")
    if promise.log != key.name:
        raise NothingPromisedError(f"the result promises a leaf in {promise.log}, the key is of {key.name}")
    due = due_at(result, promise)
    with suppress(MerkleError):  # a proof that proves nothing is none
        proof = log.proof(promise.leaf_hash)
        if proof is not None:
            checkpoint = proof.verify(promise.leaf_hash, key)
            note = proof.note.encode()
            return PromiseState(promise=promise, due_at=due, checkpoint=checkpoint, note=note)
    if at < due:
        return PromiseState(promise=promise, due_at=due)
    whole = _whole_log(promise, log=log, key=key, due=due)
    return PromiseState(promise=promise, due_at=due, checkpoint=whole.checkpoint, note=whole.note)


def _whole_log(promise: InclusionPromise, *, log: ProvingLog, key: VerifierKey, due: datetime) -> VerifiedLog:
    """The log, read whole, with the promised leaf in it. Raises PromiseBrokenError or MerkleError."""
    verified = verify_log(log, key, known=None)
    if promise.leaf_hash not in verified.leaves:
        reason = f"none of the {verified.checkpoint.size} leaves that the log has signed is it"
        raise PromiseBrokenError(promise, due_at=due, reason=reason, note=verified.note)
    return verified
