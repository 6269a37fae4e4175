"""The commands of this TPM: handles, who authorises them, what sessions may encrypt, and what runs (Part 3).

A table, so that it can be checked against Part 3 line by line: `decrypt` and `encrypt` say whether the first
parameter of command and response is a sized buffer.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lab.software_tpm import (
    attestation_commands,
    capability_commands,
    credential_commands,
    duplication_commands,
    general_commands,
    hierarchy_commands,
    nv_commands,
    object_commands,
    pcr_commands,
    policy_authorization_commands,
    policy_commands,
    session_commands,
    signing_commands,
)
from lab.software_tpm.call import Call, Reply, Role
from lab.software_tpm.entities import HandleKind
from lab.software_tpm.machine import Machine
from standards.tpm2.constants import CommandCode

_USER = (Role.USER,)
_K = HandleKind
_CC = CommandCode


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One row: the first `len(roles)` handles need authorisation."""

    run: Callable[[Machine, Call], Reply]
    handles: tuple[HandleKind, ...] = ()
    roles: tuple[Role, ...] = ()
    decrypt: bool = False
    encrypt: bool = False
    sessions: bool = True


_GENERAL: dict[CommandCode, Command] = {
    _CC.STARTUP: Command(run=general_commands.startup, sessions=False),
    _CC.SHUTDOWN: Command(run=general_commands.shutdown),
    _CC.SELF_TEST: Command(run=general_commands.run_self_test),
    _CC.GET_RANDOM: Command(run=general_commands.get_random, encrypt=True),
    _CC.STIR_RANDOM: Command(run=general_commands.stir_random, decrypt=True),
    _CC.READ_CLOCK: Command(run=general_commands.read_clock, sessions=False),
    _CC.GET_CAPABILITY: Command(run=capability_commands.get_capability),
    _CC.PCR_READ: Command(run=pcr_commands.pcr_read),
    _CC.PCR_EXTEND: Command(run=pcr_commands.pcr_extend, handles=(_K.PCR_OR_NULL,), roles=_USER),
    _CC.PCR_RESET: Command(run=pcr_commands.pcr_reset, handles=(_K.PCR,), roles=_USER),
    _CC.DICTIONARY_ATTACK_LOCK_RESET: Command(
        run=hierarchy_commands.dictionary_attack_lock_reset, handles=(_K.LOCKOUT,), roles=_USER
    ),
    _CC.HIERARCHY_CHANGE_AUTH: Command(
        run=hierarchy_commands.hierarchy_change_auth, handles=(_K.HIERARCHY_AUTH,), roles=_USER, decrypt=True
    ),
    _CC.CLEAR: Command(run=hierarchy_commands.clear, handles=(_K.CLEAR,), roles=_USER),
}
_OBJECTS: dict[CommandCode, Command] = {
    _CC.CREATE_PRIMARY: Command(
        run=object_commands.create_primary, handles=(_K.HIERARCHY,), roles=_USER, decrypt=True, encrypt=True
    ),
    _CC.CREATE: Command(
        run=object_commands.create, handles=(_K.OBJECT,), roles=_USER, decrypt=True, encrypt=True
    ),
    _CC.LOAD: Command(
        run=object_commands.load, handles=(_K.OBJECT,), roles=_USER, decrypt=True, encrypt=True
    ),
    _CC.LOAD_EXTERNAL: Command(run=object_commands.load_external, decrypt=True, encrypt=True),
    _CC.READ_PUBLIC: Command(run=object_commands.read_public, handles=(_K.OBJECT,), encrypt=True),
    _CC.UNSEAL: Command(run=object_commands.unseal, handles=(_K.OBJECT,), roles=_USER, encrypt=True),
    _CC.EVICT_CONTROL: Command(
        run=hierarchy_commands.evict_control, handles=(_K.PROVISION, _K.OBJECT), roles=_USER
    ),
    _CC.IMPORT: Command(
        run=duplication_commands.import_object, handles=(_K.OBJECT,), roles=_USER, decrypt=True, encrypt=True
    ),
    _CC.DUPLICATE: Command(
        run=duplication_commands.duplicate,
        handles=(_K.OBJECT, _K.OBJECT_OR_NULL),
        roles=(Role.DUPLICATION,),
        decrypt=True,
        encrypt=True,
    ),
    _CC.OBJECT_CHANGE_AUTH: Command(
        run=object_commands.object_change_auth,
        handles=(_K.OBJECT, _K.OBJECT),
        roles=(Role.ADMIN,),
        decrypt=True,
        encrypt=True,
    ),
    _CC.MAKE_CREDENTIAL: Command(
        run=credential_commands.make_credential, handles=(_K.OBJECT,), decrypt=True, encrypt=True
    ),
    _CC.ACTIVATE_CREDENTIAL: Command(
        run=credential_commands.activate_credential,
        handles=(_K.OBJECT, _K.OBJECT),
        roles=(Role.ADMIN, Role.USER),
        decrypt=True,
        encrypt=True,
    ),
}
_SIGNING: dict[CommandCode, Command] = {
    _CC.CERTIFY: Command(
        run=attestation_commands.certify,
        handles=(_K.OBJECT, _K.OBJECT_OR_NULL),
        roles=(Role.ADMIN, Role.USER),
        decrypt=True,
        encrypt=True,
    ),
    _CC.QUOTE: Command(
        run=attestation_commands.quote, handles=(_K.OBJECT_OR_NULL,), roles=_USER, decrypt=True, encrypt=True
    ),
    _CC.NV_CERTIFY: Command(
        run=attestation_commands.nv_certify,
        handles=(_K.OBJECT_OR_NULL, _K.NV_AUTH, _K.NV_INDEX),
        roles=(Role.USER, Role.USER),
        decrypt=True,
        encrypt=True,
    ),
    _CC.HASH: Command(run=signing_commands.hash_data, decrypt=True, encrypt=True),
    _CC.SIGN: Command(run=signing_commands.sign, handles=(_K.OBJECT,), roles=_USER, decrypt=True),
    _CC.VERIFY_SIGNATURE: Command(run=signing_commands.verify_signature, handles=(_K.OBJECT,), decrypt=True),
}
_POLICY_SESSION = (_K.POLICY_SESSION,)
_SESSIONS: dict[CommandCode, Command] = {
    _CC.START_AUTH_SESSION: Command(
        run=session_commands.start_auth_session,
        handles=(_K.OBJECT_OR_NULL, _K.ENTITY_OR_NULL),
        decrypt=True,
        encrypt=True,
    ),
    _CC.FLUSH_CONTEXT: Command(run=session_commands.flush_context, sessions=False),
    _CC.POLICY_RESTART: Command(run=policy_commands.policy_restart, handles=_POLICY_SESSION),
    _CC.POLICY_GET_DIGEST: Command(
        run=policy_commands.policy_get_digest, handles=_POLICY_SESSION, encrypt=True
    ),
    _CC.POLICY_SIGNED: Command(
        run=policy_authorization_commands.policy_signed,
        handles=(_K.OBJECT, _K.POLICY_SESSION),
        decrypt=True,
        encrypt=True,
    ),
    _CC.POLICY_SECRET: Command(
        run=policy_authorization_commands.policy_secret,
        handles=(_K.ENTITY, _K.POLICY_SESSION),
        roles=_USER,
        decrypt=True,
        encrypt=True,
    ),
    _CC.POLICY_PCR: Command(run=policy_commands.policy_pcr, handles=_POLICY_SESSION, decrypt=True),
    _CC.POLICY_NV: Command(
        run=policy_commands.policy_nv,
        handles=(_K.NV_AUTH, _K.NV_INDEX, _K.POLICY_SESSION),
        roles=_USER,
        decrypt=True,
    ),
    _CC.POLICY_COUNTER_TIMER: Command(
        run=policy_commands.policy_counter_timer, handles=_POLICY_SESSION, decrypt=True
    ),
    _CC.POLICY_AUTHORIZE: Command(
        run=policy_authorization_commands.policy_authorize, handles=_POLICY_SESSION, decrypt=True
    ),
    _CC.POLICY_COMMAND_CODE: Command(run=policy_commands.policy_command_code, handles=_POLICY_SESSION),
    _CC.POLICY_CP_HASH: Command(run=policy_commands.policy_cp_hash, handles=_POLICY_SESSION, decrypt=True),
    _CC.POLICY_AUTH_VALUE: Command(run=policy_commands.policy_auth_value, handles=_POLICY_SESSION),
    _CC.POLICY_PASSWORD: Command(run=policy_commands.policy_password, handles=_POLICY_SESSION),
    _CC.POLICY_OR: Command(run=policy_commands.policy_or, handles=_POLICY_SESSION),
}
_NV: dict[CommandCode, Command] = {
    _CC.NV_DEFINE_SPACE: Command(
        run=nv_commands.nv_define_space, handles=(_K.PROVISION,), roles=_USER, decrypt=True
    ),
    _CC.NV_UNDEFINE_SPACE: Command(
        run=nv_commands.nv_undefine_space, handles=(_K.PROVISION, _K.NV_INDEX), roles=_USER
    ),
    _CC.NV_READ_PUBLIC: Command(run=nv_commands.nv_read_public, handles=(_K.NV_INDEX,), encrypt=True),
    _CC.NV_READ: Command(
        run=nv_commands.nv_read, handles=(_K.NV_AUTH, _K.NV_INDEX), roles=_USER, encrypt=True
    ),
    _CC.NV_WRITE: Command(
        run=nv_commands.nv_write, handles=(_K.NV_AUTH, _K.NV_INDEX), roles=_USER, decrypt=True
    ),
    _CC.NV_INCREMENT: Command(run=nv_commands.nv_increment, handles=(_K.NV_AUTH, _K.NV_INDEX), roles=_USER),
}
COMMANDS: Mapping[CommandCode, Command] = {**_GENERAL, **_OBJECTS, **_SIGNING, **_SESSIONS, **_NV}
"""Every command of this TPM; any other is TPM_RC_COMMAND_CODE."""
