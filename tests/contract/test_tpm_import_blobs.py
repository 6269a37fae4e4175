"""Import blobs and foreign keys: what a TPM takes, refuses, and gives out again.

The return codes are those that the TRE decides by.
"""

import hashlib
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from standards.tpm2.attestation import verify_certified_key
from standards.tpm2.commands.objects import StoredObject
from standards.tpm2.connection import TpmConnection
from standards.tpm2.constants import (
    Algorithm,
    CommandCode,
    Handle,
    ObjectAttributes,
)
from standards.tpm2.errors import VerificationError
from standards.tpm2.import_blob import ImportBlob, check_import_public, make_import_blob
from standards.tpm2.marshal import Writer, tpm2b
from standards.tpm2.outer_wrap import wrap
from standards.tpm2.policy import (
    EMPTY_POLICY,
    policy_command_code,
)
from standards.tpm2.secret_sharing import LABEL_DUPLICATE, share_secret
from standards.tpm2.sessions import EMPTY_PASSWORD
from standards.tpm2.structures import (
    EccParameters,
    EccPoint,
    KeyedHashParameters,
    Public,
    Scheme,
)
from standards.tpm2.templates import (
    AES_128_CFB,
    AK_ECC_P256,
    STORAGE_ECC_P256,
    STORAGE_RSA_2048,
)
from tests.contract.sealing import (
    _A,
    AUTH_POLICY,
    BOOT,
    FRESH,
    SECRET,
    approval_for,
    approved_state,
    blob_for,
    opened,
    policy_session,
    sealed_in,
    storage_of,
)
from tests.contract.tpm_devices import make_persistent, refused

# --- blobs -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("template", [STORAGE_ECC_P256, STORAGE_RSA_2048], ids=["P-256", "RSA"])
def test_a_blob_made_in_software_opens_in_an_approved_state(tpm: TpmConnection, template: Public) -> None:
    storage = storage_of(tpm, template)
    blob = blob_for(storage)
    assert check_import_public(blob.public, auth_policy=AUTH_POLICY) == blob.public.name
    sealed = tpm.load(storage, stored=tpm.import_object(storage, blob=blob))
    assert opened(tpm, sealed, approval_for(tpm, approved_state(tpm))) == SECRET


@pytest.mark.parametrize("size", [1, 128])
def test_the_smallest_and_the_largest_secret_open(tpm: TpmConnection, size: int) -> None:
    storage = storage_of(tpm)
    blob = make_import_blob(storage.public, secret=b"k" * size, auth_policy=AUTH_POLICY, fresh=FRESH)
    sealed = tpm.load(storage, stored=tpm.import_object(storage, blob=blob))
    assert opened(tpm, sealed, approval_for(tpm, approved_state(tpm))) == b"k" * size


def handmade_blob(
    storage: Public,
    *,
    attributes: int = 0x480,
    auth_policy: bytes = AUTH_POLICY,
    obfuscation: bytes = b"\x0b" * 32,
    secret: bytes = SECRET,
) -> ImportBlob:
    """What a careless or hostile sender makes: no check of the project is in its way."""
    public = Public(
        type=Algorithm.KEYEDHASH,
        name_algorithm=Algorithm.SHA256,
        attributes=ObjectAttributes(attributes),
        auth_policy=auth_policy,
        parameters=KeyedHashParameters(scheme=Scheme()),
        unique=hashlib.sha256(obfuscation + secret).digest(),
    )
    sensitive = Writer().u16(Algorithm.KEYEDHASH).tpm2b(b"").tpm2b(obfuscation).tpm2b(secret).done()
    shared = share_secret(storage, label=LABEL_DUPLICATE, seed=b"", ephemeral=FRESH.ephemeral)
    duplicate = wrap(tpm2b(sensitive), parent=storage, seed=shared.seed, name=public.name)
    return ImportBlob(public=public, duplicate=duplicate, encrypted_seed=shared.encrypted)


