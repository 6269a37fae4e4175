"""Every way in which the CCIF says "refused": stable codes, HTTP status and remedy."""

from collections.abc import Mapping
from enum import StrEnum, unique
from http import HTTPStatus

from edge.refused import RefusalRule, RefusedError


@unique
class RefusalCode(StrEnum):
    """Stable reason codes."""

    STORAGE_KEY_UNACCEPTABLE = "storage-key-unacceptable"
    FOREIGN_DEVICE = "foreign-device"
    PCIDS_USED_UP = "pcids-used-up"
    ICF_REFUSED = "icf-refused"
    ICF_UNREACHABLE = "icf-unreachable"


REFUSALS: Mapping[RefusalCode, RefusalRule] = {
    RefusalCode.STORAGE_KEY_UNACCEPTABLE: RefusalRule(
        status=HTTPStatus.UNPROCESSABLE_ENTITY,
        remedy="create the storage key in the TPM from the published template and send its TPMT_PUBLIC",
    ),
    RefusalCode.FOREIGN_DEVICE: RefusalRule(
        status=HTTPStatus.FORBIDDEN, remedy="ask for devices of your own; look for a mix-up of device ids"
    ),
    RefusalCode.PCIDS_USED_UP: RefusalRule(
        status=HTTPStatus.INSUFFICIENT_STORAGE, remedy="have the CCIF's operator add a range of numbers"
    ),
    RefusalCode.ICF_REFUSED: RefusalRule(
        status=HTTPStatus.BAD_GATEWAY, remedy="have the operators of CCIF and ICF look at both audit records"
    ),
    RefusalCode.ICF_UNREACHABLE: RefusalRule(
        status=HTTPStatus.SERVICE_UNAVAILABLE,
        remedy="wait as Retry-After says, then ask again: the PCID stays allotted",
    ),
}


def refuse(code: RefusalCode, *, subject: str, reason: str) -> RefusedError:
    """The refusal of a code, with the status and remedy that belong to it."""
    return RefusedError(code, REFUSALS[code], subject=subject, reason=reason)
