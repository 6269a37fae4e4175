"""tpm2-tools as the outside judge: what this codec makes they accept, what it refuses they refuse."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from lab.tpm_pcr_file import pcr_file
from standards.tpm2.commands.attestations import Attestation
from standards.tpm2.commands.objects import TpmObject
from standards.tpm2.connection import TpmConnection
from standards.tpm2.constants import Algorithm, Handle, SessionType
from standards.tpm2.credential import Credential
from standards.tpm2.marshal import Reader, tpm2b
from standards.tpm2.sessions import EMPTY_PASSWORD
from standards.tpm2.structures import Attest, EccPoint, PcrSelection, Public, QuoteInfo
from standards.tpm2.templates import AK_ECC_P256, AK_RSA_2048
from tests.contract.tpm_devices import manufactured, running
from tests.tools import need

NONCE = bytes(range(32))
SELECTION = (PcrSelection(bank=Algorithm.SHA256, indices=(*range(10), 14)),)
TEMPLATES = {"ECDSA": AK_ECC_P256, "RSASSA": AK_RSA_2048}


@pytest.fixture(scope="module")
def tpm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TpmConnection]:
    """One swtpm for the judges of this file."""
    with running("swtpm", manufactured("swtpm", tmp_path_factory)) as device:
        yield device.start()


@pytest.fixture(params=TEMPLATES)
def ak(request: pytest.FixtureRequest, tpm: TpmConnection) -> Iterator[TpmObject]:
    """An AK in a transient slot."""
    made = tpm.create_primary(Handle.ENDORSEMENT, template=TEMPLATES[str(request.param)])
    yield made
    tpm.flush_context(made.handle)


def checkquote(
    folder: Path, public: Public, quoted: Attestation, *, pcrs: bytes, nonce: bytes
) -> subprocess.CompletedProcess[str]:
    """`tpm2_checkquote` over files in `folder`."""
    pem = public.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    files = {"ak.pem": pem, "attest": quoted.attest, "signature": quoted.signature, "pcrs": pcrs}
    for name, content in files.items():
        (folder / name).write_bytes(content)
    command = [need("tpm2_checkquote"), "-u", "ak.pem", "-m", "attest", "-s", "signature"]
    command += ["-f", "pcrs", "-g", "sha256", "-q", nonce.hex()]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=30)


@pytest.mark.requirement("R71")
def test_tpm2_checkquote_accepts_a_quote_of_this_client(
    tpm: TpmConnection, ak: TpmObject, tmp_path: Path
) -> None:
    quoted = tpm.quote(ak, extra_data=NONCE, selection=SELECTION)
    pcrs = pcr_file(SELECTION, tpm.pcr_read_all(SELECTION))
    judged = checkquote(tmp_path, ak.public, quoted, pcrs=pcrs, nonce=NONCE)
    assert judged.returncode == 0, judged.stderr


@pytest.mark.negative
def test_tpm2_checkquote_refuses_what_this_project_refuses(
    tpm: TpmConnection, ak: TpmObject, tmp_path: Path
) -> None:
    quoted = tpm.quote(ak, extra_data=NONCE, selection=SELECTION)
    values = tpm.pcr_read_all(SELECTION)
    good = pcr_file(SELECTION, values)
    values[Algorithm.SHA256][4] = b"\x04" * 32
    other_nonce = checkquote(tmp_path, ak.public, quoted, pcrs=good, nonce=NONCE[::-1])
    other_values = checkquote(tmp_path, ak.public, quoted, pcrs=pcr_file(SELECTION, values), nonce=NONCE)
    assert other_nonce.returncode != 0
    assert other_values.returncode != 0


def printed(folder: Path, kind: str, content: bytes) -> dict[str, str]:
    """What `tpm2_print` says, flattened: the last key of each line and its value."""
    (folder / "structure").write_bytes(content)
    command = [need("tpm2_print"), "-t", kind, "structure"]
    judged = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, timeout=30)
    pairs = (line.strip().split(": ", 1) for line in judged.stdout.splitlines() if ": " in line)
    return dict(pairs)


def test_tpm2_print_reads_the_same_out_of_a_quote(tpm: TpmConnection, ak: TpmObject, tmp_path: Path) -> None:
    quoted = tpm.quote(ak, extra_data=NONCE, selection=SELECTION)
    judged = printed(tmp_path, "TPMS_ATTEST", quoted.attest)
    own = Attest.decode(quoted.attest)
    assert isinstance(own.attested, QuoteInfo)
    assert judged["magic"] == "ff544347"
    assert int(judged["type"], 16) == own.type
    assert judged["qualifiedSigner"] == own.qualified_signer.hex()
    assert judged["extraData"] == own.extra_data.hex()
    assert int(judged["clock"]) == own.clock_info.clock
    assert int(judged["resetCount"]) == own.clock_info.reset_count
    assert int(judged["restartCount"]) == own.clock_info.restart_count
    assert bool(int(judged["safe"])) == own.clock_info.safe
    assert judged["pcrDigest"] == own.attested.pcr_digest.hex()
    assert judged["pcrSelect"] == "ff4300"


@pytest.mark.parametrize("handle", [Handle.EK_RSA_2048, Handle.EK_ECC_P384])
def test_tpm2_print_reads_the_same_out_of_an_ek(tpm: TpmConnection, handle: int, tmp_path: Path) -> None:
    public = tpm.read_public(handle).public
    judged = printed(tmp_path, "TPM2B_PUBLIC", tpm2b(public.encode()))
    assert judged["authorization policy"].lower() == public.auth_policy.hex()
    assert int(judged["sym-keybits"]) == public.symmetric.key_bits
    unique = public.unique
    if isinstance(unique, EccPoint):
        assert (judged["x"], judged["y"]) == (unique.x.hex(), unique.y.hex())
    else:
        assert judged["rsa"] == unique.hex()


@pytest.mark.check("A13")
@pytest.mark.parametrize(("handle", "kind"), [(Handle.EK_RSA_2048, "rsa"), (Handle.EK_ECC_P384, "ecc")])
def test_a_credential_of_tpm2_makecredential_is_activated(
    tpm: TpmConnection, tmp_path: Path, handle: int, kind: str
) -> None:
    ak = tpm.create_primary(Handle.ENDORSEMENT, template=AK_ECC_P256)
    ek = TpmObject(handle=handle, public=tpm.read_public(handle).public)
    (tmp_path / "secret").write_bytes(b"activation")
    (tmp_path / "ek").write_bytes(tpm2b(ek.public.encode()))
    command = [need("tpm2_makecredential"), "-T", "none", "-u", "ek", "-s", "secret"]
    command += ["-n", ak.name.hex(), "-o", "credential"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=30)
    reader = Reader((tmp_path / "credential").read_bytes())
    assert (reader.u32("magic"), reader.u32("version")) == (0xBADCC0DE, 1)
    credential = Credential(
        id_object=reader.tpm2b(512, "id object"), encrypted_secret=reader.tpm2b(512, "secret")
    )
    policy = tpm.start_auth_session(SessionType.POLICY)
    tpm.policy_secret(policy)
    ek_auth = policy.authorize() if kind == "rsa" else EMPTY_PASSWORD
    activated = tpm.activate_credential(ak, ek=ek, credential=credential, auths=(EMPTY_PASSWORD, ek_auth))
    assert activated == b"activation"
    tpm.flush_context(policy.handle)
    tpm.flush_context(ak.handle)
