"""Sessions on the bus: what an eavesdropper sees, and what an interposer can change.

The tests listen where an interposer would: between the connection and the TPM.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from standards.tpm2.commands.objects import TpmObject
from standards.tpm2.connection import TpmConnection
from standards.tpm2.constants import Algorithm, CommandCode, Handle, ObjectAttributes, SessionType
from standards.tpm2.credential import make_credential
from standards.tpm2.errors import ResponseError, SessionError, Tpm2Error
from standards.tpm2.policy import EMPTY_POLICY, policy_auth_value, policy_command_code
from standards.tpm2.sessions import EMPTY_PASSWORD, Password, Session
from standards.tpm2.structures import KeyedHashParameters, Public, Scheme
from standards.tpm2.templates import GENERATION_COUNTER, STORAGE_ECC_P256
from tests.contract.device_keys import ORDINARY, STORAGE_HANDLE, ak_of, storage_of
from tests.contract.sealing import BOOT as APPROVED_PCRS
from tests.contract.sealing import SECRET, approval_for, approved_state, blob_for, sealed_in
from tests.contract.tpm_devices import RunningTpm, make_persistent, refused

AUTH_VALUE = b"only the user of the TRE has it."


def sealed_template(auth_policy: bytes) -> Public:
    return Public(
        type=Algorithm.KEYEDHASH,
        name_algorithm=Algorithm.SHA256,
        attributes=ObjectAttributes(0x480) | ObjectAttributes.FIXED_TPM | ObjectAttributes.FIXED_PARENT,
        auth_policy=auth_policy,
        parameters=KeyedHashParameters(scheme=Scheme()),
        unique=b"",
    )


def heard(device: RunningTpm, secret: bytes) -> bool:
    """Whether `secret` crossed the bus since the last `forget`."""
    assert device.transport
    return any(secret in command or secret in response for command, response in device.transport.exchanges)


def forget(device: RunningTpm) -> None:
    assert device.transport
    device.transport.exchanges.clear()


# --- the eavesdropper ------------------------------------------------------------------------------------


@pytest.mark.requirement("R21")
@pytest.mark.parametrize("way", ["plain", "salted policy", "second session", "both"])
def test_an_unsealed_secret_is_heard_only_without_encryption(device: RunningTpm, way: str) -> None:
    tpm = device.start()
    sealed = sealed_in(tpm)
    storage = TpmObject(handle=STORAGE_HANDLE, public=tpm.read_public(STORAGE_HANDLE).public)
    approval = approval_for(tpm, approved_state(tpm))
    salted_policy, second = way in {"salted policy", "both"}, way in {"second session", "both"}
    policy = tpm.start_auth_session(SessionType.POLICY, salt_key=storage if salted_policy else None)
    protect = tpm.start_auth_session(salt_key=storage) if second else policy if salted_policy else None
    tpm.policy_pcr(policy, selection=APPROVED_PCRS)
    tpm.policy_authorize(policy, approval=approval)
    forget(device)
    assert tpm.unseal(sealed, auth=policy.authorize(), protect=protect) == SECRET
    assert heard(device, SECRET) == (way == "plain")


def test_import_needs_no_session_to_hide_the_secret(device: RunningTpm) -> None:
    tpm = device.start()
    storage = storage_of(tpm)
    blob = blob_for(storage)
    forget(device)
    tpm.load(storage, stored=tpm.import_object(storage, blob=blob))
    assert not heard(device, SECRET)


def test_an_activated_credential_is_heard_only_without_encryption(device: RunningTpm) -> None:
    tpm = device.start()
    ak, storage = ak_of(tpm), storage_of(tpm)
    ek = TpmObject(handle=Handle.EK_RSA_2048, public=tpm.read_public(Handle.EK_RSA_2048).public)
    credential = make_credential(
        ek.public, object_name=ak.name, secret=SECRET, seed=b"\x11" * 32, ephemeral=None
    )

    def activated(policy: Session, protect: Session | None) -> bytes:
        tpm.policy_secret(policy)
        return tpm.activate_credential(
            ak, ek=ek, credential=credential, auths=(EMPTY_PASSWORD, policy.authorize()), protect=protect
        )

    plain = tpm.start_auth_session(SessionType.POLICY)
    salted = tpm.start_auth_session(SessionType.POLICY, salt_key=ek)
    beside = tpm.start_auth_session(salt_key=storage)
    for policy, protect, audible in ((plain, None, True), (salted, salted, False), (plain, beside, False)):
        forget(device)
        assert activated(policy, protect) == SECRET
        assert heard(device, SECRET) == audible


def test_a_vault_key_is_made_without_being_heard(device: RunningTpm) -> None:
    tpm = device.start()
    storage = storage_of(tpm)
    session = tpm.start_auth_session(salt_key=storage)
    template = sealed_template(policy_auth_value(EMPTY_POLICY))
    forget(device)
    stored = tpm.create(
        storage,
        template=template,
        auth_value=AUTH_VALUE,
        sealed=SECRET,
        auth=session.authorize(),
        protect=session,
    )
    assert not heard(device, SECRET)
    assert not heard(device, AUTH_VALUE)
    vault = tpm.load(storage, stored=stored)
    policy = tpm.start_auth_session(SessionType.POLICY)
    tpm.policy_auth_value(policy)
    assert tpm.unseal(vault, auth=policy.authorize(AUTH_VALUE), protect=session) == SECRET
    assert not heard(device, SECRET)


def test_an_index_is_written_and_read_without_being_heard(device: RunningTpm) -> None:
    tpm = device.start()
    storage = storage_of(tpm)
    session = tpm.start_auth_session(salt_key=storage)
    index = replace(ORDINARY, data_size=len(SECRET))
    forget(device)
    tpm.nv_define_space(
        Handle.OWNER,
        public=index,
        auth_value=AUTH_VALUE,
        auth=session.authorize(),
        protect=session,
    )
    auth = session.authorize(AUTH_VALUE)
    tpm.nv_write(index, data=SECRET, auth=auth, protect=session)
    assert tpm.nv_read_whole(index.written(), auth=auth, protect=session) == SECRET
    assert not heard(device, SECRET)
    assert not heard(device, AUTH_VALUE)


def test_a_password_is_heard(device: RunningTpm) -> None:
    """The control: why authValues go by HMAC session."""
    tpm = device.start()
    tpm.nv_define_space(Handle.OWNER, public=ORDINARY, auth_value=AUTH_VALUE)
    forget(device)
    tpm.nv_write(ORDINARY, data=b"x", auth=Password(value=AUTH_VALUE))
    assert heard(device, AUTH_VALUE)


@pytest.mark.parametrize("handle", [Handle.EK_RSA_2048, Handle.EK_ECC_P384, STORAGE_HANDLE])
def test_a_salt_goes_to_any_decryption_key(tpm: TpmConnection, handle: int) -> None:
    storage_of(tpm)
    key = TpmObject(handle=handle, public=tpm.read_public(handle).public)
    session = tpm.start_auth_session(salt_key=key)
    assert session.is_salted
    assert len(tpm.get_random(24, protect=session)) == 24
    assert len(tpm.get_random(24, protect=session)) == 24


# --- authValues ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("salted", [True, False])
@pytest.mark.parametrize("auth_value", [AUTH_VALUE, b"trailing zeros\x00\x00", b""])
def test_an_auth_value_proves_itself_by_hmac(tpm: TpmConnection, auth_value: bytes, *, salted: bool) -> None:
    storage = make_persistent(
        tpm,
        hierarchy=Handle.OWNER,
        template=STORAGE_ECC_P256,
        persistent=STORAGE_HANDLE,
        auth_value=auth_value,
    )
    session = tpm.start_auth_session(salt_key=storage if salted else None)
    stored = tpm.create(
        storage,
        template=sealed_template(bytes(32)),
        sealed=SECRET,
        auth=session.authorize(auth_value),
        protect=session if salted else None,
    )
    loaded = tpm.load(storage, stored=stored, auth=session.authorize(auth_value))
    assert loaded.public.name == stored.public.name
    with refused(0x9A2):
        tpm.load(storage, stored=stored, auth=session.authorize(b"guess"))


def test_a_policy_session_encrypts_with_the_objects_auth_value_too(tpm: TpmConnection) -> None:
    storage = storage_of(tpm)
    auth_policy = policy_command_code(EMPTY_POLICY, code=CommandCode.UNSEAL)
    stored = tpm.create(storage, template=sealed_template(auth_policy), auth_value=AUTH_VALUE, sealed=SECRET)
    sealed = tpm.load(storage, stored=stored)
    policy = tpm.start_auth_session(SessionType.POLICY, salt_key=storage)
    tpm.policy_command_code(policy, code=CommandCode.UNSEAL)
    assert tpm.unseal(sealed, auth=policy.authorize(AUTH_VALUE), protect=policy) == SECRET


def test_a_changed_hierarchy_auth_authenticates_its_own_response(tpm: TpmConnection) -> None:
    session = tpm.start_auth_session(salt_key=storage_of(tpm))
    for old, new in ((b"", AUTH_VALUE), (AUTH_VALUE, b"second"), (b"second", b"")):
        tpm.hierarchy_change_auth(
            Handle.OWNER, new_auth_value=new, auth=session.authorize(old), protect=session
        )


def test_clear_authenticates_its_response_with_the_emptied_lockout_auth(tpm: TpmConnection) -> None:
    session = tpm.start_auth_session()
    tpm.hierarchy_change_auth(Handle.LOCKOUT, new_auth_value=AUTH_VALUE, auth=session.authorize())
    tpm.clear(Handle.LOCKOUT, auth=session.authorize(AUTH_VALUE))
    tpm.hierarchy_change_auth(Handle.LOCKOUT, new_auth_value=b"", auth=session.authorize())


@pytest.mark.negative
def test_a_policy_auth_value_is_asked_for(tpm: TpmConnection) -> None:
    storage = storage_of(tpm)
    stored = tpm.create(
        storage,
        template=sealed_template(policy_auth_value(EMPTY_POLICY)),
        auth_value=AUTH_VALUE,
        sealed=SECRET,
    )
    sealed = tpm.load(storage, stored=stored)
    policy = tpm.start_auth_session(SessionType.POLICY)
    tpm.policy_auth_value(policy)
    with refused(0x9A2):
        tpm.unseal(sealed, auth=policy.authorize(b"guess"))


# --- the interposer --------------------------------------------------------------------------------------


def unchanged(message: bytes) -> bytes:
    return message


def flip(message: bytes, position: int) -> bytes:
    changed = bytearray(message)
    changed[position] ^= 1
    return bytes(changed)


@dataclass(slots=True)
class Interposer:
    """Stands on the bus and changes what it likes."""

    transmit: Callable[[bytes], bytes]
    on_command: Callable[[bytes], bytes] = unchanged
    on_response: Callable[[bytes], bytes] = unchanged

    def __call__(self, command: bytes) -> bytes:
        """Pass on, changed."""
        return self.on_response(self.transmit(self.on_command(command)))


def interposed(device: RunningTpm) -> tuple[TpmConnection, Interposer]:
    device.start()
    assert device.transport
    interposer = Interposer(device.transport)
    return TpmConnection(interposer, os.urandom), interposer


@pytest.mark.negative
def test_every_flipped_byte_of_a_protected_response_is_noticed(device: RunningTpm) -> None:
    tpm, interposer = interposed(device)
    tpm.nv_define_space(Handle.OWNER, public=GENERATION_COUNTER)
    tpm.nv_increment(GENERATION_COUNTER)
    counter, storage = GENERATION_COUNTER.written(), storage_of(tpm)

    def value(protect: Session) -> int:
        return tpm.nv_read_counter(counter, auth=protect.authorize(), protect=protect)

    assert device.transport
    value(tpm.start_auth_session(salt_key=storage))
    size = len(device.transport.exchanges[-1][1])
    for position in range(size):
        session = tpm.start_auth_session(salt_key=storage)
        interposer.on_response = partial(flip, position=position)
        with pytest.raises(Tpm2Error):
            value(session)
        interposer.on_response = unchanged
        tpm.flush_context(session.handle)


@pytest.mark.negative
def test_a_changed_command_is_refused_by_the_tpm(device: RunningTpm) -> None:
    tpm, interposer = interposed(device)
    storage = storage_of(tpm)
    session = tpm.start_auth_session(salt_key=storage)
    tpm.nv_define_space(Handle.OWNER, public=ORDINARY)
    interposer.on_command = lambda command: flip(command, len(command) - 3)
    with pytest.raises(ResponseError):
        tpm.nv_write(ORDINARY, data=b"12345678", auth=session.authorize(), protect=session)


@pytest.mark.negative
def test_an_interposer_that_names_its_own_key_learns_no_salt_and_cannot_answer(
    device: RunningTpm,
) -> None:
    """The connection salts to the pinned key, whatever the bus says; a foreign salt does not decrypt."""
    tpm = device.start()
    pinned = storage_of(tpm)
    foreign = ec.generate_private_key(ec.SECP256R1()).public_key().public_numbers()
    point = replace(
        pinned.public.unique,  # type: ignore[type-var]  # a point, as the key is ECC
        x=foreign.x.to_bytes(32, "big"),
        y=foreign.y.to_bytes(32, "big"),
    )
    wrong = TpmObject(handle=pinned.handle, public=replace(pinned.public, unique=point))
    session = tpm.start_auth_session(salt_key=wrong)
    with pytest.raises(ResponseError):
        tpm.nv_define_space(Handle.OWNER, public=ORDINARY, auth=session.authorize(), protect=session)


@pytest.mark.negative
def test_an_unsalted_session_does_not_protect(tpm: TpmConnection) -> None:
    session = tpm.start_auth_session()
    with pytest.raises(SessionError):
        tpm.get_random(8, protect=session)


@pytest.mark.negative
def test_a_session_does_not_authenticate_an_object_without_a_name(tpm: TpmConnection) -> None:
    storage = storage_of(tpm)
    session = tpm.start_auth_session(salt_key=storage)
    with pytest.raises(SessionError):
        tpm.create(
            STORAGE_HANDLE, template=sealed_template(bytes(32)), sealed=SECRET, auth=session.authorize()
        )


def test_loaded_sessions_are_listed_in_one_numbering_whatever_their_types(tpm: TpmConnection) -> None:
    policy = tpm.start_auth_session(SessionType.POLICY)
    plain = tpm.start_auth_session()
    listed = tpm.handles(0x02000000)
    assert listed == (policy.handle, plain.handle)
    assert tpm.handles((policy.handle & 0x00FFFFFF) + 1 | 0x02000000) == (plain.handle,)
    for handle in listed:
        tpm.flush_context(handle)
    assert tpm.handles(0x02000000) == ()
