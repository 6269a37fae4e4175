"""Every command of the software TPM once, with the state of the TPM right before it: seeds for mutations."""

from dataclasses import dataclass, replace
from functools import cache

from lab.software_tpm.state import State
from lab.software_tpm.volatile import Volatile
from standards.tpm2.commands.objects import StoredObject, TpmObject
from standards.tpm2.commands.policies import SignedGrant
from standards.tpm2.connection import TpmConnection
from standards.tpm2.constants import Algorithm, CommandCode, Comparison, Handle, ObjectAttributes, SessionType
from standards.tpm2.marshal import Writer, tpm2b
from standards.tpm2.policy import EMPTY_POLICY, grant_digest, policy_command_code
from standards.tpm2.sessions import EMPTY_PASSWORD, Session
from standards.tpm2.structures import KeyedHashParameters, PcrSelection, Public, Scheme
from standards.tpm2.templates import (
    AK_ECC_P256,
    EK_ECC_P384,
    EK_RSA_2048,
    GENERATION_COUNTER,
    STORAGE_ECC_P256,
)
from tests.contract.sealing import KEY, blob_for, opened, sealed_in
from tests.contract.sealing import approval_for as approve
from tests.contract.sealing import approved_state as approved
from tests.fakes.software_tpm import BenchTpm

