"""The self-made IMA lists: they are what their generator makes, and come to what their index says."""

import json
from typing import Any

import pytest

from standards.ima.decode import decode_binary_list
from standards.ima.errors import ImaError
from standards.ima.measured import read_measured, shown_name
from standards.ima.replay import Replayed, replayed_prefix, verify_template_digests
from tests.unit.standards.ima.lists import encoded
from tests.vectors import ima_lists

EXPECTED: dict[str, Any] = json.loads(ima_lists.INDEX.read_text(encoding="utf-8"))


def test_the_files_are_what_the_generator_makes() -> None:
    files = {name: encoded(entries) for name, entries in ima_lists.good_lists().items()}
    files |= {name: data for name, (data, _) in ima_lists.bad_lists().items()}
    assert {path.name for path in ima_lists.FOLDER.iterdir()} == {*files, ima_lists.INDEX.name}
    for name, data in files.items():
        assert (ima_lists.FOLDER / name).read_bytes() == data, name
    assert ima_lists.index() == EXPECTED


@pytest.mark.check("A22")
@pytest.mark.parametrize("name", EXPECTED["good"])
def test_a_good_list_leads_to_its_values(name: str) -> None:
    expected = EXPECTED["good"][name]
    entries = decode_binary_list((ima_lists.FOLDER / name).read_bytes())
    verify_template_digests(entries)
    proven = list(entries.entries(up_to=len(entries)))
    assert [shown_name(read_measured(each).name or b"") for each in proven] == expected["names"]
    assert [each.number for each in proven if each.violation] == expected["violations"]
    values = [bytes.fromhex(value) for value in expected["pcr_10"]]
    for value in values:
        assert replayed_prefix(entries, value, bank="sha256") == Replayed(
            count=values.index(value), value=value
        )


@pytest.mark.check("A22")
@pytest.mark.negative
@pytest.mark.parametrize("name", EXPECTED["bad"])
def test_a_bad_list_is_refused_by_its_part(name: str) -> None:
    data = (ima_lists.FOLDER / name).read_bytes()
    with pytest.raises(ImaError) as refused:
        _read(data)
    assert refused.value.what == EXPECTED["bad"][name]["refused_part"]


def _read(data: bytes) -> None:
    entries = decode_binary_list(data)
    verify_template_digests(entries)
    for each in entries.entries(up_to=len(entries)):
        read_measured(each)
