"""The policies that operators and suppliers write (Cedar): what they may say, and what is wrong with one, by line. Pure.

Rule: a policy can only deny. Each statement is a `forbid` with a name (`@id`) and a reason for people (`@reason`); one that
permits, that speaks of what no request has, or that can never apply is refused when it is read, with its line and what to
write instead. Size and depth are bounded before the language's own parser sees the text: it recurses.

    @id("no-old-firmware")
    @reason("our network takes no release below svn 3")
    forbid (principal, action, resource) when { resource.svn < 3 };

Source: Cedar policy language reference (docs.cedarpolicy.com), "Policy syntax", "Schema".
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import cedarpy

from messages.challenge import PURPOSES
from pva.appraisal.findings import FindingCode
from standards.rats.ar4si import Tier

POLICY_BYTES_MAX: Final = 16_384
STATEMENTS_MAX: Final = 64
DEPTH_MAX: Final = 32
REASON_MAX: Final = 300
FAULTS_MAX: Final = 32

SCHEMA: Final = """
namespace PVA {
  entity Supplier;
  entity Model in [Supplier];
  entity Device in [Model] = { supplier: String, model: String, hw_type: String, tre_level: Long };
  entity Manifest = { id: String, supplier: String, svn: Long, known: Bool };
  type SecureBoot = { known: Bool, enabled: Bool, shim_validates: Bool };
  type Context = {
    requester: String, role: String, purpose: String,
    tre: String, platform: String, findings: Set<String>,
    secure_boot: SecureBoot, ima: Bool,
    svn_highest?: Long, seen_before: Bool, last_seen_days?: Long,
    credential_age_days: Long, credential_days_left: Long, manifest_days_left?: Long,
    tpm_firmware: String, tpm_resets: Long, clock_safe: Bool
  };
  action validate, release, recovery appliesTo { principal: Device, resource: Manifest, context: Context };
}
"""
"""What a policy can speak of; `pva.policies.facts` fills it in."""

_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_POLICY_NAME = re.compile(r"^policy(\d+)$")
_PREFIX = re.compile(r"^for policy `[^`]*`, ")
_ACTION = re.compile(r' in context for PVA::Action::"[a-z]+"')
_OPENING, _CLOSING = frozenset("([{"), frozenset(")]}")
_FINDINGS = frozenset(code.value for code in FindingCode)
_WORDS: Final[Mapping[str, frozenset[str]]] = {
    "tre": frozenset(tier.value for tier in Tier),
    "platform": frozenset(tier.value for tier in Tier),
    "purpose": PURPOSES,
    "role": frozenset({"sho", "dpf"}),
}
"""Attributes of the context that have few values: to compare one with another word never applies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One `forbid`: its name, the reason that people read, and the line where it begins."""

    id: str
    reason: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What is wrong with a policy, where, and what to do."""

    line: int
    message: str
    remedy: str

    def __str__(self) -> str:
        """The fault in a line."""
        return f"line {self.line}: {self.message}; {self.remedy}"


class PolicyFaultsError(Exception):
    """A text is no policy that may be in force; `faults` says why, in the order of its lines."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        """Keep the faults."""
        super().__init__("; ".join(str(each) for each in faults))
        self.faults = faults


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A policy without faults; `digest` is the SHA-256 of its text as it was written."""

    text: str
    digest: bytes
    statements: tuple[Statement, ...]

    @property
    def name(self) -> str:
        """How a person recognises it: by its first statement, and how many follow."""
        more = len(self.statements) - 1
        return self.statements[0].id + (f" and {more} more" if more else "")


def read_policy(text: str) -> Policy:
    """A policy out of its text; equal texts are read once. Raises PolicyFaultsError."""
    if not text.strip() or len(text.encode()) > POLICY_BYTES_MAX:
        message = f"a policy has 1 to {POLICY_BYTES_MAX} bytes, this text has {len(text.encode())}"
        raise PolicyFaultsError((Fault(line=1, message=message, remedy="split it into several policies"),))
    return _read(text)


