"""What a TRE says, as a quote over it (D4): the receipt of an installation, good or failed (R98), and how any is verified.

Rule: a statement is believed for one AK, one nonce and one platform state: the quote's PCR selection and digest are
those of a result that the reader holds. Another digest is no lie and no success: the state has changed, and the
platform wants a fresh validation (`StateChangedError`).
"""

import hmac
from dataclasses import dataclass
from typing import Final

from messages.binding import PVA_STATEMENT, extra_data
from messages.encoding import decode_fields, encode_deterministic
from messages.errors import MessageError
from messages.evidence import ATTEST_SIZE_MAX, PUBLIC_SIZE_MAX, SIGNATURE_SIZE_MAX
from messages.instruction import TRE_NONCE_SIZE
from messages.order import DIGEST_SIZE, ID_MAX
from messages.pcr import PcrSelections
from standards.tpm2.attestation import check_qualified_signer, verify_attestation
from standards.tpm2.constants import StructureTag
from standards.tpm2.errors import Tpm2Error
from standards.tpm2.key_checks import check_ak
from standards.tpm2.structures import PcrSelection, Public, QuoteInfo

RECEIPT: Final = "receipt"
INSTALLED: Final = "installed"
RECEIPT_BODY_BYTES_MAX: Final = 2_048
STATEMENT_BYTES_MAX: Final = 8_192
DETAIL_MAX: Final = 500


class StateChangedError(MessageError):
    """A genuine statement, made in another platform state than the result that it is compared with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What came of a package. `outcome` is "installed" or a stable code of the failure; `detail` for people.

    `version` is the package's, of the MID that it brings.
    `tre_nonce` is fresh: the owner's instruction about this MID answers it.
    """

    device_id: str
    order_digest: bytes
    package_digest: bytes
    mid_id: str
    outcome: str
    detail: str
    tre_nonce: bytes
    version: int

    @property
    def installed(self) -> bool:
        """Whether the MID is in the TRE now."""
        return self.outcome == INSTALLED

    def encode(self) -> bytes:
        """Deterministic CBOR; `decode_receipt` takes it back."""
        return encode_deterministic(
            {
                1: RECEIPT,
                2: bytes.fromhex(self.device_id),
                3: self.order_digest,
                4: self.package_digest,
                5: self.mid_id,
                6: self.outcome,
                7: self.detail or "-",
                8: self.tre_nonce,
                9: self.version,
            }
        )


def decode_receipt(body: bytes) -> Receipt:
    """Read the body of a statement. Raises MessageError."""
    fields = decode_fields(body, what="receipt", bytes_max=RECEIPT_BODY_BYTES_MAX)
    if fields.text(1, size_max=16) != RECEIPT:
        raise MessageError(what="receipt.1", expected=RECEIPT, got="another kind of statement")
    receipt = Receipt(
        device_id=fields.octets(2, size_min=DIGEST_SIZE, size_max=DIGEST_SIZE).hex(),
        order_digest=fields.octets(3, size_min=DIGEST_SIZE, size_max=DIGEST_SIZE),
        package_digest=fields.octets(4, size_min=DIGEST_SIZE, size_max=DIGEST_SIZE),
        mid_id=fields.text(5, size_max=ID_MAX),
        outcome=fields.text(6, size_max=64),
        detail=fields.text(7, size_max=DETAIL_MAX),
        tre_nonce=fields.octets(8, size_min=TRE_NONCE_SIZE, size_max=TRE_NONCE_SIZE),
        version=fields.integer(9, low=1),
    )
    fields.close()
    return receipt


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedStatement:
    """A statement as sent: body, TPMS_ATTEST and TPMT_SIGNATURE of the quote over it, TPMT_PUBLIC of the AK."""

    body: bytes
    attest: bytes
    signature: bytes
    ak_public: bytes

    def encode(self) -> bytes:
        """Deterministic CBOR; `decode_statement` takes it back."""
        return encode_deterministic({1: self.body, 2: self.attest, 3: self.signature, 4: self.ak_public})


def decode_statement(data: bytes, *, body_bytes_max: int = RECEIPT_BODY_BYTES_MAX) -> SignedStatement:
    """Read a statement; nothing in it is proven. Raises MessageError."""
    fields = decode_fields(
        data, what="statement", bytes_max=STATEMENT_BYTES_MAX - RECEIPT_BODY_BYTES_MAX + body_bytes_max
    )
    statement = SignedStatement(
        body=fields.octets(1, size_min=1, size_max=body_bytes_max),
        attest=fields.octets(2, size_min=1, size_max=ATTEST_SIZE_MAX),
        signature=fields.octets(3, size_min=1, size_max=SIGNATURE_SIZE_MAX),
        ak_public=fields.octets(4, size_min=1, size_max=PUBLIC_SIZE_MAX),
    )
    fields.close()
    return statement


def kind_of(statement: SignedStatement) -> str:
    """What kind of body a statement says that it has; proven is nothing. Raises MessageError."""
    decoded = decode_fields(statement.body, what="statement.1", bytes_max=len(statement.body))
    return decoded.text(1, size_max=16)


def verify_statement(
    statement: SignedStatement,
    *,
    nonce: bytes,
    ak_name: bytes,
    pcr_selections: PcrSelections,
    pcr_digest: bytes,
) -> bytes:
    """The body, said by the TRE with this AK, for this nonce, in the state of a result.

    `pcr_selections` and `pcr_digest` are those of the result. Raises MessageError; StateChangedError where only the
    state differs.
    """
    try:
        ak = Public.decode(statement.ak_public)
        if not hmac.compare_digest(check_ak(ak), ak_name):
            raise MessageError(what="statement.4", expected="the AK of the result", got="another key")
        attest = verify_attestation(
            statement.attest,
            signature=statement.signature,
            public=ak,
            expected_type=StructureTag.ATTEST_QUOTE,
        )
        check_qualified_signer(attest, ak=ak)
    except Tpm2Error as error:
        raise MessageError(what="statement", expected="a quote by the AK", got=str(error)) from error
    expected = extra_data(PVA_STATEMENT, nonce=nonce, body=statement.body)
    if not hmac.compare_digest(attest.extra_data, expected):
        raise MessageError(
            what="statement", expected="a quote over this body and nonce", got="one over something else"
        )
    quoted = attest.attested
    selection = tuple(
        PcrSelection(bank=bank, indices=indices) for bank, indices in sorted(pcr_selections.items())
    )
    if not isinstance(quoted, QuoteInfo) or quoted.pcr_selections != selection:
        raise MessageError(what="statement", expected="the PCRs of the result", got="a quote of other PCRs")
    if not hmac.compare_digest(quoted.pcr_digest, pcr_digest):
        raise StateChangedError(
            what="statement", expected=f"PCR digest {pcr_digest.hex()}", got=quoted.pcr_digest.hex()
        )
    return statement.body
