"""What operators' services say to this TRE: tokens under the operators' root, judged without a clock.

The rule (D17): this TRE never asks what time it is. A signer's certificate is judged at the time at which the
token says that it was made; a token has expired when it ended before the time that it is at least, as far as PVAs
have told (see pva_time: no PVA alone raises it without bounds). An instruction has no times, it answers a nonce, and a
registry query none, since anybody may hear its answer that could hear it before: their
signer is judged at the known time, or at the beginning of its certificate where that is later.
"""

import json
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from cryptography import x509
from joserfc.util import urlsafe_b64decode

from m2me_agent.tre.anchors import Anchors
from m2me_agent.tre.errors import AnchorError, MalformedError
from messages.connectivity import CONNECTIVITY_KIND, Connectivity
from messages.connectivity import read_claims as read_connectivity
from messages.delivery import DELIVERY_KIND, Delivery
from messages.delivery import read_claims as read_delivery
from messages.discovery import DISCOVERY_KIND, Discovery
from messages.discovery import read_claims as read_discovery
from messages.errors import MessageError
from messages.instruction import INSTRUCTION_KIND, Instruction
from messages.instruction import read_claims as read_instruction
from messages.mid_package import PACKAGE_KIND, PackageHeader
from messages.mid_package import read_claims as read_package
from messages.mid_policy import (
    DEVICE_POLICY_BYTES_MAX,
    DEVICE_POLICY_TYPE,
    DevicePolicy,
    read_device_policy,
)
from messages.operator_token import TOKEN_BYTES_MAX, TokenKind, verify_operator_token
from messages.order import ORDER_KIND, Order
from messages.order import read_claims as read_order
from messages.ownership import OWNERSHIP_BYTES_MAX, OWNERSHIP_TYPE, Ownership
from messages.ownership import read_claims as read_ownership
from messages.registry import QUERY_KIND, RegistryQuery, read_query
from messages.release import RELEASE_KIND, Release, read_release
from messages.switch import SWITCH_KIND, Switch, read_switch
from messages.update_approvals import UPDATE_APPROVALS_KIND, UpdateApprovals
from messages.update_approvals import read_claims as read_update_approvals
from standards.pki import oids
from standards.pki.errors import PkiError
from standards.pki.fingerprints import decode_certificate
from standards.pki.jws import verify_jws
from standards.rats.fields import Fields