@lru_cache(maxsize=256)
def _read(text: str) -> Policy:
    _refuse_depth(text)
    parts = _parts(text)
    if not 1 <= len(parts) <= STATEMENTS_MAX:
        message = f"a policy has 1 to {STATEMENTS_MAX} statements, this one has {len(parts)}"
        raise PolicyFaultsError((Fault(line=1, message=message, remedy="split it into several policies"),))
    parsed = _parsed(text, parts)
    faults = [fault for number, (line, _) in enumerate(parts) for fault in _faults(parsed[number], line=line)]
    faults += _repeated(parsed, parts)
    faults += _against_schema(text, parts)
    if faults:
        raise PolicyFaultsError(tuple(sorted(faults, key=lambda each: each.line)[:FAULTS_MAX]))
    statements = (
        Statement(id=each["annotations"]["id"], reason=each["annotations"]["reason"], line=line)
        for each, (line, _) in zip(parsed, parts, strict=True)
    )
    return Policy(text=text, digest=hashlib.sha256(text.encode()).digest(), statements=tuple(statements))


def schema() -> cedarpy.Schema:
    """The schema, parsed once."""
    return _schema()


@lru_cache(maxsize=1)
def _schema() -> cedarpy.Schema:
    return cedarpy.Schema.from_str(SCHEMA)


def _code(text: str) -> Iterator[tuple[int, str]]:
    """Place and character of all that is neither in a string nor in a comment."""
    place, quoted = 0, False
    while place < len(text):
        character = text[place]
        if quoted and character == "\\":
            place += 2
            continue
        if character == '"':
            quoted = not quoted
        elif not quoted:
            if text.startswith("//", place):
                end = text.find("\n", place)
                place = len(text) if end < 0 else end
                continue
            yield place, character
        place += 1


def _refuse_depth(text: str) -> None:
    """Refuse nesting that no person reads, before a parser descends into it."""
    depth = 0
    for place, character in _code(text):
        depth += (character in _OPENING) - (character in _CLOSING)
        if depth > DEPTH_MAX:
            message = f"more than {DEPTH_MAX} brackets are open"
            raise PolicyFaultsError(
                (Fault(line=_line(text, place), message=message, remedy="write it flatter"),)
            )


def _parts(text: str) -> list[tuple[int, str]]:
    """Line and text of each statement; a `;` ends one wherever it is code."""
    parts, start, first = [], 0, None
    for place, character in _code(text):
        if first is None and not character.isspace():
            first = place
        if character == ";":
            parts.append((_line(text, place if first is None else first), text[start : place + 1]))
            start, first = place + 1, None
    if first is not None:
        parts.append((_line(text, first), text[start:]))
    return parts


def _line(text: str, place: int) -> int:
    return text.count("\n", 0, place) + 1


def _parsed(text: str, parts: list[tuple[int, str]]) -> list[Mapping[str, Any]]:
    """Each statement as the language's parser reads it; the first that it does not read is named."""
    try:
        whole = json.loads(cedarpy.policies_to_json_str(text))
    except (ValueError, RecursionError) as error:
        raise PolicyFaultsError((_unreadable(parts, why=str(error)),)) from None
    if whole["templates"] or len(whole["staticPolicies"]) != len(parts):
        line = next((line for line, part in parts if "?" in part), parts[0][0])
        fault = Fault(
            line=line, message="a template says nothing by itself", remedy="write a policy without slots"
        )
        raise PolicyFaultsError((fault,))
    return [whole["staticPolicies"][f"policy{number}"] for number in range(len(parts))]


def _unreadable(parts: list[tuple[int, str]], *, why: str) -> Fault:
    remedy = "see the Cedar policy syntax: annotations, forbid (principal, action, resource) when { ... };"
    for line, part in parts:
        try:
            json.loads(cedarpy.policies_to_json_str(part))
        except RecursionError:
            return Fault(
                line=line, message="the statement is too long a chain", remedy="write several statements"
            )
        except ValueError as error:
            return Fault(line=line, message=f"cannot be read: {error}", remedy=remedy)
    return Fault(line=parts[0][0], message=f"cannot be read: {why}", remedy=remedy)


