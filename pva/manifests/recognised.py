"""Suppliers as this PVA has them on record: what may vouch, who said so, and when. Plain values, and their JSON.

Rule: a proposal of a recognition is the JSON of what is proposed, the same for the same; it names nobody and no time, so
that whoever proposes the same approves it.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from messages.errors import MessageError
from messages.trust_list import TrustedSupplier, read_supplier, supplier_claims
from pva.appraisal.credential import Supplier
from pva.refusals import RefusalCode, RefusalError

BY_ADMINISTRATORS: Final = ""
"""Source of what administrators recognised by itself; the source of the others is the issuer of a trust list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecognisedSupplier(Supplier):
    """A supplier with who recognised it, and when; `source` is the issuer of the trust list that names it."""

    recognised_by: str
    recognised_at: datetime
    source: str = BY_ADMINISTRATORS


def recognised(
    listed: TrustedSupplier, *, by: str, at: datetime, source: str, listed_until: datetime | None
) -> RecognisedSupplier:
    """What a trust list, or a proposal, says of a supplier, as it goes on record."""
    return RecognisedSupplier(
        name=listed.name,
        root=listed.root,
        models=dict(listed.models),
        ocsp_url=listed.ocsp_url,
        crls=listed.crls,
        tre_level_min=listed.tre_level_min,
        accreditation=listed.accreditation,
        listed_until=listed_until,
        recognised_by=by,
        recognised_at=at,
        source=source,
    )


def listed(supplier: Supplier) -> TrustedSupplier:
    """A supplier as a trust list names it."""
    return TrustedSupplier(
        name=supplier.name,
        root=supplier.root,
        models=dict(supplier.models),
        ocsp_url=supplier.ocsp_url,
        crls=supplier.crls,
        tre_level_min=supplier.tre_level_min,
        accreditation=supplier.accreditation,
    )


def encode_recognition(supplier: TrustedSupplier) -> str:
    """The content of a proposal."""
    return json.dumps(supplier_claims(supplier), sort_keys=True, separators=(",", ":"))


def read_recognition(content: str) -> TrustedSupplier:
    """The content of a proposal; raises RefusalError where a row was altered."""
    try:
        return read_supplier(json.loads(content), what="recognition")
    except (ValueError, MessageError) as error:
        raise RefusalError(
            RefusalCode.RECORD_ALTERED, subject="proposal of a recognition", reason=str(error)
        ) from None
