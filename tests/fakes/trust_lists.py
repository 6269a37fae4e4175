"""Issuers of trust lists, and lists that they sign."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from messages.operator_token import OperatorSigner
from messages.trust_list import TRUST_LIST_KIND, Accreditation, TrustedSupplier, TrustList
from pva.manifests.trust_lists import TrustListSource
from standards.pki import oids
from standards.pki.extensions import OperatorRole
from tests.fakes.credentials import MODEL, FakeSupplier, hw_type
from tests.fakes.pki import LEAF_USAGE, NOW, Authority, p256

AUDIT = Accreditation(
    scheme="SAS", certificate="SAS-17", valid_from=NOW - timedelta(days=30), valid_to=NOW + timedelta(days=30)
)


@dataclass
class ListIssuer:
    """Somebody who vouches for suppliers, with a root of its own."""

    name: str = "overseer-1"
    role: str = "overseer"
    root: Authority = field(default_factory=lambda: Authority.root("overseers' root"))
    key: EllipticCurvePrivateKey = field(default_factory=p256)

    @property
    def source(self) -> TrustListSource:
        """As the settings of a PVA name it."""
        return TrustListSource(role=self.role, anchors=(self.root.certificate,))

    def sign(
        self, *suppliers: TrustedSupplier, sequence: int = 1, days: int = 10, role: str | None = None
    ) -> str:
        """A list of these suppliers."""
        content = TrustList(
            issuer=self.name,
            sequence=sequence,
            issued_at=NOW,
            expires_at=NOW + timedelta(days=days),
            suppliers=suppliers,
        )
        extensions = [
            (LEAF_USAGE, True),
            (OperatorRole(role=role or self.role, id=self.name).to_extension(), False),
        ]
        certificate = self.root.issue(
            self.name, key=self.key.public_key(), eku=oids.EKU_TRUST_LIST, extensions=extensions
        )
        signer = OperatorSigner(key=self.key, chain=(certificate,), issuer=self.name)
        return signer.sign(content.claims(), typ=TRUST_LIST_KIND.typ)


def vouched(
    supplier: FakeSupplier,
    *,
    models: Sequence[str] = (MODEL,),
    accreditation: Accreditation | None = AUDIT,
    tre_level_min: int | None = None,
) -> TrustedSupplier:
    """A supplier as a list names it."""
    return TrustedSupplier(
        name=supplier.name,
        root=supplier.root.certificate,
        models={model: hw_type(number) for number, model in enumerate(models, start=1)},
        ocsp_url="http://127.0.0.1:1/",
        tre_level_min=tre_level_min,
        accreditation=accreditation,
    )
