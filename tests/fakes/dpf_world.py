"""Everything that a DPF is shown, signed for real at a fixed time: right in all respects but what a test changes."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509

from messages import validation_request
from messages.authorization import AUTHORIZATION_KIND, Authorization
from messages.binding import PVA_STATEMENT, extra_data
from messages.instruction import INSTRUCTION_KIND
from messages.mid_package import PACKAGE_KIND, ApprovedUse, PackageHeader, SealedKey, package_digest
from messages.operator_token import OperatorSigner, verify_operator_token
from messages.order import ORDER_KIND, Order
from messages.reliance import RESULT_KIND
from messages.statement import Receipt, SignedStatement
from messages.validation_request import VALIDATION_REQUEST_OF_DPF, SignedRequest
from operators.dpf.credential import Supplier
from operators.dpf.gate import AuthorizedParts, Trust
from standards.pki import oids
from standards.pki.extensions import OperatorRole
from standards.pki.fingerprints import certificate_sha256
from standards.rats.ar4si import Tier
from standards.rats.ear import AttestationResult, CredentialReference, ManifestReference, Submodule
from standards.tpm2.constants import StructureTag
from standards.tpm2.hashing import digest
from standards.tpm2.structures import PcrSelection, QuoteInfo
from tests.fakes.attesting_device import SHA256, AttestingDevice
from tests.fakes.credentials import CredentialPlan, FakeSupplier
from tests.fakes.pki import LEAF_USAGE, NOW, Authority, Validity, p256

SHO, DPF, PVA = "sho-1", "dpf-1", "pva-1"
SELECTION = {SHA256: (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 14)}
CONTENT = bytes(range(256)) * 40
FRESH_NONCE = b"\xf5" * 32
LIFE = Validity(before=timedelta(days=1), after=timedelta(days=365 * 50))
"""From the fixed time of the fakes until long after today."""


def signer_of(
    authority: Authority, role: str, name: str, eku: x509.ObjectIdentifier, *, validity: Validity = LIFE
) -> OperatorSigner:
    """A service's signing key with a certificate under an operators' root."""
    key = p256()
    extensions = [(LEAF_USAGE, True), (OperatorRole(role=role, id=name).to_extension(), False)]
    certificate = authority.issue(
        f"{role} {name}", key=key.public_key(), eku=eku, extensions=extensions, validity=validity
    )
    return OperatorSigner(key=key, chain=(certificate,), issuer=name)


def affirming(**tiers: Tier) -> dict[str, Submodule]:
    """Two good scopes, but those that are given."""
    wanted = {"tre": Tier.AFFIRMING, "platform": Tier.AFFIRMING, **tiers}
    vectors = {Tier.AFFIRMING: {"executables": 2}, Tier.WARNING: {"executables": 33}}
    return {
        name: Submodule(
            status=tier,
            trustworthiness_vector=vectors.get(tier, {"executables": 96}),
            policy_ids=("baseline",),
            findings=(),
        )
        for name, tier in wanted.items()
    }


@dataclass
class DpfWorld:
    """An SHO, a PVA, a DPF under one operators' root; a supplier; one device with its PfC; at one time."""

    at: datetime = NOW
    operators: Authority = field(default_factory=lambda: Authority.root("operators' root", validity=LIFE))
    supplier: FakeSupplier = field(default_factory=lambda: FakeSupplier.make(validity=LIFE))
    device: AttestingDevice = field(default_factory=AttestingDevice)
    content: bytes = CONTENT

    def __post_init__(self) -> None:
        """Make the keys once."""
        self.sho = signer_of(self.operators, "sho", SHO, oids.EKU_SUBSCRIPTION)
        self.pva = signer_of(self.operators, "pva", PVA, oids.EKU_ATTESTATION_RESULT)
        self.dpf = signer_of(self.operators, "dpf", DPF, oids.EKU_DELIVERY)
        self.credential = self.supplier.credential(
            self.device.device_id, self.device.ak_key.public_key(), plan=CredentialPlan(validity=LIFE)
        )
        self.chain = self.supplier.chain(self.credential)

    @property
    def trust(self) -> Trust:
        """Whom this DPF believes."""
        return Trust(dpf=DPF, anchors=[self.operators.certificate], pvas=frozenset({PVA}))

    def recognised(self, **changed: Any) -> Supplier:
        """The supplier as this DPF recognises it."""
        known = Supplier(
            name=self.supplier.name,
            root=self.supplier.root.certificate,
            ocsp_url="http://127.0.0.1:1/",
            tre_level_min=0,
            models={},
        )
        return replace(known, **changed)

    @property
    def order(self) -> Order:
        """The order."""
        return Order(
            order_id="order-1",
            jti="order-token-1",
            order_code="12345678",
            sho=SHO,
            sho_name="Home Operator",
            subscriber="subscriber-1",
            device_id=self.device.device_id,
            ak_name=self.device.ak.name,
            audience=DPF,
            issued_at=self.at,
            expires_at=self.at + timedelta(days=1),
        )

    def result(self, **changed: Any) -> AttestationResult:
        """A verdict on the device; the SHO's unless told otherwise."""
        values = self.device.pcr_values(SELECTION)[SHA256]
        verdict = AttestationResult(
            result_id="result-1",
            issuer=PVA,
            audience=(SHO, DPF),
            issued_at=self.at,
            expires_at=self.at + timedelta(minutes=5),
            developer="open-pva",
            build="test",
            nonce=b"\x50" * 32,
            submodules=affirming(),
            purpose="validation",
            device_id=self.device.device_id,
            ak_name=self.device.ak.name,
            storage_key_name=self.device.storage.name,
            order_digest=self.order.digest,
            pcr_selections=SELECTION,
            pcr_digest=digest(SHA256, b"".join(values[index] for index in SELECTION[SHA256])),
            evidence_digest=bytes(32),
            policy_digest=bytes(32),
            pfc=CredentialReference(
                issuer_sha256=bytes.fromhex(certificate_sha256(self.supplier.issuing.certificate)),
                serial=self.credential.serial_number,
                sha256=bytes.fromhex(certificate_sha256(self.credential)),
            ),
            manifest=ManifestReference(id="release-1", digest=bytes(32), svn=3, release="1.0.0"),
            generation_counter=1,
        )
        return replace(verdict, **changed)

    def fresh(self, **changed: Any) -> AttestationResult:
        """The verdict that the DPF asked for."""
        wanted = {"result_id": "fresh-1", "nonce": FRESH_NONCE, "audience": (DPF, SHO), **changed}
        return self.result(**wanted)

    def signed_result(self, result: AttestationResult, *, by: OperatorSigner | None = None) -> str:
        """The token of a verdict."""
        return (by or self.pva).sign(result.claims(), typ=RESULT_KIND.typ)

    @property
    def package(self) -> PackageHeader:
        """The package; what only the TRE can judge is filled with recognisable bytes."""
        return PackageHeader(
            sho=SHO,
            dpf=DPF,
            package_id="package-1",
            version=1,
            mid_id="mid-1",
            device_id=self.device.device_id,
            ak_name=self.device.ak.name,
            storage_key_name=self.device.storage.name,
            order_digest=self.order.digest,
            sealed_key=SealedKey(public=b"public", duplicate=b"duplicate", encrypted_seed=b"seed"),
            policy_root=b"policy root",
            approvals=(ApprovedUse(approval=b"approval", delegation=b"delegation"),),
            content_nonce=bytes(12),
            content_size=len(self.content),
            content_sha256=hashlib.sha256(self.content).digest(),
            receipt_nonce=b"\x4e" * 32,
            issued_at=self.at,
            expires_at=self.at + timedelta(hours=1),
        )

    def authorization(self, package_token: str, **changed: Any) -> Authorization:
        """The SHO's word."""
        word = Authorization(
            sho=SHO,
            dpf=DPF,
            jti="authorization-1",
            order_digest=self.order.digest,
            device_id=self.device.device_id,
            ak_name=self.device.ak.name,
            storage_key_name=self.device.storage.name,
            result_id="result-1",
            package_digest=package_digest(package_token),
            issued_at=self.at,
            expires_at=self.at + timedelta(hours=1),
        )
        return replace(word, **changed)

    def parts(
        self,
        *,
        changed: Mapping[str, Mapping[str, Any]] | None = None,
        signers: Mapping[str, OperatorSigner] | None = None,
        content: bytes | None = None,
    ) -> AuthorizedParts:
        """All that the SHO brings; `changed` and `signers` by the name of the part that is made otherwise."""
        change, by = changed or {}, signers or {}
        package_claims = replace(self.package, **change.get("package", {})).claims()
        package = by.get("package", self.sho).sign(package_claims, typ=PACKAGE_KIND.typ)
        order = replace(self.order, **change.get("order", {}))
        word = self.authorization(package, **change.get("authorization", {}))
        return AuthorizedParts(
            authorization=by.get("authorization", self.sho).sign(word.claims(), typ=AUTHORIZATION_KIND.typ),
            order=by.get("order", self.sho).sign(order.claims(), typ=ORDER_KIND.typ),
            result=self.signed_result(self.result(**change.get("result", {})), by=by.get("result")),
            package=package,
            content=self.content if content is None else content,
        )

    def asked(self, request: str, *, at: datetime | None = None) -> SignedRequest:
        """The DPF's question, verified as the PVA does."""
        signed = verify_operator_token(
            request, VALIDATION_REQUEST_OF_DPF, anchors=[self.operators.certificate], at=at or self.at
        )
        return validation_request.read_claims(signed.claims)

    def receipt(self, package_token: str, **changed: Any) -> Receipt:
        """What the TRE says of a package."""
        said = Receipt(
            device_id=self.device.device_id,
            order_digest=self.order.digest,
            package_digest=package_digest(package_token),
            mid_id="mid-1",
            outcome="installed",
            detail="",
            tre_nonce=b"\x7e" * 32,
            version=1,
        )
        return replace(said, **changed)

    def statement(
        self, receipt: Receipt, *, nonce: bytes | None = None, device: AttestingDevice | None = None
    ) -> bytes:
        """A receipt under the TRE's signature: a quote over it."""
        whose, body = device or self.device, receipt.encode()
        values = whose.pcr_values(SELECTION)[SHA256]
        info = QuoteInfo(
            pcr_selections=(PcrSelection(bank=SHA256, indices=SELECTION[SHA256]),),
            pcr_digest=digest(SHA256, b"".join(values[index] for index in SELECTION[SHA256])),
        )
        data = extra_data(PVA_STATEMENT, nonce=nonce or self.package.receipt_nonce, body=body)
        attest, signature = whose.attested(StructureTag.ATTEST_QUOTE, info, data)
        signed = SignedStatement(body=body, attest=attest, signature=signature, ak_public=whose.ak.encode())
        return signed.encode()

    def instruction(self) -> str:
        """What the SHO answers to a good receipt."""
        claims = {"sub": self.device.device_id, "pva_action": "activate", "pva_mid_id": "mid-1"}
        return self.sho.sign(claims, typ=INSTRUCTION_KIND.typ)
