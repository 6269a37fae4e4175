"""A gate of somebody else's: a download leaves for a device that is, at this moment, the right one in an approved state.

docs/BRING-YOUR-OWN-DPF.md shows this file; it needs `clients`, `messages`, `standards` and `edge` of this project alone.
"""

import hashlib
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from clients.ocsp import OcspClient
from clients.pva import PvaOperatorClient
from messages.reliance import Expected, check_answers, permits_release, verify_result
from standards.pki import oids
from standards.pki.ocsp_answer import StatusKind
from standards.pki.paths import validate_path
from standards.rats.ear import AttestationResult


@dataclass(frozen=True, kw_only=True)
class Gate:
    """Who you are at the PVA (`tenant`), and whom you believe: two roots, one responder. All of it is your own setting."""

    pva: PvaOperatorClient
    tenant: str
    operators_root: x509.Certificate
    supplier_root: x509.Certificate
    ocsp_url: str

    def why_not(
        self, device_id: str, credential: Sequence[x509.Certificate], *, wait_s: float = 60
    ) -> list[str]:
        """Findings that keep the download here; an empty list opens. Raises what the libraries raise: then it stays shut."""
        result = self.validated(device_id, wait_s=wait_s)
        if not permits_release(result):
            found = [each for part in result.submodules.values() for each in part.findings]
            return [each.code for each in found] or ["not-affirming"]
        leaf, issuer, *_ = validate_path(
            credential[0],
            intermediates=credential[1:],
            anchors=[self.supplier_root],
            at=datetime.now(UTC),
            eku=oids.EKU_PLATFORM_CREDENTIAL,
        )
        if hashlib.sha256(leaf.public_bytes(Encoding.DER)).digest() != result.pfc.sha256:
            return ["another-credential"]
        ocsp = OcspClient(self.ocsp_url, random_bytes=secrets.token_bytes, clock=lambda: datetime.now(UTC))
        status = ocsp.ask(leaf, issuer=issuer)  # with a nonce: an answer from yesterday is none
        return [] if status.kind is StatusKind.GOOD and status.revocation is None else ["credential-revoked"]

    def validated(self, device_id: str, *, wait_s: float) -> AttestationResult:
        """A result of this moment, for this device, on a nonce of one's own."""
        nonce = secrets.token_bytes(32)
        asked = self.pva.request_validation(device_id=device_id, nonce=nonce, audience=[self.tenant])
        deadline = time.monotonic() + wait_s
        while (progress := self.pva.validation(asked)).result is None:
            if progress.state != "pending" or time.monotonic() > deadline:
                raise TimeoutError(
                    f"no result: {[each.code for each in progress.refusals] or progress.state}"
                )
            time.sleep(0.2)
        result = verify_result(progress.result, anchors=[self.operators_root], at=datetime.now(UTC))
        check_answers(result, Expected(audience=self.tenant, device_id=device_id, nonce=nonce))
        return result