@pytest.mark.negative
@pytest.mark.parametrize(
    ("attributes", "rc"),
    [
        (0x480 | _A.FIXED_TPM | _A.FIXED_PARENT, 0x2C2),
        (0x480 | _A.FIXED_TPM, 0x2C2),
        (0x480 | _A.FIXED_PARENT, 0x2C2),
        (0x480 | _A.RESTRICTED, 0x2C2),
        (0x480 | _A.SIGN, 0x2D2),
        (0x480 | _A.DECRYPT, 0x2D2),
        (0x480 | _A.ENCRYPTED_DUPLICATION, 0x1C2),
    ],
)
def test_attributes_that_the_tpm_refuses(tpm: TpmConnection, attributes: int, rc: int) -> None:
    storage = storage_of(tpm)
    with refused(rc):
        tpm.import_object(storage, blob=handmade_blob(storage.public, attributes=attributes))


@pytest.mark.negative
@pytest.mark.check("A31")
def test_an_object_with_user_with_auth_opens_without_policy_so_the_check_refuses_it(
    tpm: TpmConnection,
) -> None:
    storage = storage_of(tpm)
    blob = handmade_blob(storage.public, attributes=0x480 | _A.USER_WITH_AUTH)
    sealed = tpm.load(storage, stored=tpm.import_object(storage, blob=blob))
    assert tpm.unseal(sealed, auth=EMPTY_PASSWORD) == SECRET
    with pytest.raises(VerificationError) as caught:
        check_import_public(blob.public, auth_policy=AUTH_POLICY)
    assert caught.value.check == "A31"


@pytest.mark.negative
def test_an_object_with_an_empty_policy_never_opens(tpm: TpmConnection) -> None:
    storage = storage_of(tpm)
    blob = handmade_blob(storage.public, auth_policy=b"")
    sealed = tpm.load(storage, stored=tpm.import_object(storage, blob=blob))
    with refused(0x12F):
        tpm.unseal(sealed, auth=EMPTY_PASSWORD)
    with refused(0x99D):
        tpm.unseal(sealed, auth=policy_session(tpm).authorize())


@pytest.mark.negative
@pytest.mark.parametrize(
    ("changes", "rc"), [({"obfuscation": b"\x0b" * 31}, 0x3C7), ({"secret": b"k" * 129}, 0x3D5)]
)
def test_sizes_that_the_tpm_refuses(tpm: TpmConnection, changes: dict[str, bytes], rc: int) -> None:
    storage = storage_of(tpm)
    obfuscation, secret = changes.get("obfuscation", b"\x0b" * 32), changes.get("secret", SECRET)
    with refused(rc):
        tpm.import_object(storage, blob=handmade_blob(storage.public, obfuscation=obfuscation, secret=secret))


@pytest.mark.negative
def test_an_altered_blob_is_refused(tpm: TpmConnection) -> None:
    storage = storage_of(tpm)
    blob = blob_for(storage)
    swapped = replace(blob.public, auth_policy=bytes(32))
    for position in (2, 40, len(blob.duplicate) - 1):
        flipped = bytearray(blob.duplicate)
        flipped[position] ^= 1
        with refused(0x3DF):
            tpm.import_object(storage, blob=replace(blob, duplicate=bytes(flipped)))
    with refused(0x3DF):
        tpm.import_object(storage, blob=replace(blob, public=swapped))


@pytest.mark.negative
def test_a_blob_ends_with_clear_of_the_owner_hierarchy(tpm: TpmConnection) -> None:
    storage = storage_of(tpm)
    blob = blob_for(storage)
    stored = tpm.import_object(storage, blob=blob)
    tpm.clear(Handle.LOCKOUT)
    storage = storage_of(tpm)
    with refused(0x1DF):
        tpm.load(storage, stored=stored)
    with refused(0x3DF):
        tpm.import_object(storage, blob=blob)


@pytest.mark.negative
def test_an_opened_blob_does_not_leave_by_duplicate(tpm: TpmConnection) -> None:
    sealed = sealed_in(tpm)
    session = policy_session(tpm)
    tpm.policy_pcr(session, selection=BOOT)
    tpm.policy_authorize(session, approval=approval_for(tpm, approved_state(tpm)))
    with refused(0x99D):
        tpm.duplicate(sealed, new_parent=Handle.NULL, auth=session.authorize())
    tpm.policy_restart(session)
    tpm.policy_pcr(session, selection=BOOT)
    tpm.policy_authorize(session, approval=approval_for(tpm, approved_state(tpm)))
    tpm.policy_command_code(session, code=CommandCode.DUPLICATE)
    with refused(0x99D):
        tpm.duplicate(sealed, new_parent=Handle.NULL, auth=session.authorize())


