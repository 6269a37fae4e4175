"""Endorsement keys, and credentials made in software that only the right TPM activates."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from standards.tpm2.commands.objects import TpmObject
from standards.tpm2.connection import TpmConnection
from standards.tpm2.constants import (
    Algorithm,
    Handle,
    SessionType,
)
from standards.tpm2.credential import Credential, make_credential
from standards.tpm2.errors import ResponseError
from standards.tpm2.key_checks import check_ek
from standards.tpm2.sessions import EMPTY_PASSWORD
from tests.contract.device_keys import CERTIFICATE_INDICES, EK_HANDLES, ak_of, storage_of
from tests.contract.tpm_devices import refused

# --- endorsement keys ------------------------------------------------------------------------------------


@pytest.mark.check("A12")
@pytest.mark.parametrize("handle", EK_HANDLES)
def test_the_endorsement_keys_are_made_from_the_profiles_templates(tpm: TpmConnection, handle: int) -> None:
    found = tpm.read_public(handle)
    assert check_ek(found.public) == found.public.name


@pytest.mark.parametrize(("handle", "index"), list(zip(EK_HANDLES, CERTIFICATE_INDICES, strict=True)))
def test_each_endorsement_key_has_its_certificate_in_nv(tpm: TpmConnection, handle: int, index: int) -> None:
    certificate = tpm.nv_read_whole(tpm.nv_read_public(index), by=Handle.OWNER)
    key = tpm.read_public(handle).public.public_key()
    assert key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) in certificate


# --- credentials -----------------------------------------------------------------------------------------


def activate(tpm: TpmConnection, ak: TpmObject, ek: TpmObject, credential: Credential) -> bytes:
    """The device's part; the RSA EK asks for PolicySecret(ENDORSEMENT), the P-384 one for its empty authValue."""
    if ek.handle == Handle.EK_ECC_P384:
        auths = (EMPTY_PASSWORD, EMPTY_PASSWORD)
        return tpm.activate_credential(ak, ek=ek, credential=credential, auths=auths)
    policy = tpm.start_auth_session(SessionType.POLICY)
    tpm.policy_secret(policy)
    try:
        return tpm.activate_credential(
            ak, ek=ek, credential=credential, auths=(EMPTY_PASSWORD, policy.authorize())
        )
    finally:
        tpm.flush_context(policy.handle)


def credential_for(ek: TpmObject, name: bytes) -> Credential:
    ephemeral = None if ek.public.type == Algorithm.RSA else ec.generate_private_key(ec.SECP384R1())
    return make_credential(
        ek.public, object_name=name, secret=b"activation", seed=b"\x17" * 32, ephemeral=ephemeral
    )


@pytest.mark.check("A13")
@pytest.mark.parametrize("handle", EK_HANDLES)
def test_a_credential_made_in_software_is_activated(tpm: TpmConnection, handle: int) -> None:
    ak = ak_of(tpm)
    ek = TpmObject(handle=handle, public=tpm.read_public(handle).public)
    assert activate(tpm, ak, ek, credential_for(ek, ak.name)) == b"activation"
    by_tpm = tpm.make_credential(ek, secret=b"other", object_name=ak.name)
    assert activate(tpm, ak, ek, by_tpm) == b"other"


@pytest.mark.negative
@pytest.mark.check("A13")
@pytest.mark.parametrize("handle", EK_HANDLES)
def test_a_credential_for_another_object_or_altered_is_not_activated(tpm: TpmConnection, handle: int) -> None:
    ak, storage = ak_of(tpm), storage_of(tpm)
    ek = TpmObject(handle=handle, public=tpm.read_public(handle).public)
    with refused(0x1DF):
        activate(tpm, ak, ek, credential_for(ek, storage.name))
    good = credential_for(ek, ak.name)
    altered = good.id_object[:-1] + bytes([good.id_object[-1] ^ 1])
    with refused(0x1DF):
        activate(tpm, ak, ek, Credential(id_object=altered, encrypted_secret=good.encrypted_secret))


@pytest.mark.negative
def test_the_rsa_ek_is_not_opened_by_a_password_or_an_empty_policy(tpm: TpmConnection) -> None:
    ak = ak_of(tpm)
    ek = TpmObject(handle=Handle.EK_RSA_2048, public=tpm.read_public(Handle.EK_RSA_2048).public)
    credential = credential_for(ek, ak.name)
    with refused(0x12F):
        tpm.activate_credential(ak, ek=ek, credential=credential, auths=(EMPTY_PASSWORD, EMPTY_PASSWORD))
    policy = tpm.start_auth_session(SessionType.POLICY)
    with pytest.raises(ResponseError) as caught:
        tpm.activate_credential(ak, ek=ek, credential=credential, auths=(EMPTY_PASSWORD, policy.authorize()))
    assert caught.value.rc == 0xA9D
