"""Lists of production lines: taken whole, or refused with the row at fault."""

import json

import pytest

from cli.batch_list import read_batch_list
from messages.batch import BatchDevice, BatchList
from messages.errors import MessageError
from tests.fakes.pki import NOW

ONE, TWO = "01" * 32, "02" * 32
DEVICES = (
    BatchDevice(device_id=ONE, model="gateway-1", serial="a1"),
    BatchDevice(device_id=TWO, model="gateway-1", serial="a,2"),
)
CSV = f'device_id,model,serial\r\n{ONE},gateway-1,a1\r\n\r\n{TWO},gateway-1,"a,2"\r\n'


def read(text: str) -> BatchList:
    return read_batch_list(text, batch="b1", supplier="supplier-1", at=NOW)


def test_csv_is_read_with_its_columns_in_any_order() -> None:
    assert read(CSV).devices == DEVICES
    turned = f"serial , device_id, model\n a1 ,{ONE}, gateway-1\n"
    assert read(turned).devices == DEVICES[:1]
    assert read(CSV).issued_at == NOW.replace(microsecond=0)


def test_json_is_read() -> None:
    rows = [{"device_id": each.device_id, "model": each.model, "serial": each.serial} for each in DEVICES]
    assert read("\n " + json.dumps(rows)).devices == DEVICES


@pytest.mark.negative
@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "first line"),
        ("device_id,model\n", "device_id,model,serial"),
        ("device_id,model,serial\n", "1 to"),
        (f"device_id,model,serial\n{ONE},gateway-1\n", "line 2: expected 3 cells, got 2"),
        (f'device_id,model,serial\n"{ONE},gateway-1,a1\n', "line 2"),
        (f"device_id,model,serial\n{ONE[:-1]},gateway-1,a1\n", "line 2.device_id"),
        (
            f"device_id,model,serial\n{ONE},gateway-1,a1\n{ONE},gateway-1,a2\n",
            "line 3: expected each device_id once, got that of line 2",
        ),
        (
            f"device_id,model,serial\n{ONE},gateway-1,a1\n{TWO},gateway-1,a1\n",
            "line 3: expected each serial of a model once, got that of line 2",
        ),
        ("[", "no JSON"),
        ("[1]", "devices.0"),
        (f'[{{"device_id": "{ONE}", "model": "m", "serial": "s", "note": "n"}}]', "also note"),
    ],
)
def test_a_list_with_a_fault_is_refused_whole_and_the_fault_named(text: str, named: str) -> None:
    with pytest.raises(MessageError, match=named):
        read(text)
