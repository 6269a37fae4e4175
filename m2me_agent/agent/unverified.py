"""What the agent reads in tokens that it carries: where to go next, and what to say to people.

Rule: nothing here is verified, and nothing is decided on it: a forged URL leads to nobody whom TLS and TRE trust, a
forged digest costs a download. Each token goes to the TRE as it came, and the TRE judges it.
"""

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass
from typing import Any

from m2me_agent.agent.errors import RefusedError
from m2me_agent.tre_protocol import Refusal
from standards.rats.fields import Fields

DIGEST_SIZE = 32
_SEGMENTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class UnverifiedDiscovery:
    """Who is said to be the operator, why, and where PVA and DPF are said to be."""

    sho: str
    sho_name: str
    source: str
    pva_url: str
    dpf_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnverifiedPackage:
    """Which MID a package says that it holds, and what its content should be: SHA-256, to notice a damaged download."""

    mid_id: str
    content_sha256: bytes


def read_discovery(token: str) -> UnverifiedDiscovery:
    """Read a discovery answer. Raises RefusedError where it is none."""
    fields = _claims(token, what="discovery")
    return UnverifiedDiscovery(
        sho=fields.text("pva_sho", size_max=64),
        sho_name=fields.text("pva_sho_name", size_max=64),
        source=fields.text("pva_source", size_max=32),
        pva_url=fields.text("pva_url", size_max=500),
        dpf_url=fields.text("dpf_url", size_max=500),
    )


def read_package(token: str) -> UnverifiedPackage:
    """Read a package's header. Raises RefusedError where it is none."""
    fields = _claims(token, what="package")
    return UnverifiedPackage(
        mid_id=fields.text("pva_mid_id", size_max=64),
        content_sha256=fields.hex("pva_content_sha256", size_min=DIGEST_SIZE, size_max=DIGEST_SIZE),
    )


def token_digest(token: str) -> str:
    """Name of a token as it came, hexadecimal."""
    return hashlib.sha256(token.encode("utf-8", errors="replace")).hexdigest()


def _claims(token: str, *, what: str) -> Fields:
    segments = token.split(".")
    claims: Any = None
    if len(segments) == _SEGMENTS and token.isascii():
        try:
            padded = segments[1] + "=" * (-len(segments[1]) % 4)
            claims = json.loads(base64.urlsafe_b64decode(padded))
        except (binascii.Error, ValueError, RecursionError):
            claims = None
    return Fields(claims, what=what, refusal=_refused)


def _refused(what: str, expected: str, got: str) -> RefusedError:
    return RefusedError(
        Refusal(
            code="answer",
            subject=what,
            reason=f"expected {expected}, got {got}",
            remedy="tell the service's operator; versions may differ",
        )
    )
