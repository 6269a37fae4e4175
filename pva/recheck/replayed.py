"""The ports of a validation, filled from a bundle: what the PVA knew when it judged, and nothing that it knew since. Pure.

Rule: every answer comes out of a part, and its signature is verified again at the time when it was verified first; a part
that does not say what it must is named. Nothing is kept.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, TypeVar

from cryptography import x509
from cryptography.x509 import ocsp

from messages.errors import MessageError
from messages.runtime_policy import verify_runtime_policy
from messages.trust_list import TrustedSupplier
from pva.appraisal.continuity import DeviceHistory
from pva.appraisal.credential import PlatformCredential, Supplier
from pva.appraisal.manifest_chain import ChainedManifest, ManifestChain
from pva.appraisal.runtime_policies import RuntimePolicies
from pva.policies.narrowing import PolicyInForce
from pva.recheck.bundles import POLICY_TEXTS, RUNTIME_POLICY, RecheckError, manifest_part
from pva.refusals import RefusalError
from pva.requests import RelyingParty, ValidationRequest
from pva.results import grounds
from pva.results.grounds import ChainOnRecord, Grounds, LinkOnRecord
from pva.results.result import SignedResult
from standards.pki.crl import verify_crl
from standards.pki.errors import PkiError
from standards.pki.ocsp import build_request
from standards.pki.ocsp_answer import SKEW, CertStatus, StatusKind, verify_response
from standards.rats.corim import verify_manifest
from standards.rats.errors import RatsError

_ANSWERED: Final = timedelta(seconds=60)
"""How long after the time of a validation its OCSP response may have come and been judged."""
T = TypeVar("T")


@dataclass(slots=True, kw_only=True)
class Replayed:
    """Satisfies `ValidationStore`, `References`, `ReferencesNow`, `StatusSource` and `RuntimePolicySource` of a validation."""

    at: datetime
    parts: Mapping[str, bytes]
    request: ValidationRequest
    supplier: Supplier
    chain: ChainOnRecord
    history: DeviceHistory | None
    redeemed: set[bytes] = field(default_factory=set)

    @classmethod
    def of(cls, parts: Mapping[str, bytes], *, at: datetime) -> "Replayed":
        """Read the parts. Raises RecheckError."""
        return cls(
            at=at,
            parts=parts,
            request=read(grounds.REQUEST, lambda: grounds.read_request(parts[grounds.REQUEST])),
            supplier=read(grounds.RECOGNITION, lambda: grounds.read_recognition(parts[grounds.RECOGNITION])),
            chain=read(grounds.CHAIN, lambda: grounds.read_chain(parts[grounds.CHAIN])),
            history=read(grounds.HISTORY, lambda: grounds.read_history(parts[grounds.HISTORY])),
        )

    def current(self) -> "Replayed":
        """As they were when it was judged."""
        return self

    def suppliers(self) -> Sequence[Supplier]:
        """The one that was recognised as the credential's."""
        return (self.supplier,)

    def operator_trust(
        self, party: RelyingParty, *, supplier: str, at: datetime
    ) -> tuple[bool, TrustedSupplier | None]:
        """No list: it could only have refused, and there is a result."""
        del party, supplier, at
        return False, None

    def manifest_chain(self, digest: bytes) -> ManifestChain | None:
        """The chain as it stood, every link verified under the supplier's root. Raises RecheckError."""
        if not self.chain.links:
            return None
        if self.chain.links[0].digest != digest:
            raise RecheckError(grounds.CHAIN, "it does not begin with the manifest that the credential names")
        links: list[ChainedManifest] = []
        for place, link in enumerate(self.chain.links):
            links.append(self._link(link, place=place, before=links[-1] if links else None))
        return ManifestChain(links=tuple(links), permitted_models=self.chain.permitted_models)

    def _link(self, link: LinkOnRecord, *, place: int, before: ChainedManifest | None) -> ChainedManifest:
        name = manifest_part(place)
        try:
            verified = verify_manifest(self.parts[name], anchors=[self.supplier.root], at=link.imported_at)
        except (PkiError, RatsError) as error:
            raise RecheckError(name, str(error)) from None
        named = verified.manifest.predecessor
        if before is not None and (named is None or named.digest != before.digest):
            raise RecheckError(name, f"it does not follow manifest {before.manifest.id!r}")
        return ChainedManifest(
            manifest=verified.manifest,
            digest=verified.digest,
            imported_at=link.imported_at,
            approvals=link.approvals,
            approved_at=link.approved_at,
            retirement=link.retirement,
        )

    def redeem(self, digest: bytes, *, expires_at: datetime, at: datetime) -> bool:
        """Once."""
        del expires_at, at
        first = digest not in self.redeemed
        self.redeemed.add(digest)
        return first

    def open_request(
        self, request_id: str, *, device_id: str, at: datetime
    ) -> tuple[ValidationRequest, DeviceHistory | None] | None:
        """The request that was answered, and what was known of the device before. Raises RecheckError: of another one."""
        asked = self.request
        if (request_id, device_id) != (asked.id, asked.device_id) or asked.expires_at <= at:
            return None
        if self.history is not None and self.history.last.device_id != device_id:
            raise RecheckError(grounds.HISTORY, "it is of another device")
        return asked, self.history

    def holder_of_ak(self, ak_name: bytes) -> str | None:
        """As far as the device's own history says; a conflict with another device ended in a refusal, not in a result."""
        return self.history.last.device_id if self.history and self.history.last.ak_name == ak_name else None

    def record_result(
        self,
        result: SignedResult,
        *,
        grounds: Grounds,
        history: DeviceHistory,
        expected_revision: int | None,
        at: datetime,
    ) -> None:
        """Nothing is kept."""

    def record_refusal(
        self, request_id: str, refusal: RefusalError, *, authenticated: bool, at: datetime
    ) -> None:
        """Nothing is kept."""

    def in_force(self, party: RelyingParty, *, supplier: str) -> Sequence[PolicyInForce]:
        """The policies that judged. Raises RecheckError: the texts are not those, or of another owner's."""
        texts = read(POLICY_TEXTS, lambda: _texts(self.parts[POLICY_TEXTS]))
        by_digest = {hashlib.sha256(each.encode()).digest(): each for each in texts}
        owned = read(grounds.POLICIES, lambda: grounds.read_policies(self.parts[grounds.POLICIES]))
        if {digest for _, _, digest in owned} != set(by_digest):
            raise RecheckError(POLICY_TEXTS, "they are not the policies that judged")
        if not {(role, owner) for role, owner, _ in owned} <= {(party.role, party.tenant), ("es", supplier)}:
            raise RecheckError(
                grounds.POLICIES, "one is neither of the operator that asked nor of the supplier"
            )
        return [
            PolicyInForce(role=role, owner=owner, digest=digest, text=by_digest[digest])
            for role, owner, digest in owned
        ]

    def runtime(self, digests: Sequence[bytes], *, applied: bytes | None) -> RuntimePolicies:
        """The runtime policies in force, with the content of the one that judged. Raises RecheckError."""
        if applied is None:
            return RuntimePolicies(by_model={}, others=tuple(digests))
        try:
            verified = verify_runtime_policy(
                self.parts.get(RUNTIME_POLICY, b""), anchors=[self.supplier.root], at=self.at
            )
        except (MessageError, PkiError) as error:
            raise RecheckError(RUNTIME_POLICY, str(error)) from None
        if verified.digest != applied:
            raise RecheckError(RUNTIME_POLICY, "it is not the policy that judged")
        if verified.digest not in digests or verified.policy.supplier != self.supplier.name:
            raise RecheckError(grounds.POLICY, "the runtime policy that judged was not in force")
        models = [self.supplier.models.get(model, "") for model in verified.policy.models]
        places = {(self.supplier.name, hw_type): verified for hw_type in models}
        return RuntimePolicies(by_model=places, others=tuple(digests))

    def status_of(self, credential: PlatformCredential, at: datetime) -> CertStatus:
        """The answer as it came, to a question with the nonce that it repeats; or what the CRL says that was read."""
        if self.supplier.crls:
            return self._listed_status(credential, at)
        try:
            response = ocsp.load_der_ocsp_response(self.parts[grounds.STATUS])
            nonce = response.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce
            asked = build_request(credential.certificate, credential.issuer, nonce=nonce)
            return verify_response(
                self.parts[grounds.STATUS],
                request=asked,
                issuer=credential.issuer,
                at=at,
                skew=SKEW + _ANSWERED,
            )
        except (PkiError, ValueError, x509.ExtensionNotFound) as error:
            raise RecheckError(grounds.STATUS, str(error)) from None

    def _listed_status(self, credential: PlatformCredential, at: datetime) -> CertStatus:
        named = next((each for each in self.supplier.crls if each.issuer == credential.issuer), None)
        try:
            found = verify_crl(
                self.parts[grounds.STATUS],
                issuer=credential.issuer,
                at=at,
                distribution_point=None if named is None else named.url,
            )
        except PkiError as error:
            raise RecheckError(grounds.STATUS, str(error)) from None
        revocation = found.revoked.get(credential.certificate.serial_number)
        return CertStatus(
            kind=StatusKind.GOOD if revocation is None else StatusKind.REVOKED,
            revocation=revocation,
            this_update=found.this_update,
            next_update=found.next_update,
            raw=found.der,
        )


def read(part: str, reading: Callable[[], T]) -> T:
    """What a part says; one that cannot be read is named. Raises RecheckError."""
    try:
        return reading()
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise RecheckError(part, f"cannot be read: {error}") from None


def _texts(part: bytes) -> list[str]:
    texts = json.loads(part)
    if not isinstance(texts, list) or not all(isinstance(each, str) for each in texts):
        raise TypeError("expected a list of texts")
    return texts
