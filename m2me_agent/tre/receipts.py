"""What this TRE says, as a quote by the AK over it (D4): receipts (R98; step 13), registry reports, erase proofs.

The rule: the nonce is out of a token whose signer is proven, the body is this TRE's own, and the registers are those of the
last validation, so that a reader can hold the statement against that result.
"""

from m2me_agent.tre.errors import NotEnrolledError
from m2me_agent.tre.tpm_device import KeyAccess, UnlockedKeys
from messages.binding import PVA_STATEMENT, extra_data
from messages.mid_package import PackageHeader
from messages.pcr import PcrSelections
from messages.statement import DETAIL_MAX, Receipt, SignedStatement
from standards.tpm2.structures import PcrSelection


def sign_receipt(
    receipt: Receipt,
    keys: UnlockedKeys,
    *,
    header: PackageHeader,
    access: KeyAccess,
    selections: PcrSelections,
) -> bytes:
    """An encoded SignedStatement. Raises TpmDeviceError."""
    return sign_statement(
        receipt.encode(), keys, nonce=header.receipt_nonce, access=access, selections=selections
    )


def sign_statement(
    body: bytes, keys: UnlockedKeys, *, nonce: bytes, access: KeyAccess, selections: PcrSelections
) -> bytes:
    """An encoded SignedStatement over a body of this TRE's. Raises TpmDeviceError."""
    quoted = keys.sign(
        extra_data=extra_data(PVA_STATEMENT, nonce=nonce, body=body),
        selections=tuple(
            PcrSelection(bank=bank, indices=indices) for bank, indices in sorted(selections.items())
        ),
    )
    return SignedStatement(
        body=body,
        attest=quoted.attest,
        signature=quoted.signature,
        ak_public=access.keys.ak.encode(),
    ).encode()


def shown(detail: str) -> str:
    """A detail as a receipt can carry it: printable, and not too long."""
    printable = "".join(each if each.isprintable() else " " for each in detail)
    return printable[:DETAIL_MAX]


def not_validated() -> NotEnrolledError:
    """There is nothing to hold a receipt against."""
    return NotEnrolledError(
        subject="validation of this device",
        reason="this TRE has answered no challenge yet",
        remedy="have the device validated first: the DPF asks for that before it delivers",
    )
