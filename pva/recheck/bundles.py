"""The file that carries a verdict with all that it stands on: its parts, their names, and the error that names one. Pure.

Rule: a bundle has one spelling of each part, so that no byte of it can be changed and mean the same; what a part says is read
by whoever re-checks it.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

FORMAT: Final = "pva/bundle/1"
BUNDLE_BYTES_MAX: Final = 64 << 20
RESULT, EVIDENCE, RUNTIME_POLICY, POLICY_TEXTS = "result", "evidence", "runtime-policy", "policy-texts"
AUDIT_RECORD, AUDIT_SALT, AUDIT_LEAF = "audit-record", "audit-salt", "audit-leaf"
LOG_PROOF, LOG_CHECKPOINT = "log-proof", "log-checkpoint"
WHOLE: Final = "bundle"
"""What an error names that is about no single part."""

ASK: Final = "get the bundle again; if it is the same, do not rely on the result, and ask the PVA's operator"


class RecheckError(Exception):
    """A bundle does not show what its result says; `part` is the part at fault, `reason` why, `remedy` what to do."""

    def __init__(self, part: str, reason: str, *, remedy: str = ASK) -> None:
        """Keep them."""
        super().__init__(f"{part}: {reason}")
        self.part = part
        self.reason = reason
        self.remedy = remedy


def manifest_part(place: int) -> str:
    """The name of the signed form of link `place` of the chain, 0 the one that the credential names."""
    return f"manifest-{place}"


def encode_bundle(parts: Mapping[str, bytes]) -> bytes:
    """A bundle as JSON: its format and its parts in base64."""
    members = {name: base64.b64encode(part).decode() for name, part in sorted(parts.items())}
    return json.dumps({"format": FORMAT, "parts": members}, indent=1).encode()


def decode_bundle(data: bytes) -> dict[str, bytes]:
    """The parts of a bundle. Raises RecheckError."""
    try:
        value = json.loads(data, object_pairs_hook=_each_once) if len(data) <= BUNDLE_BYTES_MAX else None
        if not isinstance(value, dict) or set(value) != {"format", "parts"} or value["format"] != FORMAT:
            raise RecheckError(
                WHOLE, f"expected a bundle of format {FORMAT} of at most {BUNDLE_BYTES_MAX} bytes"
            )
        return {name: _part(name, text) for name, text in value["parts"].items()}
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise RecheckError(WHOLE, f"cannot be read: {error}") from None


def _each_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name stands in it twice")
    return members


def _part(name: str, text: str) -> bytes:
    try:
        part = base64.b64decode(text, validate=True)
    except (ValueError, TypeError) as error:
        raise RecheckError(name, f"it is not in base64: {error}") from None
    if base64.b64encode(part).decode() != text:
        raise RecheckError(name, "it is not in the one spelling of its base64")
    return part


@dataclass(frozen=True, slots=True, kw_only=True)
class Inclusion:
    """That a leaf is in a log: its place, the digests beside its way to the root, and the checkpoint that signs the root."""

    index: int
    proof: tuple[bytes, ...]
    note: bytes

    def parts(self) -> dict[str, bytes]:
        """As parts of a bundle."""
        proof = {"index": self.index, "proof": [each.hex() for each in self.proof]}
        return {
            LOG_PROOF: json.dumps(proof, separators=(",", ":")).encode(),
            LOG_CHECKPOINT: self.note,
        }


def read_inclusion(parts: Mapping[str, bytes]) -> Inclusion:
    """The inclusion that a bundle carries. Raises RecheckError."""
    for name in (LOG_PROOF, LOG_CHECKPOINT):
        if name not in parts:
            raise RecheckError(
                name,
                "the part is missing: the leaf had no place in the log's signed tree, or the PVA keeps no log",
                remedy="export the result again: a leaf gets its place within seconds; where the merge delay that the result "
                "promises is over, ask the log (pva result logged)",
            )
    try:
        value = json.loads(parts[LOG_PROOF])
        found = Inclusion(
            index=int(value["index"]),
            proof=tuple(bytes.fromhex(each) for each in value["proof"]),
            note=parts[LOG_CHECKPOINT],
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise RecheckError(LOG_PROOF, f"cannot be read: {error}") from None
    if found.parts()[LOG_PROOF] != parts[LOG_PROOF]:
        raise RecheckError(LOG_PROOF, "it is not in its one spelling")
    return found
