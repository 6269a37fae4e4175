"""From a supplier's description, and lists of good machines, to the runtime policy that is signed."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from cli.commands.runtime_policies import RuntimePolicyDescription, policy_of
from cli.failures import CliError
from messages.runtime_policy import RuntimePolicy, sign_runtime_policy
from standards.ima.errors import ImaError
from standards.pki.fingerprints import spki_der
from tests.fakes.pki import Authority
from tests.unit.cli.person import Person
from tests.unit.standards.ima.lists import BOOT_AGGREGATE, FILE_DIGEST, VIOLATION, Made, encoded, ng, sha1
from tests.unit.standards.rats.manifests import SIGNER, SIGNER_KEY

OTHER = "ab" * 32


def described(folder: Path, *entries: Made) -> RuntimePolicyDescription:
    """A description with a list of these entries, a file and a signer."""
    (folder / "good.list").write_bytes(encoded([BOOT_AGGREGATE, *entries]))
    signer = Authority.root("file signer").certificate
    (folder / "signer.pem").write_bytes(signer.public_bytes(Encoding.PEM))
    return RuntimePolicyDescription.model_validate(
        {
            "supplier": "supplier-1",
            "id": "runtime-1",
            "models": ["gateway-2", "gateway-1"],
            "ima_lists": [folder / "good.list"],
            "files": {"/usr/bin/meter": [OTHER]},
            "signers": [folder / "signer.pem"],
        }
    )


@pytest.mark.check("A22")
def test_what_a_good_machine_measured_is_allowed_beside_what_is_written_down(tmp_path: Path) -> None:
    made = policy_of(described(tmp_path, Made(data=ng(b"/usr/bin/meter")), Made(data=ng(b"/sbin/init\n"))))
    assert made.files == {
        b"/usr/bin/meter": {FILE_DIGEST, bytes.fromhex(OTHER)},
        b"/sbin/init\n": {FILE_DIGEST},
    }
    assert made.models == ("gateway-1", "gateway-2")
    assert len(made.keyring) == 1
    assert made.keys[0] == spki_der(next(iter(made.keyring.values()))[0])


@pytest.mark.check("A22")
@pytest.mark.negative
@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (Made(data=ng(b"/var/log", bytes(20)), template_digest=VIOLATION), "a violation"),
        (Made(data=ng(b"/a", sha1(b"a"), algorithm=b"sha1")), "got sha1"),
        (Made(data=ng(b"/a"), template_digest=b"\x01" * 20), "template digest"),
        (Made(data=b"no fields"), "field"),
    ],
)
def test_a_list_that_is_no_reference_is_refused(tmp_path: Path, entry: Made, said: str) -> None:
    with pytest.raises(ImaError, match=said):
        policy_of(described(tmp_path, entry))


@pytest.mark.negative
def test_a_list_that_is_not_there_is_named(tmp_path: Path) -> None:
    description = described(tmp_path)
    (tmp_path / "good.list").unlink()
    with pytest.raises(CliError, match="cannot be read"):
        policy_of(description)


def signed(folder: Path, name: str, policy: RuntimePolicy) -> str:
    path = folder / name
    path.write_bytes(sign_runtime_policy(policy, key=SIGNER_KEY, chain=[SIGNER]))
    return str(path)


@pytest.mark.check("A22")
def test_two_policies_are_compared_by_path_and_key(tmp_path: Path) -> None:
    old = policy_of(described(tmp_path, Made(data=ng(b"/usr/bin/meter")), Made(data=ng(b"/a\xff"))))
    files = {b"/usr/bin/meter": frozenset({FILE_DIGEST}), b"/a\\xff": frozenset({FILE_DIGEST})}
    new = replace(old, id="runtime-2", files=files, keys=())
    person = Person(folder=tmp_path)
    answer = person.json("runtime-policy", "diff", signed(tmp_path, "old", old), signed(tmp_path, "new", new))
    found = {row["name"]: (row["old"], row["new"]) for row in answer["differences"]}
    key = hashlib.sha256(old.keys[0]).hexdigest()
    assert found == {
        "id": ("runtime-1", "runtime-2"),
        "file /usr/bin/meter": (", ".join(sorted((FILE_DIGEST.hex(), OTHER))), FILE_DIGEST.hex()),
        "file /a\\xff": (FILE_DIGEST.hex(), "-"),
        "file /a\\\\xff": ("-", FILE_DIGEST.hex()),
        f"key {key}": ("signs files", "-"),
    }
    assert person.asked == []
    same = person.json("runtime-policy", "diff", str(tmp_path / "old"), str(tmp_path / "old"))
    assert (same["outcome"], same["differences"]) == ("0 differences", [])


@pytest.mark.negative
def test_what_is_no_policy_is_not_compared(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"no policy")
    done = Person(folder=tmp_path).run("runtime-policy", "diff", str(tmp_path / "x"), str(tmp_path / "x"))
    assert done.exit_code == 1
    assert str(tmp_path / "x") in done.stderr