BOOT = (PcrSelection(bank=Algorithm.SHA256, indices=(0, 7)),)
_PASSWORD = bytes.fromhex("00000009400000090000010000")
_A = ObjectAttributes


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A command that succeeded, and what the TPM was before it."""

    command: bytes
    state: State
    volatile: Volatile

    @property
    def code(self) -> CommandCode:
        """The command code."""
        return CommandCode(int.from_bytes(self.command[6:10], "big"))


class _Recorder:
    def __init__(self, bench: BenchTpm) -> None:
        self.bench = bench
        self.exchanges: list[Exchange] = []

    def __call__(self, command: bytes) -> bytes:
        machine = self.bench.tpm._machine  # noqa: SLF001 the states are immutable values, kept for later
        before = Exchange(command=command, state=machine.state, volatile=machine.volatile)
        response = self.bench.tpm.execute(command)
        if response[6:10] == bytes(4):
            self.exchanges.append(before)
        return response

    def send(self, code: CommandCode, body: bytes, *, sessions: bool = False) -> None:
        """A command that the typed connection does not have."""
        tag = 0x8002 if sessions else 0x8001
        response = self(Writer().u16(tag).u32(10 + len(body)).u32(code).raw(body).done())
        assert response[6:10] == bytes(4), (code, response.hex())


def restore(bench: BenchTpm, exchange: Exchange) -> None:
    """Make the TPM what it was before the exchange."""
    bench.tpm._machine.state = exchange.state  # noqa: SLF001 see above
    bench.tpm._machine.volatile = exchange.volatile  # noqa: SLF001 see above


@cache
def recorded() -> tuple[BenchTpm, tuple[Exchange, ...]]:
    """A TPM, and the exchanges of its story."""
    bench = BenchTpm()
    recorder = _Recorder(bench)
    tpm = TpmConnection(recorder, bench.random_bytes)
    _general(recorder, tpm)
    _objects(recorder, tpm)
    _flush(tpm)
    _credentials(tpm)
    _flush(tpm)
    _policies(recorder, tpm)
    _flush(tpm)
    _sealing(tpm)
    _flush(tpm)
    _duplication(tpm)
    _flush(tpm)
    tpm.clear(Handle.LOCKOUT)
    tpm.shutdown()
    return bench, tuple(recorder.exchanges)


def _flush(tpm: TpmConnection) -> None:
    for first in (0x80000000, 0x02000000):
        for handle in tpm.handles(first):
            tpm.flush_context(handle)


def _general(recorder: _Recorder, tpm: TpmConnection) -> None:
    tpm.self_test(full=True)
    tpm.get_random(8)
    recorder.send(CommandCode.STIR_RANDOM, tpm2b(b"stir"))
    tpm.read_clock()
    for capability, first in ((0, 0), (1, 0x81000000), (2, 0), (5, 0), (6, 0x100), (6, 0x200), (8, 0)):
        tpm.get_capability(capability, first=first, count=8)
    tpm.pcr_read(BOOT)
    tpm.pcr_extend(8, digests={Algorithm.SHA1: bytes(20), Algorithm.SHA256: bytes(32)})
    tpm.pcr_reset(16)
    tpm.dictionary_attack_lock_reset(Handle.LOCKOUT)
    tpm.hierarchy_change_auth(Handle.LOCKOUT, new_auth_value=b"")


def _objects(recorder: _Recorder, tpm: TpmConnection) -> None:
    storage = tpm.create_primary(Handle.OWNER, template=STORAGE_ECC_P256)
    ak = tpm.create_primary(Handle.ENDORSEMENT, template=AK_ECC_P256)
    salted = tpm.start_auth_session(salt_key=storage)
    sealed = Public(
        type=Algorithm.KEYEDHASH,
        name_algorithm=Algorithm.SHA256,
        attributes=_A.FIXED_TPM | _A.FIXED_PARENT | _A.USER_WITH_AUTH | _A.NO_DA,
        auth_policy=b"",
        parameters=KeyedHashParameters(scheme=Scheme()),
        unique=b"",
    )
    stored = tpm.create(storage, template=sealed, sealed=b"data", auth=salted.authorize(), protect=salted)
    loaded = tpm.load(storage, stored=stored)
    tpm.unseal(loaded, auth=salted.authorize(), protect=salted)
    tpm.object_change_auth(loaded, parent=storage, new_auth_value=b"new", protect=salted)
    tpm.flush_context(loaded.handle)
    signing = tpm.create(
        storage, template=replace(AK_ECC_P256, attributes=AK_ECC_P256.attributes & ~_A.RESTRICTED)
    )
    key = tpm.load(storage, stored=signing)
    scheme = Writer().u16(Algorithm.NULL)
    ticket = Writer().u16(0x8024).u32(Handle.NULL).tpm2b(b"")
    body = Writer().u32(key.handle).raw(_PASSWORD).tpm2b(bytes(32)).raw(scheme.done()).raw(ticket.done())
    recorder.send(CommandCode.SIGN, body.done(), sessions=True)
    recorder.send(CommandCode.HASH, Writer().tpm2b(b"data").u16(Algorithm.SHA256).u32(Handle.OWNER).done())
    tpm.flush_context(key.handle)
    tpm.read_public(ak.handle)
    tpm.quote(ak, extra_data=b"nonce", selection=BOOT)
    tpm.certify(storage, ak=ak, extra_data=b"nonce")
    tpm.nv_define_space(Handle.OWNER, public=GENERATION_COUNTER)
    tpm.nv_increment(GENERATION_COUNTER)
    counter = GENERATION_COUNTER.written()
    tpm.nv_certify(counter, ak=ak, extra_data=b"nonce")
    tpm.nv_read(counter, size=8, protect=salted)
    ordinary = replace(counter, index=0x01800063, attributes=GENERATION_COUNTER.attributes & ~0x10)
    tpm.nv_define_space(Handle.OWNER, public=ordinary)
    tpm.nv_write(ordinary, data=b"12345678", protect=salted)
    tpm.nv_read_public(ordinary.index)
    tpm.nv_undefine_space(Handle.OWNER, index=ordinary.written())


def _credentials(tpm: TpmConnection) -> None:
    for template in (EK_RSA_2048, EK_ECC_P384):
        ek = tpm.create_primary(Handle.ENDORSEMENT, template=template)
        ak = tpm.create_primary(Handle.ENDORSEMENT, template=AK_ECC_P256)
        credential = tpm.make_credential(ek, secret=b"secret", object_name=ak.name)
        session = tpm.start_auth_session(SessionType.POLICY)
        if template is EK_RSA_2048:
            tpm.policy_secret(session)
            auth = session.authorize()
            tpm.activate_credential(ak, ek=ek, credential=credential, auths=(EMPTY_PASSWORD, auth))
        else:
            auths = (EMPTY_PASSWORD, EMPTY_PASSWORD)
            tpm.activate_credential(ak, ek=ek, credential=credential, auths=auths)
        _flush(tpm)


def _policies(recorder: _Recorder, tpm: TpmConnection) -> None:
    session = tpm.start_auth_session(SessionType.POLICY)
    counter = GENERATION_COUNTER.written()
    tpm.policy_pcr(session, selection=BOOT)
    tpm.policy_nv(session, index=counter, operand=bytes(4), comparison=Comparison.EQ)
    tpm.policy_counter_timer(session, operand=bytes(4), offset=16, comparison=Comparison.UNSIGNED_GE)
    tpm.policy_command_code(session, code=CommandCode.UNSEAL)
    tpm.policy_auth_value(session)
    handle = session.handle.to_bytes(4, "big")
    recorder.send(CommandCode.POLICY_PASSWORD, handle)
    recorder.send(CommandCode.POLICY_CP_HASH, handle + tpm2b(bytes(32)))
    tpm.policy_or(session, digests=[tpm.policy_get_digest(session), bytes(32)])
    tpm.policy_restart(session)
    tpm.policy_secret(session, policy_ref=b"reference")
    key = tpm.load_external(KEY.public)
    signed = grant_digest(nonce_tpm=session.nonce_tpm, expiration_s=120, policy_ref=b"")
    tpm.policy_signed(session, key=key, grant=SignedGrant(signature=KEY.sign(signed), expiration_s=120))


def _sealing(tpm: TpmConnection) -> None:
    sealed = sealed_in(tpm)
    opened(tpm, sealed, approve(tpm, approved(tpm)))


def _duplication(tpm: TpmConnection) -> None:
    storage = tpm.create_primary(Handle.OWNER, template=STORAGE_ECC_P256)
    policy = policy_command_code(EMPTY_POLICY, code=CommandCode.DUPLICATE)
    stored: StoredObject = tpm.import_object(storage, blob=blob_for(storage, policy))
    leaving: TpmObject = tpm.load(storage, stored=stored)
    session: Session = tpm.start_auth_session(SessionType.POLICY)
    tpm.policy_command_code(session, code=CommandCode.DUPLICATE)
    tpm.duplicate(leaving, new_parent=storage, auth=session.authorize())
