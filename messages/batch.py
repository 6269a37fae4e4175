"""The batch list: the devices that a supplier says are his, as the claims of a signed token (D2).

Rule: an EK that no batch lists is refused, so a list names each device once and says nothing of people. The
token has the type `pva-batch+jwt` and is signed under the supplier's ES root; that is checked elsewhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from messages.errors import MessageError, refusal
from standards.rats.fields import Fields, numeric_date

BATCH_TYPE: Final = "pva-batch+jwt"
DEVICES_MAX: Final = 100_000
BATCH_BYTES_MAX: Final = 1 << 25
_DEVICE_ID_SIZE: Final = 32
NAME_MAX: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchDevice:
    """One device: `device_id` as 64 hexadecimal digits, its model, and an opaque serial."""

    device_id: str
    model: str
    serial: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchList:
    """One batch of one supplier."""

    batch: str
    supplier: str
    issued_at: datetime
    devices: tuple[BatchDevice, ...]

    def claims(self) -> dict[str, Any]:
        """JWT claims; `read_claims` takes them back."""
        return {
            "batch": self.batch,
            "supplier": self.supplier,
            "iat": numeric_date(self.issued_at),
            "devices": [
                {"device_id": device.device_id, "model": device.model, "serial": device.serial}
                for device in self.devices
            ],
        }


def read_claims(claims: object) -> BatchList:
    """Read verified claims; a device or a (model, serial) that is listed twice is refused.

    Raises:
        MessageError: a claim is missing, unknown, or of another type or size.
    """
    fields = Fields(claims, what="batch", refusal=refusal)
    rows = fields.items("devices", size_min=1, size_max=DEVICES_MAX)
    batch = BatchList(
        batch=fields.text("batch", size_max=NAME_MAX),
        supplier=fields.text("supplier", size_max=NAME_MAX),
        issued_at=fields.time("iat"),
        devices=tuple(read_device(row, what=f"batch.devices.{number}") for number, row in enumerate(rows)),
    )
    fields.close()
    _refuse_twice("device_id", [device.device_id for device in batch.devices])
    _refuse_twice("serial of a model", [(device.model, device.serial) for device in batch.devices])
    return batch


def _refuse_twice(name: str, values: Sequence[object]) -> None:
    first: dict[object, int] = {}
    for number, value in enumerate(values):
        before = first.setdefault(value, number)
        if before != number:
            raise MessageError(
                what=f"batch.devices.{number}",
                expected=f"each {name} once",
                got=f"that of devices.{before} again",
            )


def read_device(row: object, *, what: str) -> BatchDevice:
    """Read one device of a list; raises MessageError that calls it `what`."""
    fields = Fields(row, what=what, refusal=refusal)
    device = BatchDevice(
        device_id=fields.hex("device_id", size_min=_DEVICE_ID_SIZE, size_max=_DEVICE_ID_SIZE).hex(),
        model=fields.text("model", size_max=NAME_MAX),
        serial=fields.text("serial", size_max=NAME_MAX),
    )
    fields.close()
    return device