def _faults(statement: Mapping[str, Any], *, line: int) -> Iterator[Fault]:
    """What is wrong with one statement that the language itself would take."""
    annotations = statement.get("annotations", {})
    if statement["effect"] != "forbid":
        yield Fault(
            line=line, message="a permit has no effect here: a policy can only deny", remedy="write forbid"
        )
    if not _ID.fullmatch(annotations.get("id") or ""):
        remedy = 'write @id("name") before it: lower-case letters, digits and hyphens, at most 64'
        yield Fault(line=line, message="the statement has no name", remedy=remedy)
    reason = annotations.get("reason") or ""
    if not reason.strip() or len(reason) > REASON_MAX or not reason.isprintable():
        remedy = (
            f'write @reason("...") before it, a sentence of at most {REASON_MAX} characters for who is denied'
        )
        yield Fault(line=line, message="the statement has no reason", remedy=remedy)
    surplus = sorted(set(annotations) - {"id", "reason"})
    if surplus:
        yield Fault(line=line, message=f"unknown annotation @{surplus[0]}", remedy="use @id and @reason")
    for condition in statement["conditions"]:
        yield from _never(condition, line=line)
        yield from _unknown_words(condition["body"], line=line)


def _never(condition: Mapping[str, Any], *, line: int) -> Iterator[Fault]:
    constant = condition["body"].get("Value")
    if isinstance(constant, bool) and constant is (condition["kind"] == "unless"):
        word = str(constant).lower()
        message = f"it can never apply: {condition['kind']} {{ {word} }}"
        yield Fault(line=line, message=message, remedy="delete the statement, or retire the policy")


def _unknown_words(node: Any, *, line: int) -> Iterator[Fault]:
    """Words that no request ever has: a comparison with one never applies, most often for a slip of the pen."""
    if isinstance(node, list):
        for each in node:
            yield from _unknown_words(each, line=line)
    if not isinstance(node, Mapping):
        return
    for operator, inner in node.items():
        if operator in {"==", "!=", "contains", "containsAny", "containsAll"} and isinstance(inner, Mapping):
            yield from _compared(inner, line=line)
        yield from _unknown_words(inner, line=line)


def _compared(inner: Mapping[str, Any], *, line: int) -> Iterator[Fault]:
    for one, other in ((inner["left"], inner["right"]), (inner["right"], inner["left"])):
        attribute = _context_attribute(one)
        known = _FINDINGS if attribute == "findings" else _WORDS.get(attribute or "")
        for word in _texts(other) if known is not None else ():
            if known is not None and word not in known:
                remedy = (
                    "write a code that docs/PROTOCOL.md or pva result explain shows"
                    if attribute == "findings"
                    else ""
                )
                yield Fault(
                    line=line,
                    message=f"context.{attribute} is never {word[:64]!r}",
                    remedy=remedy or f"write one of {', '.join(sorted(known))}",
                )


def _context_attribute(node: Any) -> str | None:
    access = node.get(".") if isinstance(node, Mapping) else None
    if isinstance(access, Mapping) and access["left"] == {"Var": "context"}:
        return str(access["attr"])
    return None


def _texts(node: Any) -> list[str]:
    if isinstance(node, Mapping) and isinstance(node.get("Value"), str):
        return [node["Value"]]
    if isinstance(node, Mapping) and isinstance(node.get("Set"), list):
        return [text for each in node["Set"] for text in _texts(each)]
    return []


def _repeated(parsed: list[Mapping[str, Any]], parts: list[tuple[int, str]]) -> Iterator[Fault]:
    seen: set[str] = set()
    for statement, (line, _) in zip(parsed, parts, strict=True):
        name = statement.get("annotations", {}).get("id") or ""
        if name in seen and name:
            yield Fault(
                line=line, message=f"another statement is called {name!r}", remedy="give it a name of its own"
            )
        seen.add(name)


def _against_schema(text: str, parts: list[tuple[int, str]]) -> Iterator[Fault]:
    """Unknown entities and attributes, wrong types, unguarded optional attributes: each once a statement."""
    said: set[tuple[int, str]] = set()
    for error in cedarpy.validate_policies(text, schema()).errors:
        named = _POLICY_NAME.match(error.policy_id)
        line = parts[int(named[1])][0] if named and int(named[1]) < len(parts) else parts[0][0]
        message = _ACTION.sub("", _PREFIX.sub("", error.error))
        if (line, message) not in said:
            said.add((line, message))
            yield Fault(line=line, message=message, remedy=_remedy(message))


def _remedy(message: str) -> str:
    if "optional attribute" in message:
        return "ask first whether it is there: context has NAME && context.NAME ..."
    if "not found" in message:
        return "docs/CLI.md lists the attributes of device, manifest and context"
    return "docs/CLI.md shows what a policy can speak of"
