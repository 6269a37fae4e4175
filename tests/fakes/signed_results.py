"""Results as a PVA under an operators' root of the tests signs them."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509

from messages.operator_token import OperatorSigner
from standards.pki import oids
from standards.pki.extensions import OperatorRole
from standards.pki.fingerprints import certificate_sha256
from standards.rats.ar4si import Tier
from standards.rats.ear import RESULT_TYPE, CredentialReference, Submodule
from tests.fakes.pki import DEFAULT_VALIDITY, LEAF_USAGE, Authority, Validity, p256
from tests.unit.standards.rats.results import RESULT

CLAIMS = {
    Tier.AFFIRMING: {"executables": 3},
    Tier.WARNING: {"executables": 33},
    Tier.CONTRAINDICATED: {"executables": 96},
}


class ResultSigner:
    """A PVA's key, certified by `root`; `role` lets somebody else sign."""

    def __init__(self, root: Authority, *, role: str = "pva", validity: Validity = DEFAULT_VALIDITY) -> None:
        """Make and certify the key."""
        key = p256()
        named = OperatorRole(role=role, id="pva.example").to_extension()
        leaf = root.issue(
            "PVA",
            key=key.public_key(),
            eku=oids.EKU_ATTESTATION_RESULT,
            extensions=[(LEAF_USAGE, True), (named, False)],
            validity=validity,
        )
        self._signer = OperatorSigner(key=key, chain=(leaf,), issuer="pva.example")

    def token(
        self,
        issuer: x509.Certificate,
        serial: int,
        *,
        at: datetime,
        tier: Tier = Tier.AFFIRMING,
        audience: tuple[str, ...] = ("sho-1", "dpf-1"),
        **changed: Any,
    ) -> str:
        """A signed result about the certificate of that number of `issuer`, issued `at`."""
        submodule = Submodule(
            status=tier, trustworthiness_vector=CLAIMS[tier], policy_ids=("baseline",), findings=()
        )
        pfc = CredentialReference(
            issuer_sha256=bytes.fromhex(certificate_sha256(issuer)), serial=serial, sha256=b"\x2c" * 32
        )
        fields: dict[str, Any] = {
            "audience": audience,
            "issued_at": at,
            "expires_at": at + timedelta(minutes=5),
            "submodules": {"tre": submodule, "platform": submodule},
            "pfc": pfc,
        }
        return self._signer.sign(replace(RESULT, **{**fields, **changed}).claims(), typ=RESULT_TYPE)