def test_whoever_signs_a_duplicate_policy_gives_the_secret_away(tpm: TpmConnection) -> None:
    """The control: why the signer builds every digest itself."""
    sealed = sealed_in(tpm)
    approved = policy_command_code(EMPTY_POLICY, code=CommandCode.DUPLICATE)
    approval = approval_for(tpm, approved)
    session = policy_session(tpm)
    tpm.policy_command_code(session, code=CommandCode.DUPLICATE)
    tpm.policy_authorize(session, approval=approval)
    out = tpm.duplicate(sealed, new_parent=Handle.NULL, auth=session.authorize())
    assert SECRET in out.duplicate


# --- foreign keys ----------------------------------------------------------------------------------------


def software_storage_key(attributes: int) -> Public:
    numbers = ec.derive_private_key(0x50F7, ec.SECP256R1()).public_key().public_numbers()
    return Public(
        type=Algorithm.ECC,
        name_algorithm=Algorithm.SHA256,
        attributes=ObjectAttributes(attributes),
        auth_policy=b"",
        parameters=EccParameters(symmetric=AES_128_CFB, scheme=Scheme(), curve=3, kdf=Scheme()),
        unique=EccPoint(x=numbers.x.to_bytes(32, "big"), y=numbers.y.to_bytes(32, "big")),
    )


def software_sensitive(scalar: int) -> bytes:
    """TPMT_SENSITIVE of a P-256 key."""
    return Writer().u16(Algorithm.ECC).tpm2b(b"").tpm2b(b"").tpm2b(scalar.to_bytes(32, "big")).done()


@pytest.mark.negative
@pytest.mark.check("A30")
def test_a_software_key_cannot_claim_to_be_the_tpms(tpm: TpmConnection) -> None:
    ak = make_persistent(tpm, hierarchy=Handle.ENDORSEMENT, template=AK_ECC_P256, persistent=0x81000101)
    claimed = software_storage_key(0x00030472)
    loaded = tpm.load_external(claimed)
    with refused(0x12F):
        tpm.certify(loaded, ak=ak, extra_data=b"n" * 32)
    with refused(0x2C2):
        tpm.load_external(claimed, hierarchy=Handle.NULL, sensitive=software_sensitive(0x50F7))


@pytest.mark.negative
@pytest.mark.check("A30")
def test_the_ak_certifies_an_imported_key_and_the_check_refuses_it(tpm: TpmConnection) -> None:
    """An imported storage key is known to whoever made it: the attributes are the only barrier."""
    ak = make_persistent(tpm, hierarchy=Handle.ENDORSEMENT, template=AK_ECC_P256, persistent=0x81000101)
    storage = storage_of(tpm)
    public = software_storage_key(0x00030440)
    shared = share_secret(storage.public, label=LABEL_DUPLICATE, seed=b"", ephemeral=FRESH.ephemeral)
    sensitive = (
        Writer().u16(Algorithm.ECC).tpm2b(b"").tpm2b(b"\x5d" * 32).tpm2b((0x50F7).to_bytes(32, "big")).done()
    )
    duplicate = wrap(tpm2b(sensitive), parent=storage.public, seed=shared.seed, name=public.name)
    blob = ImportBlob(public=public, duplicate=duplicate, encrypted_seed=shared.encrypted)
    stored: StoredObject = tpm.import_object(storage, blob=blob)
    imported = tpm.load(storage, stored=stored)
    certified = tpm.certify(imported, ak=ak, extra_data=b"n" * 32)
    with pytest.raises(VerificationError) as caught:
        verify_certified_key(
            certified.attest,
            signature=certified.signature,
            ak=ak.public,
            certified=public,
            extra_data=b"n" * 32,
        )
    assert caught.value.check == "A30"
