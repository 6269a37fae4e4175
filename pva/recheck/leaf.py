"""What binds a bundle to the audit log: record to leaf, leaf to signed root, and the result's own promise to the leaf. Pure.

Rule: the leaf is the one thing that a service cannot change any more once it has signed for it, in a checkpoint or in a result.
"""

from collections.abc import Mapping

from edge.ledger_leaf import LedgerError, leaf_hash
from pva.recheck.bundles import (
    AUDIT_LEAF,
    AUDIT_RECORD,
    AUDIT_SALT,
    LOG_CHECKPOINT,
    LOG_PROOF,
    RecheckError,
    read_inclusion,
)
from standards.merkle.checkpoint import Checkpoint, VerifierKey, open_checkpoint
from standards.merkle.tree import MerkleError, leaf_digest, verify_inclusion
from standards.rats.ear import AttestationResult


def check_leaf(parts: Mapping[str, bytes]) -> None:
    """That record and salt make the leaf. Raises RecheckError."""
    try:
        found = leaf_hash(salt=parts[AUDIT_SALT], record=parts[AUDIT_RECORD])
    except LedgerError as error:
        raise RecheckError(AUDIT_SALT, str(error)) from None
    if found != parts[AUDIT_LEAF]:
        raise RecheckError(AUDIT_LEAF, "record and salt do not make this leaf: one of the three was changed")


def check_log(parts: Mapping[str, bytes], *, key: VerifierKey) -> Checkpoint:
    """The checkpoint, signed by the log, that the leaf is under. Raises RecheckError."""
    inclusion = read_inclusion(parts)
    try:
        checkpoint = open_checkpoint(inclusion.note, key)
    except MerkleError as error:
        raise RecheckError(LOG_CHECKPOINT, str(error)) from None
    try:
        verify_inclusion(
            leaf_digest(parts[AUDIT_LEAF]),
            index=inclusion.index,
            size=checkpoint.size,
            proof=inclusion.proof,
            root=checkpoint.root,
        )
    except MerkleError as error:
        raise RecheckError(LOG_PROOF, str(error)) from None
    return checkpoint


def check_promise(result: AttestationResult, *, leaf: bytes, key: VerifierKey | None) -> None:
    """That the leaf on record is the one that the result promises, in the log whose key the reader has. Raises RecheckError."""
    promise = result.promise
    if promise is None:
        return
    if promise.leaf_hash != leaf:
        raise RecheckError(
            AUDIT_LEAF,
            f"the result promises the leaf {promise.leaf_hash.hex()}, this is another",
            remedy="get the bundle again; if it is the same, the result is the signed proof that its PVA broke a promise",
        )
    if key is not None and promise.log != key.name:
        raise RecheckError(
            LOG_CHECKPOINT,
            f"the result promises a leaf in {promise.log}, the checkpoint is of {key.name}",
            remedy="give the key of the log that the result names",
        )
