"""Rows of the DPF's store as values, and values as rows.

Rule: no decision here; a row that this file wrote comes back as the same value.
"""

import base64
import hashlib
from typing import Any

import sqlalchemy as sa

from operators.dpf.gate import AuthorizedParts
from operators.dpf.records import (
    AuthorizationRecord,
    AuthorizationStatus,
    DeliveryRecord,
    DeliveryStatus,
    Grant,
    ReceiptRecord,
    RecordedRefusal,
)


def row_of_authorization(record: AuthorizationRecord) -> dict[str, Any]:
    """Columns of an authorisation."""
    return {
        "id": record.id,
        "sho": record.sho,
        "jti": record.jti,
        "device_id": record.device_id,
        "order_digest": record.order_digest,
        "status": record.status.value,
        "grants": record.grants,
        "accepted_at": record.accepted_at,
        "expires_at": record.expires_at,
        "parts_digest": record.parts.digest,
        "authorization_token": record.parts.authorization,
        "order_token": record.parts.order,
        "result_token": record.parts.result,
        "package_token": record.parts.package,
        "content": record.parts.content,
        "prior_owner": record.prior_owner,
    }


def authorization_of(row: sa.RowMapping) -> AuthorizationRecord:
    """The authorisation in a row."""
    return AuthorizationRecord(
        id=row["id"],
        sho=row["sho"],
        jti=row["jti"],
        device_id=row["device_id"],
        order_digest=row["order_digest"],
        status=AuthorizationStatus(row["status"]),
        grants=row["grants"],
        accepted_at=row["accepted_at"],
        expires_at=row["expires_at"],
        parts=AuthorizedParts(
            authorization=row["authorization_token"],
            order=row["order_token"],
            result=row["result_token"],
            package=row["package_token"],
            content=row["content"],
        ),
        prior_owner=row["prior_owner"],
    )


def authorization_leaf(record: AuthorizationRecord) -> dict[str, Any]:
    """What the audit leaf of an authorisation commits to: what it is for, and all of its parts by digest."""
    leaf = {
        "authorization_id": record.id,
        "sho": record.sho,
        "jti": record.jti,
        "order_digest": record.order_digest.hex(),
        "parts_digest": record.parts.digest.hex(),
    }
    return leaf if record.prior_owner is None else {**leaf, "prior_owner": record.prior_owner}


def row_of_delivery(record: DeliveryRecord) -> dict[str, Any]:
    """Columns of a delivery that is opened."""
    return {
        "id": record.id,
        "authorization_id": record.authorization_id,
        "open_for": record.authorization_id,
        "device_id": record.device_id,
        "order_digest": record.order_digest,
        "status": record.status.value,
        "nonce": record.nonce,
        "pva": record.pva,
        "request": record.request,
        "request_id": record.request_id,
        "pfc_chain": [base64.b64encode(each).decode("ascii") for each in record.pfc_chain],
        "fresh_result": record.fresh_result,
        "opened_at": record.opened_at,
        "expires_at": record.expires_at,
    }


def delivery_of(row: sa.RowMapping) -> DeliveryRecord:
    """The delivery in a row."""
    return DeliveryRecord(
        id=row["id"],
        authorization_id=row["authorization_id"],
        device_id=row["device_id"],
        order_digest=row["order_digest"],
        status=DeliveryStatus(row["status"]),
        nonce=row["nonce"],
        pva=row["pva"],
        request=row["request"],
        request_id=row["request_id"],
        pfc_chain=tuple(base64.b64decode(each) for each in row["pfc_chain"]),
        fresh_result=row["fresh_result"],
        opened_at=row["opened_at"],
        expires_at=row["expires_at"],
    )


def row_of_grant(grant: Grant) -> dict[str, Any]:
    """Columns of a grant."""
    return {name: getattr(grant, name) for name in Grant.__slots__}


def grant_leaf(grant: Grant, *, fresh_result: str) -> dict[str, Any]:
    """What the audit leaf of a grant commits to: all that it is bound to, and the result that it rests on."""
    return {
        "grant_id": grant.id,
        "authorization_id": grant.authorization_id,
        "number": grant.number,
        "delivery_id": grant.delivery_id,
        "sho": grant.sho,
        "dpf": grant.dpf,
        "ak_name": grant.ak_name.hex(),
        "order_digest": grant.order_digest.hex(),
        "result_id": grant.result_id,
        "package_digest": grant.package_digest.hex(),
        "expires_at": f"{grant.expires_at:%Y-%m-%dT%H:%M:%SZ}",
        "fresh_result_sha256": hashlib.sha256(fresh_result.encode()).hexdigest(),
    }


def row_of_receipt(record: ReceiptRecord) -> dict[str, Any]:
    """Columns of a receipt."""
    return {name: getattr(record, name) for name in ReceiptRecord.__slots__}


def receipt_of(row: sa.RowMapping) -> ReceiptRecord:
    """The receipt in a row."""
    return ReceiptRecord(**row)


def refusal_of(row: sa.RowMapping) -> RecordedRefusal:
    """The refusal in a row."""
    return RecordedRefusal(
        at=row["at"],
        code=row["code"],
        subject=row["subject"],
        reason=row["reason"],
        remedy=row["remedy"],
    )
