"""Use case: a relying party fetches a result in the profile that its own software reads (D5).

Rule: it is the same verdict, with the same id, times, nonce and audience, and signed by this PVA all the same; only the names
of the claims differ. The form that was signed first is what is on record; the other one is made from it when it is asked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from pva.refusals import RefusalCode, RefusalError
from pva.results.explanation import Reader, ValidationRecords, verified_result
from standards.pki.jws import sign_jws
from standards.rats.ear import DEPLOYED_PROFILE, PROFILE, RESULT_TYPE

PROFILE_NAMES: Final = MappingProxyType({"ietf": PROFILE, "deployed": DEPLOYED_PROFILE})
"""What a caller says -> the profile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReissueDesk:
    """The use case and what it works with: the records, the operators' root, the key that signs results."""

    records: ValidationRecords
    anchors: Sequence[x509.Certificate]
    key: EllipticCurvePrivateKey
    chain: Sequence[x509.Certificate]

    def result(self, some_id: str, *, profile: str, reader: Reader, at: datetime) -> str:
        """The signed result of a validation, by its id or by that of its result, in a profile of `PROFILE_NAMES`.

        Raises RefusalError: nothing that `reader` may see, no result yet, no such profile.
        """
        wanted = PROFILE_NAMES.get(profile)
        if wanted is None:
            raise RefusalError(
                RefusalCode.PROFILE_NOT_OFFERED,
                subject="profile",
                reason=f"expected {' or '.join(PROFILE_NAMES)}, got another",
            )
        record = self.records.request_on_record(some_id, reader=reader, at=at)
        if record is None or record.result is None:
            missing = "no result and no validation with this id belongs to the caller"
            raise RefusalError(
                RefusalCode.NOT_FOUND,
                subject="result",
                reason=missing
                if record is None
                else f"the validation is {record.state.value} and has no result",
            )
        result = verified_result(record.result, anchors=self.anchors)
        if wanted == PROFILE:
            return record.result.token
        return sign_jws(result.claims(profile=wanted), key=self.key, chain=self.chain, typ=RESULT_TYPE)
