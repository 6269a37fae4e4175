"""Importing a batch list: which devices a supplier says are his (D2, R78, R80).

The one rule: all of a list or nothing. The list counts because a batch-signing certificate under this very
supplier's ES root signed it, never because of who carried it here.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Protocol

from ca.callers import Caller
from ca.errors import ConflictError, InvalidInputError
from ca.lifecycle import DeviceState
from ca.races import repeated
from ca.records import Authority, Batch, Device, Model
from ca.supplier_signers import SignerRecords, check_signer, es_roots_of
from edge.process import Clock
from messages.batch import BATCH_BYTES_MAX, BATCH_TYPE, BatchList, read_claims
from messages.errors import MessageError
from standards.pki import oids
from standards.pki.errors import PkiError
from standards.pki.fingerprints import certificate_sha256
from standards.pki.jws import VerifiedJws, verify_jws

CLOCK_SLACK = timedelta(minutes=5)


class ModelRecords(Protocol):
    """Port to models."""

    def models_of(self, *, supplier: str | None = None, ca_id: str | None = None) -> list[Model]:
        """Models of a supplier or of an issuing CA."""


class RecordingRecords(Protocol):
    """Port to imported batches and the ledger."""

    def add_batch(self, batch: Batch) -> None:
        """Record an imported batch."""

    def audit(self, *, kind: str, subject: str, record: dict[str, Any], at: datetime) -> None:
        """Add one leaf to the ledger."""


class BatchRecords(SignerRecords, ModelRecords, RecordingRecords, Protocol):
    """Port to batches, models and devices."""

    def batch(self, supplier: str, batch: str) -> Batch | None:
        """The batch of this name."""

    def listed_already(self, device_ids: Collection[str]) -> Iterator[Device]:
        """Those of `device_ids` that some batch lists already."""

    def serials_taken(self, supplier: str, named: Collection[tuple[str, str]]) -> Iterator[Device]:
        """Devices of the supplier that have one of the (model, serial) pairs."""

    def add_devices(self, devices: Iterable[Device]) -> None:
        """Record newly listed devices."""


class BatchStore(Protocol):
    """Port to transactions over them."""

    def reading(self) -> AbstractContextManager[BatchRecords]:
        """A transaction that cannot change anything."""

    def writing(self) -> AbstractContextManager[BatchRecords]:
        """A transaction that is committed when the block ends and rolled back when it raises."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batches:
    """The use case that imports batch lists."""

    store: BatchStore
    clock: Clock

    @repeated
    def import_batch(self, token: str, *, caller: Caller) -> Batch:
        """Import the signed list `token` of the supplier that `caller` speaks for; the same list twice is one."""
        at = self.clock()
        supplier = caller.tenant
        # 1 the supplier's ES root is the only anchor
        with self.store.reading() as records:
            roots = es_roots_of(records, supplier)
        # 2 signed for this purpose under that root
        signed = verified_list(token, roots=roots, at=at, typ=BATCH_TYPE, bytes_max=BATCH_BYTES_MAX)
        # 3 a list of this supplier, well-formed
        batch = _read(signed, supplier=supplier, at=at)
        with self.store.writing() as records:
            # 4 by a signer that is not revoked
            check_signer(records, roots, signed.path)
            # 5 the same list again changes nothing, another one of the same name is refused
            imported = records.batch(supplier, batch.batch)
            if imported is not None:
                return same_batch(imported, claims_digest(signed.claims))
            # 6 known models, and devices that nobody has listed
            check_models(
                records, {each.model for each in batch.devices}, supplier=supplier, batch=batch.batch
            )
            _check_devices(records, batch)
            # 7 record it whole, audit leaf
            made = Batch(
                supplier=supplier,
                batch=batch.batch,
                claims_sha256=claims_digest(signed.claims),
                signer_sha256=certificate_sha256(signed.path[0]),
                devices=len(batch.devices),
                imported_at=at,
            )
            record_batch(records, made, caller=caller)
            records.add_devices(_listed(batch))
            return made


def verified_list(
    token: str, *, roots: Sequence[Authority], at: datetime, typ: str, bytes_max: int
) -> VerifiedJws:
    """A list, or the head of one, whose signer an ES root of the supplier certified for it; else InvalidInputError."""
    supplier = roots[0].supplier
    try:
        return verify_jws(
            token,
            anchors=[each.x509() for each in roots],
            eku=oids.EKU_BATCH_SIGNING,
            typ=typ,
            at=at,
            bytes_max=bytes_max,
        )
    except PkiError as error:
        raise InvalidInputError(
            "batch-signature",
            subject=f"batch list of {supplier}",
            detail=f"the list is not signed under the ES root of {supplier!r}: {error}",
            remedy="sign it with a batch-signing certificate of this supplier and send its chain in x5c",
        ) from error


