"""tpm2-pytss, a binding of the TCG's own software stack, as second codec and second maker of credentials and blobs."""

import importlib
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import HealthCheck, given, settings

from standards.tpm2.commands.objects import TpmObject
from standards.tpm2.connection import TpmConnection
from standards.tpm2.constants import Handle, SessionType
from standards.tpm2.credential import Credential
from standards.tpm2.import_blob import FreshMaterial, ImportBlob, check_import_public, make_import_blob
from standards.tpm2.marshal import Writer, tpm2b
from standards.tpm2.policy import EMPTY_POLICY, policy_auth_value
from standards.tpm2.sessions import EMPTY_PASSWORD
from standards.tpm2.structures import Attest, NvPublic, Public, Signature
from standards.tpm2.templates import (
    AK_ECC_P256,
    EK_ECC_P256,
    EK_ECC_P256_HIGH,
    EK_ECC_P384,
    EK_RSA_2048,
    EK_RSA_2048_HIGH,
    GENERATION_COUNTER,
    STORAGE_ECC_P256,
    without_unique,
)
from tests.contract.tpm_devices import manufactured, running
from tests.property.test_tpm2_structures import attest_values, nv_publics, signatures
from tests.tools import absent
from tests.unit.standards.tpm2.attester import EXTRA_DATA, ecc_key, quote_of, rsa_key

SECRET = b"a content key of thirty-two byte"
AUTH_POLICY = policy_auth_value(EMPTY_POLICY)


def pytss(module: str) -> Any:
    """A module of tpm2-pytss, which has no types."""
    try:
        return importlib.import_module(f"tpm2_pytss.{module}")
    except ImportError:
        absent(
            "tpm2-pytss",
            remedy="apt-get install libtss2-dev pkg-config gcc; pip install 'open-pva[tpm-oracle]'",
        )


@pytest.fixture(scope="module")
def tpm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TpmConnection]:
    """One swtpm for the judge of this file."""
    with running("swtpm", manufactured("swtpm", tmp_path_factory)) as device:
        yield device.start()


# --- structures ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "public",
    [ecc_key().public, rsa_key().public, ecc_key(STORAGE_ECC_P256).public, EK_RSA_2048, EK_ECC_P384],
)
def test_a_public_area_has_the_same_bytes_and_the_same_name(public: Public) -> None:
    judged, size = pytss("types").TPM2B_PUBLIC.unmarshal(tpm2b(public.encode()))
    assert size == 2 + len(public.encode())
    assert judged.marshal() == tpm2b(public.encode())
    assert bytes(judged.get_name()) == public.name


@given(nv_publics)
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_an_index_has_the_same_bytes(value: NvPublic) -> None:
    judged, _ = pytss("types").TPMS_NV_PUBLIC.unmarshal(value.encode())
    assert judged.marshal() == value.encode()
    assert int(judged.attributes) == value.attributes


def test_an_index_has_the_same_name() -> None:
    value = GENERATION_COUNTER.written()
    judged, _ = pytss("types").TPMS_NV_PUBLIC.unmarshal(value.encode())
    assert bytes(judged.get_name()) == value.name


@given(attest_values)
@settings(deadline=None)
def test_an_attestation_has_the_same_bytes_and_fields(value: Attest) -> None:
    judged, size = pytss("types").TPMS_ATTEST.unmarshal(value.encode())
    assert size == len(value.encode())
    assert judged.marshal() == value.encode()
    assert bytes(judged.extraData) == value.extra_data
    assert judged.clockInfo.resetCount == value.clock_info.reset_count


@given(signatures)
@settings(deadline=None)
def test_a_signature_has_the_same_bytes(value: Signature) -> None:
    judged, _ = pytss("types").TPMT_SIGNATURE.unmarshal(value.encode())
    assert judged.marshal() == value.encode()


@pytest.mark.parametrize("key", [ecc_key(), rsa_key()], ids=["ECDSA", "RSASSA"])
def test_a_signature_of_the_fake_attester_verifies_elsewhere(key: Any) -> None:
    """The fakes of the unit tests sign as a TPM does."""
    data = quote_of(key.public)
    judged, _ = pytss("types").TPMT_SIGNATURE.unmarshal(key.sign(data))
    public, _ = pytss("types").TPMT_PUBLIC.unmarshal(key.public.encode())
    judged.verify_signature(public, data)
    with pytest.raises(InvalidSignature):
        judged.verify_signature(public, data + EXTRA_DATA)


