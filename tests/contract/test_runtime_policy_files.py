"""Runtime policies are read again when their file is replaced, and a bad file is not silently another one."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from pva.appraisal.runtime_policies import RuntimePolicies, RuntimePolicyError
from pva.refusals import RefusalCode, RefusalError
from pva.runtime_policy_files import RuntimePolicyFiles
from tests.fakes.credentials import hw_type
from tests.unit.pva.appraisal.test_runtime_policies import RUNTIME, SUPPLIER, in_force, signed


def replace_file(path: Path, content: bytes) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_bytes(content)
    fresh.rename(path)


def opened(path: Path) -> RuntimePolicyFiles:
    def check(contents: Mapping[str, bytes]) -> RuntimePolicies:
        if not all(contents.values()):
            raise RuntimePolicyError("an empty file")
        return in_force(*contents.values())

    return RuntimePolicyFiles([path], check=check)


def test_a_replaced_file_is_in_force_at_once(tmp_path: Path) -> None:
    path = tmp_path / "runtime.cose"
    path.write_bytes(signed(RUNTIME))
    files = opened(path)
    before = files()
    assert files() is before
    replace_file(path, signed(RUNTIME))
    assert files() is not before
    assert files().digests == before.digests
    assert files().of(supplier=SUPPLIER.name, hw_type=hw_type()) is not None


@pytest.mark.negative
def test_a_bad_file_ends_validations_until_it_is_corrected(tmp_path: Path) -> None:
    path = tmp_path / "runtime.cose"
    path.write_bytes(signed(RUNTIME))
    files = opened(path)
    replace_file(path, b"")
    for _ in range(2):
        with pytest.raises(RefusalError) as caught:
            files()
        assert caught.value.code is RefusalCode.MALFUNCTION
    path.unlink()
    with pytest.raises(RefusalError) as caught:
        files()
    assert caught.value.code is RefusalCode.MALFUNCTION
    path.write_bytes(signed(RUNTIME))
    assert files().digests
    with pytest.raises(OSError, match="none"):
        opened(tmp_path / "none.cose")
