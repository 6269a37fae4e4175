"""Rows of the store as values of the use cases, and back.

Rule: a row becomes a value that its use case declared, or nothing; 64-bit unsigned numbers of a TPM are stored as
8 bytes, big-endian.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from messages.encoding import decode_deterministic, encode_deterministic
from messages.pcr import decode_values, encode_values
from messages.reliance import permits_release
from pva.appraisal.continuity import DeviceHistory, ImaProgress, Sighting
from pva.requests import RecordedRefusal, RelyingParty, RequestState, SignedOrigin, ValidationRequest
from pva.results.result import SignedResult
from pva.updates.approvals import ProvenState
from standards.tpm2.structures import ClockInfo

Row = sa.RowMapping | Mapping[str, Any]
"""A row of SQLAlchemy's, or one of a statement that is run directly."""
_U64_BYTES = 8
_NO_ORIGIN = dict.fromkeys(("jti", "token", "content", "encrypt_to", "ends_at"))
_SERIAL_DIGITS = 40
_PCR_VALUES_BYTES_MAX = 16_384


def request_of(row: Row) -> ValidationRequest:
    """A validation request out of its row."""
    return ValidationRequest(
        id=row["id"],
        party=RelyingParty(role=row["role"], tenant=row["tenant"], name=row["requester"]),
        origin=None if row["jti"] is None else _origin_of(row),
        device_id=row["device_id"],
        purpose=row["purpose"],
        rp_nonce=row["rp_nonce"],
        order_digest=row["order_digest"],
        audience=tuple(row["audience"]),
        created_at=row["created_at"],
        expires_at=row["expires_at"],
    )


def _origin_of(row: Row) -> SignedOrigin:
    return SignedOrigin(
        jti=row["jti"],
        token=row["token"],
        content=row["content"],
        encrypt_to=row["encrypt_to"],
        ends_at=row["ends_at"],
    )


def state_of_request(expires_at: datetime, *, answered: bool, at: datetime) -> RequestState:
    """Where a request stands."""
    if answered:
        return RequestState.COMPLETED
    return RequestState.EXPIRED if expires_at <= at else RequestState.PENDING


def refusal_of(row: Row) -> RecordedRefusal:
    """A refused try out of its row."""
    return RecordedRefusal(
        at=row["at"],
        code=row["code"],
        subject=row["subject"],
        reason=row["reason"],
        remedy=row["remedy"],
        authenticated=row["authenticated"],
    )


def row_of_request(request: ValidationRequest) -> dict[str, Any]:
    """The row of a validation request."""
    row = {
        "id": request.id,
        "role": request.party.role,
        "tenant": request.party.tenant,
        "requester": request.party.name,
        "device_id": request.device_id,
        "purpose": request.purpose,
        "rp_nonce": request.rp_nonce,
        "order_digest": request.order_digest,
        "audience": list(request.audience),
        "created_at": request.created_at,
        "expires_at": request.expires_at,
    }
    origin = request.origin
    return row | (_NO_ORIGIN if origin is None else {name: getattr(origin, name) for name in _NO_ORIGIN})


def row_of_result(result: SignedResult, *, revision: int) -> dict[str, Any]:
    """The row of a result, with what approvals are made from; `revision` is that of the device's history."""
    quote, manifest = result.quote, result.result.manifest
    return {
        "id": result.id,
        "request_id": result.request_id,
        "device_id": result.result.device_id,
        "status": result.status,
        "token": result.token,
        "evidence_digest": result.result.evidence_digest,
        "issued_at": result.result.issued_at,
        "expires_at": result.result.expires_at,
        "passes": permits_release(result.result),
        "revision": revision,
        "pcr_values": encode_deterministic(encode_values(quote.pcr_values)),
        "storage_public": quote.storage_public,
        "counter_name": quote.generation_counter_name,
        "counter": quote.generation_counter.to_bytes(_U64_BYTES, "big"),
        "purpose": result.result.purpose,
        "pfc_issuer": result.credential.issuer,
        "pfc_serial": serial_text(result.result.pfc.serial),
        "against": result.against,
        "recovered": result.recovered,
        "manifest_digest": None if manifest is None else manifest.digest,
    }


def serial_text(serial: int) -> str:
    """A serial number as it is stored: lower-case hex digits, as many as the longest has."""
    return f"{serial:0{_SERIAL_DIGITS}x}"


def state_of(row: Row) -> ProvenState | None:
    """What a device proved when a result was made, None where the result is older than approvals."""
    if row["pcr_values"] is None:
        return None
    values = decode_deterministic(row["pcr_values"], bytes_max=_PCR_VALUES_BYTES_MAX)
    return ProvenState(
        pcr_values=decode_values(values, what="stored PCR values"),
        storage_public=row["storage_public"],
        counter_name=row["counter_name"],
        counter=int.from_bytes(row["counter"], "big"),
    )


def history_of(row: Row) -> DeviceHistory:
    """A device's history out of its row."""
    return DeviceHistory(
        last=Sighting(
            device_id=row["device_id"],
            supplier=row["supplier"],
            hw_type=row["hw_type"],
            ak_name=row["ak_name"],
            qualified_signer=row["qualified_signer"],
            storage_key_name=row["storage_key_name"],
            generation_counter_name=row["generation_counter_name"],
            generation_counter=int.from_bytes(row["generation_counter"], "big"),
            clock_info=ClockInfo(
                clock=int.from_bytes(row["clock"], "big"),
                reset_count=row["reset_count"],
                restart_count=row["restart_count"],
                safe=row["clock_safe"],
            ),
            firmware_version=int.from_bytes(row["firmware_version"], "big"),
            credential_sha256=row["credential_sha256"],
            credential_not_before=row["credential_not_before"],
            at=row["seen_at"],
        ),
        svn_highest=row["svn_highest"],
        unsafe_since=row["unsafe_since"],
        revision=row["revision"],
        ima=None if row["ima_count"] is None else _ima_of(row),
    )


def _ima_of(row: Row) -> ImaProgress:
    return ImaProgress(
        count=row["ima_count"],
        value=row["ima_value"],
        reset_count=row["ima_reset_count"],
        restart_count=row["ima_restart_count"],
        policy=row["ima_policy"],
    )


def row_of_history(history: DeviceHistory) -> dict[str, Any]:
    """The row of a device's history."""
    last, ima = history.last, history.ima
    return {
        "device_id": last.device_id,
        "supplier": last.supplier,
        "hw_type": last.hw_type,
        "ak_name": last.ak_name,
        "qualified_signer": last.qualified_signer,
        "storage_key_name": last.storage_key_name,
        "generation_counter_name": last.generation_counter_name,
        "generation_counter": last.generation_counter.to_bytes(_U64_BYTES, "big"),
        "clock": last.clock_info.clock.to_bytes(_U64_BYTES, "big"),
        "reset_count": last.clock_info.reset_count,
        "restart_count": last.clock_info.restart_count,
        "clock_safe": last.clock_info.safe,
        "unsafe_since": history.unsafe_since,
        "firmware_version": last.firmware_version.to_bytes(_U64_BYTES, "big"),
        "credential_sha256": last.credential_sha256,
        "credential_not_before": last.credential_not_before,
        "svn_highest": history.svn_highest,
        "seen_at": last.at,
        "revision": history.revision,
        "ima_count": None if ima is None else ima.count,
        "ima_value": None if ima is None else ima.value,
        "ima_reset_count": None if ima is None else ima.reset_count,
        "ima_restart_count": None if ima is None else ima.restart_count,
        "ima_policy": None if ima is None else ima.policy,
    }