@pytest.mark.check("A12")
@pytest.mark.parametrize(
    ("name", "template"),
    [
        ("EK-RSA2048", EK_RSA_2048),
        ("EK-ECC256", EK_ECC_P256),
        ("EK-HIGH-RSA2048", EK_RSA_2048_HIGH),
        ("EK-HIGH-ECC256", EK_ECC_P256_HIGH),
        ("EK-HIGH-ECC384", EK_ECC_P384),
    ],
)
def test_the_ek_templates_are_those_of_the_stack(name: str, template: Public) -> None:
    utils = pytss("utils")

    certificates = {0x01C00002, 0x01C0000A, 0x01C00012, 0x01C00014, 0x01C00016}

    def certificate_only(index: int) -> bytes:
        """Some certificate, and no index with a template or nonce of the TPM's own."""
        if index in certificates:
            return b"certificate"
        raise utils.NoSuchIndex(index)

    _, judged = utils.create_ek_template(name, certificate_only)
    assert without_unique(Public.decode(judged.publicArea.marshal())) == without_unique(template)


# --- credentials and blobs -------------------------------------------------------------------------------


@pytest.mark.check("A13")
@pytest.mark.parametrize("handle", [Handle.EK_RSA_2048, Handle.EK_ECC_P384])
def test_a_credential_of_the_stack_is_activated(tpm: TpmConnection, handle: int) -> None:
    ak = tpm.create_primary(Handle.ENDORSEMENT, template=AK_ECC_P256)
    ek = TpmObject(handle=handle, public=tpm.read_public(handle).public)
    types = pytss("types")
    public, _ = types.TPM2B_PUBLIC.unmarshal(tpm2b(ek.public.encode()))
    made = pytss("utils").make_credential(public, b"activation", types.TPM2B_NAME(ak.name))
    credential = Credential(id_object=bytes(made[0]), encrypted_secret=bytes(made[1]))
    policy = tpm.start_auth_session(SessionType.POLICY)
    tpm.policy_secret(policy)
    ek_auth = policy.authorize() if handle == Handle.EK_RSA_2048 else EMPTY_PASSWORD
    auths = (EMPTY_PASSWORD, ek_auth)
    assert tpm.activate_credential(ak, ek=ek, credential=credential, auths=auths) == b"activation"
    tpm.flush_context(policy.handle)
    tpm.flush_context(ak.handle)


def test_a_blob_of_this_project_is_opened_by_the_stack() -> None:
    key = ecc_key(STORAGE_ECC_P256)
    fresh = FreshMaterial(obfuscation=b"\x0b" * 32, ephemeral=ec.derive_private_key(0xE9, ec.SECP256R1()))
    blob = make_import_blob(key.public, secret=SECRET, auth_policy=AUTH_POLICY, fresh=fresh)
    types = pytss("types")
    parent, _ = types.TPMT_PUBLIC.unmarshal(key.public.encode())
    scalar = (0xA4).to_bytes(32, "big")
    private = Writer().u16(key.public.type).tpm2b(b"").tpm2b(b"").tpm2b(scalar).done()
    sensitive, _ = types.TPMT_SENSITIVE.unmarshal(private)
    public, _ = types.TPM2B_PUBLIC.unmarshal(tpm2b(blob.public.encode()))
    opened = pytss("utils").unwrap(
        parent,
        sensitive,
        public,
        types.TPM2B_PRIVATE(blob.duplicate),
        types.TPM2B_ENCRYPTED_SECRET(blob.encrypted_seed),
    )
    assert bytes(opened.sensitiveArea.sensitive.bits) == SECRET
    assert bytes(opened.sensitiveArea.authValue) == b""


def test_a_blob_of_the_stack_is_imported_and_opened(tpm: TpmConnection) -> None:
    storage = tpm.create_primary(Handle.OWNER, template=STORAGE_ECC_P256)
    fresh = FreshMaterial(obfuscation=b"\x0b" * 32, ephemeral=ec.derive_private_key(0xE9, ec.SECP256R1()))
    public = make_import_blob(storage.public, secret=SECRET, auth_policy=AUTH_POLICY, fresh=fresh).public
    types = pytss("types")
    parent, _ = types.TPMT_PUBLIC.unmarshal(storage.public.encode())
    private = Writer().u16(public.type).tpm2b(b"").tpm2b(fresh.obfuscation).tpm2b(SECRET).done()
    sensitive, _ = types.TPM2B_SENSITIVE.unmarshal(tpm2b(private))
    judged, _ = types.TPM2B_PUBLIC.unmarshal(tpm2b(public.encode()))
    _, duplicate, seed = pytss("utils").wrap(parent, judged, sensitive)
    blob = ImportBlob(public=public, duplicate=bytes(duplicate), encrypted_seed=bytes(seed))
    check_import_public(blob.public, auth_policy=AUTH_POLICY)
    sealed = tpm.load(storage, stored=tpm.import_object(storage, blob=blob))
    policy = tpm.start_auth_session(SessionType.POLICY)
    tpm.policy_auth_value(policy)
    assert tpm.unseal(sealed, auth=policy.authorize()) == SECRET
    for handle in (policy.handle, sealed.handle, storage.handle):
        tpm.flush_context(handle)