Read = TypeVar("Read")


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorTokens:
    """The tokens of one moment: the factory's anchors, and what the time is at least (None: nobody has told it)."""

    anchors: Anchors
    known_time: datetime | None

    def connectivity(self, token: str) -> Connectivity:
        """A CCIF's connectivity. Raises AnchorError, MalformedError."""
        return _read(read_connectivity, self._dated_claims(token, CONNECTIVITY_KIND), "connectivity")

    def order(self, token: str) -> Order:
        """An SHO's order that is not known to be over. Raises AnchorError, MalformedError."""
        order = _read(read_order, self._dated_claims(token, ORDER_KIND), "order")
        self._check_life("order", order.issued_at, order.expires_at)
        return order

    def discovery(self, token: str) -> Discovery:
        """A DRF's answer that is not known to be over. Raises AnchorError, MalformedError."""
        found = _read(read_discovery, self._dated_claims(token, DISCOVERY_KIND), "discovery")
        self._check_life("discovery", found.issued_at, found.expires_at)
        return found

    def package(self, token: str) -> PackageHeader:
        """An SHO's package that is not known to be over. Raises AnchorError, MalformedError."""
        header = _read(read_package, self._dated_claims(token, PACKAGE_KIND), "package")
        self._check_life("package", header.issued_at, header.expires_at)
        return header

    def delivery(self, token: str) -> Delivery:
        """A DPF's delivery that is not known to be over. Raises AnchorError, MalformedError."""
        delivery = _read(read_delivery, self._dated_claims(token, DELIVERY_KIND), "delivery")
        self._check_life("delivery", delivery.issued_at, delivery.expires_at)
        return delivery

    def instruction(self, token: str) -> Instruction:
        """An SHO's instruction; whether it answers an open nonce is the caller's check. AnchorError, MalformedError."""
        claims = self._claims(token, INSTRUCTION_KIND, at=self._undated(token))
        return _read(read_instruction, claims, "instruction")

    def switch(self, token: str) -> Switch:
        """A new owner's word in a change of operator; its nonce is the caller's check. AnchorError, MalformedError."""
        return _read(read_switch, self._claims(token, SWITCH_KIND, at=self._undated(token)), "switch")

    def release(self, token: str) -> Release:
        """A prior owner's release; whether it owns the MID is the caller's check. AnchorError, MalformedError."""
        return _read(read_release, self._claims(token, RELEASE_KIND, at=self._undated(token)), "release")

    def registry_query(self, token: str) -> RegistryQuery:
        """An SHO's question about its MIDs. Raises AnchorError, MalformedError."""
        claims = self._claims(token, QUERY_KIND, at=self._undated(token))
        return _read(read_query, claims, "registry query")

    def update_approvals(self, token: str) -> UpdateApprovals:
        """An SHO's approvals for an update; whether they answer an open nonce, and what they open, is the caller's check.

        Raises AnchorError, MalformedError.
        """
        claims = self._claims(token, UPDATE_APPROVALS_KIND, at=self._undated(token))
        return _read(read_update_approvals, claims, "update approvals")

    def ownership(self, token: str) -> Ownership:
        """The supplier's ownership record, under the ES root. Raises AnchorError, MalformedError."""
        what = "ownership record"
        claims = self._supplier_claims(token, OWNERSHIP_TYPE, bytes_max=OWNERSHIP_BYTES_MAX, what=what)
        return _read(read_ownership, claims, what)

    def device_policy(self, token: str) -> DevicePolicy:
        """The supplier's policy for the whole device, under the ES root (R45). Raises AnchorError, MalformedError."""
        what = "device policy"
        claims = self._supplier_claims(
            token, DEVICE_POLICY_TYPE, bytes_max=DEVICE_POLICY_BYTES_MAX, what=what
        )
        return _read(read_device_policy, claims, what)

    def _supplier_claims(self, token: str, typ: str, *, bytes_max: int, what: str) -> dict[str, Any]:
        try:
            verified = verify_jws(
                token,
                anchors=self.anchors.es_roots,
                eku=oids.EKU_BATCH_SIGNING,
                typ=typ,
                at=_issued_at(token),
                bytes_max=bytes_max,
            )
        except PkiError as error:
            raise _untrusted(what, str(error)) from error
        return verified.claims

    def _undated(self, token: str) -> datetime:
        begins_at = _signer_begins_at(token)
        return begins_at if self.known_time is None else max(self.known_time, begins_at)

    def _dated_claims(self, token: str, kind: TokenKind) -> dict[str, Any]:
        return self._claims(token, kind, at=_issued_at(token))

    def _claims(self, token: str, kind: TokenKind, *, at: datetime) -> dict[str, Any]:
        try:
            verified = verify_operator_token(token, kind, anchors=self.anchors.operators_roots, at=at)
        except MessageError as error:
            raise _untrusted(kind.typ, str(error)) from error
        return verified.claims

    def _check_life(self, what: str, issued_at: datetime, expires_at: datetime) -> None:
        known = self.known_time
        if expires_at <= issued_at or (known is not None and expires_at <= known):
            got = "no life" if known is None else f"one that ended at {expires_at:%Y-%m-%dT%H:%M:%SZ}"
            raise _untrusted(what, f"expected one that is not over, got {got}")


def kind_of(token: str) -> str:
    """What a token says that it is, proven by nobody: only good for choosing who reads it. Raises MalformedError."""
    return str(_segment(token, 0).get("typ"))


def _read(read: Callable[[object], Read], claims: object, what: str) -> Read:
    try:
        return read(claims)
    except MessageError as error:
        raise _malformed(what, str(error)) from error


def _issued_at(token: str) -> datetime:
    """Issue time as the token says, proven by nobody: only good as the moment at which its signer is judged."""
    claims = _segment(token, 1)
    try:
        return Fields({"iat": claims.get("iat")}, what="token", refusal=_refusal).time("iat")
    except OverflowError as error:
        raise _malformed("token", "its time is none") from error


def _signer_begins_at(token: str) -> datetime:
    """Beginning of the certificate that a token names as its signer's, proven by nobody."""
    chain = _segment(token, 0).get("x5c")
    try:
        if not isinstance(chain, list):
            raise _malformed("token", "names no signer")
        leaf: x509.Certificate = decode_certificate(b64decode(chain[0], validate=True))
    except (PkiError, ValueError, TypeError, IndexError) as error:
        raise _malformed("token", f"its signer cannot be read: {error}") from error
    return leaf.not_valid_before_utc


def _segment(token: str, number: int) -> dict[str, Any]:
    if len(token) > TOKEN_BYTES_MAX:
        raise _malformed("token", f"expected at most {TOKEN_BYTES_MAX} characters, got {len(token)}")
    try:
        segments = token.encode("ascii").split(b".")
        content = json.loads(urlsafe_b64decode(segments[number]))
    except (ValueError, IndexError, RecursionError) as error:
        raise _malformed("token", "is no compact JWS") from error
    if not isinstance(content, dict):
        raise _malformed("token", "is no compact JWS")
    return content


def _refusal(what: str, expected: str, got: str) -> MalformedError:
    return _malformed(what, f"expected {expected}, got {got}")


def _malformed(what: str, reason: str) -> MalformedError:
    return MalformedError(subject=what, reason=reason, remedy="have its sender make a new one")


def _untrusted(what: str, reason: str) -> AnchorError:
    return AnchorError(
        subject=what,
        reason=reason,
        remedy="use one whose signer is under the operators' root of this device's image, and that is not over",
    )
