"""Whether those who vouch for a device may do so at this moment: suspension, accreditation, TRE level (R19, R20, R28).

Rule: pure decisions, made anew for every validation and never remembered: time alone ends an accreditation. What is
refused here is refused before the supplier's responder is asked, whatever that would say.
"""

from datetime import datetime

from messages.trust_list import TrustedSupplier
from pva.appraisal.credential import PlatformCredential
from pva.refusals import RefusalCode, RefusalError
from standards.pki.fingerprints import certificate_der


def judge_supplier(credential: PlatformCredential, *, at: datetime) -> None:
    """Refuse a credential whose supplier may not vouch for it at `at`.

    Raises RefusalError: the supplier or the model is suspended, the trust list that names the supplier is over, its
    accreditation is not in force, or the credential asserts a lower TRE level than is asked for.
    """
    supplier = credential.supplier
    for each in supplier.suspensions:
        if each.model is None or supplier.models.get(each.model) == credential.hw_type:
            part = "" if each.model is None else f", model {each.model!r}"
            raise RefusalError(
                RefusalCode.SUPPLIER_SUSPENDED,
                subject=f"supplier {supplier.name!r}{part}",
                reason=f"it was suspended at {_moment(each.since)}: {each.reason}",
            )
    if supplier.listed_until is not None and at >= supplier.listed_until:
        raise RefusalError(
            RefusalCode.SUPPLIER_NOT_ACCREDITED,
            subject=f"supplier {supplier.name!r}",
            reason=f"the trust list that names it ended at {_moment(supplier.listed_until)}",
        )
    held = supplier.accreditation
    if held is not None and not held.covers(at):
        raise RefusalError(
            RefusalCode.SUPPLIER_NOT_ACCREDITED,
            subject=f"supplier {supplier.name!r}",
            reason=f"certificate {held.certificate!r} under {held.scheme!r} is valid from {_moment(held.valid_from)} "
            f"to {_moment(held.valid_to)}, judged at {_moment(at)}",
        )
    _check_level(credential, least=supplier.tre_level_min)


def judge_by_operator(
    credential: PlatformCredential, *, listed: TrustedSupplier | None, operator: str, at: datetime
) -> None:
    """Refuse a credential that the operator that asks does not want its MIDs in; `listed` is what its list says.

    Raises RefusalError: the supplier, its root or the model is not in the list, its accreditation there is not in
    force, or the TRE level is too low for this operator.
    """
    supplier = credential.supplier
    fault = None
    if listed is None:
        fault = "it is not in it"
    elif certificate_der(listed.root) != certificate_der(supplier.root):
        fault = "it is in it with another root"
    elif credential.hw_type not in listed.models.values():
        fault = f"no model of hwType {credential.hw_type} is in it"
    elif listed.accreditation is not None and not listed.accreditation.covers(at):
        fault = f"its accreditation there ended at {_moment(listed.accreditation.valid_to)}"
    if fault is not None:
        raise RefusalError(
            RefusalCode.SUPPLIER_NOT_TRUSTED,
            subject=f"supplier {supplier.name!r} in the trust list of {operator!r}",
            reason=fault,
        )
    if listed is not None:
        _check_level(credential, least=listed.tre_level_min)


def _check_level(credential: PlatformCredential, *, least: int | None) -> None:
    if least is None or (credential.tre_level is not None and credential.tre_level >= least):
        return
    got = "none" if credential.tre_level is None else str(credential.tre_level)
    raise RefusalError(
        RefusalCode.TRE_LEVEL_TOO_LOW,
        subject=credential.subject,
        reason=f"expected TRE level {least} or higher, got {got}",
    )


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