def _read(signed: VerifiedJws, *, supplier: str, at: datetime) -> BatchList:
    try:
        batch = read_claims(signed.claims)
    except MessageError as error:
        raise InvalidInputError(
            "batch-malformed",
            subject=f"batch list of {supplier}",
            detail=str(error),
            remedy="correct the list, sign it again and send it; nothing was imported",
        ) from error
    check_origin(batch, supplier=supplier, at=at)
    return batch


class Named(Protocol):
    """What a list or the head of one says of itself."""

    @property
    def batch(self) -> str:
        """Name of the batch."""

    @property
    def supplier(self) -> str:
        """Whose it says that it is."""

    @property
    def issued_at(self) -> datetime:
        """When it was signed."""


def check_origin(batch: Named, *, supplier: str, at: datetime) -> None:
    """Raise InvalidInputError unless the list says that it is of `supplier`, and of the past."""
    if batch.supplier != supplier:
        raise InvalidInputError(
            "batch-of-another-supplier",
            subject=f"batch {batch.batch}",
            detail=f"the list says that it is of the supplier {batch.supplier!r}, expected {supplier!r}",
            remedy="send each supplier's list with that supplier's own certificate",
        )
    if batch.issued_at > at + CLOCK_SLACK:
        raise InvalidInputError(
            "batch-of-the-future",
            subject=f"batch {batch.batch}",
            detail=f"the list was issued at {batch.issued_at:%Y-%m-%dT%H:%M:%SZ}, later than now",
            remedy="set the clock of the signing station",
        )


def same_batch(imported: Batch, digest: str) -> Batch:
    """The batch that was imported under this name, if it is the one of this digest; else ConflictError."""
    if imported.claims_sha256 == digest:
        return imported
    raise ConflictError(
        "batch-exists-already",
        subject=f"batch {imported.batch}",
        detail=f"another list of this name was imported at {imported.imported_at:%Y-%m-%dT%H:%M:%SZ}",
        remedy="give the list a name of its own; nothing was imported",
    )


def claims_digest(claims: dict[str, Any]) -> str:
    """SHA-256 of what a list says; its signature can be made anew over the same content and says nothing."""
    return sha256(json.dumps(claims, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def check_models(records: ModelRecords, models: Collection[str], *, supplier: str, batch: str) -> None:
    """Raise InvalidInputError unless an issuing CA of the supplier certifies each of the models."""
    known = {each.model for each in records.models_of(supplier=supplier)}
    unknown = sorted(set(models) - known)
    if unknown:
        raise InvalidInputError(
            "model-unknown",
            subject=f"batch {batch}",
            detail=f"no issuing CA of {supplier!r} certifies the model {unknown[0]!r}",
            remedy="have the model added with its issuing CA, or correct the list; nothing was imported",
        )


def _check_devices(records: BatchRecords, batch: BatchList) -> None:
    for device in records.listed_already([each.device_id for each in batch.devices]):
        if device.supplier != batch.supplier:
            raise ConflictError(
                "device-of-another-supplier",
                subject=device.device_id,
                detail="this EK is listed by another supplier",
                remedy="find out which of the two devices is a copy; nothing was imported",
            )
        raise _listed_already(device)
    for device in records.serials_taken(
        batch.supplier, {(each.model, each.serial) for each in batch.devices}
    ):
        raise _listed_already(device)


def _listed_already(device: Device) -> ConflictError:
    return ConflictError(
        "device-listed-already",
        subject=device.device_id,
        detail=f"the device with the serial {device.serial!r} of the model {device.model!r} "
        f"is in the batch {device.batch!r} already",
        remedy="leave it out of this list; nothing was imported",
    )


def record_batch(records: RecordingRecords, made: Batch, *, caller: Caller) -> None:
    """Record a batch and its audit leaf; its devices are the caller's to add, in the same transaction."""
    records.add_batch(made)
    record = {
        "supplier": made.supplier,
        "devices": made.devices,
        "claims_sha256": made.claims_sha256,
        "signer_sha256": made.signer_sha256,
        "by": caller.name,
    }
    records.audit(kind="batch-imported", subject=made.batch, record=record, at=made.imported_at)


def _listed(batch: BatchList) -> Iterator[Device]:
    return (
        Device(
            device_id=each.device_id,
            supplier=batch.supplier,
            model=each.model,
            batch=batch.batch,
            serial=each.serial,
            state=DeviceState.LISTED,
        )
        for each in batch.devices
    )
