"""Outside judges of the software TPM: swtpm on malformed commands, tpm2-tss as a client with sessions."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from standards.tpm2.connection import TpmConnection
from standards.tpm2.constants import Comparison, Handle, SessionType
from standards.tpm2.errors import Tpm2Error
from standards.tpm2.return_codes import ReturnCode, base
from standards.tpm2.structures import PcrSelection
from standards.tpm2.templates import AK_ECC_P256, GENERATION_COUNTER, STORAGE_ECC_P256
from tests.contract.tpm_devices import RunningTpm, manufactured, running
from tests.fakes.software_tpm import BenchTpm
from tests.tools import absent

BOOT = (PcrSelection(bank=0x000B, indices=(0, 1, 7)),)
HEADER_BYTES = 10
CHANGES: tuple[Callable[[int], int], ...] = (
    lambda byte: byte ^ 0x01,
    lambda byte: byte ^ 0x80,
    lambda byte: byte ^ 0x10,
    lambda _: 0x00,
    lambda _: 0xFF,
)
LOADING = {0x131, 0x157, 0x167, 0x176}
"""Commands that take a slot when a mutation happens to succeed."""
DIFFERENT_MAX = 0.01
"""Share of refusals whose codes may differ: where one field overruns another, parsers stop at different fields."""


class _Mutator:
    """Sends every mutation of a marked command before the command, and keeps the return codes."""

    def __init__(self, transmit: Callable[[bytes], bytes]) -> None:
        self._transmit = transmit
        self.label = ""
        self.codes: dict[tuple[str, str], int] = {}

    def __call__(self, command: bytes) -> bytes:
        if self.label:
            for name, mutation in _mutations(command):
                response = self._transmit(mutation)
                rc = int.from_bytes(response[6:10], "big")
                self.codes[self.label, name] = rc
                if rc == 0 and int.from_bytes(command[6:10], "big") in LOADING:
                    self._transmit(bytes.fromhex("80010000000e00000165") + response[10:14])
        return self._transmit(command)


def _mutations(command: bytes) -> Iterator[tuple[str, bytes]]:
    for at in range(HEADER_BYTES, min(len(command), 120)):
        for change in CHANGES:
            byte = change(command[at])
            if byte != command[at]:
                yield f"byte {at} = {byte:02x}", command[:at] + bytes([byte]) + command[at + 1 :]
    for size in range(max(HEADER_BYTES, len(command) - 60), len(command)):
        yield f"cut to {size}", command[:2] + size.to_bytes(4, "big") + command[6:size]
    longer = (len(command) + 1).to_bytes(4, "big")
    yield "one byte more", command[:2] + longer + command[6:] + b"\x00"


def _mutating(mutator: _Mutator, label: str, run: Callable[[], object]) -> None:
    """Run one command with its mutations; a mutation may have done its work already, so it may be refused."""
    mutator.label = label
    try:
        run()
    except Tpm2Error:
        assert mutator.codes
    finally:
        mutator.label = ""


def _flush(tpm: TpmConnection) -> None:
    for first in (0x80000000, 0x02000000):
        for handle in tpm.handles(first):
            tpm.flush_context(handle)


def _story(mutator: _Mutator) -> None:
    tpm = TpmConnection(mutator, os.urandom)

    def mutating(label: str, run: Callable[[], object]) -> None:
        _mutating(mutator, label, run)

    mutating("GetRandom", lambda: tpm.get_random(8))
    mutating("PCR_Read", lambda: tpm.pcr_read(BOOT))
    mutating("PCR_Extend", lambda: tpm.pcr_extend(8, digests={0x000B: b"\x01" * 32}))
    mutating("GetCapability", lambda: tpm.handles(0x81000000))
    mutating("CreatePrimary", lambda: tpm.create_primary(Handle.ENDORSEMENT, template=AK_ECC_P256))
    _flush(tpm)
    storage = tpm.create_primary(Handle.OWNER, template=STORAGE_ECC_P256)
    ak = tpm.create_primary(Handle.ENDORSEMENT, template=AK_ECC_P256)
    mutating("Quote", lambda: tpm.quote(ak, extra_data=b"nonce", selection=BOOT))
    mutating("Certify", lambda: tpm.certify(storage, ak=ak, extra_data=b"nonce"))
    mutating("ReadPublic", lambda: tpm.read_public(ak.handle))
    mutating("Create", lambda: tpm.create(storage, template=AK_ECC_P256))
    mutating("EvictControl", lambda: tpm.evict_control(Handle.OWNER, subject=storage, persistent=0x81000201))
    _flush(tpm)
    mutating("LoadExternal", lambda: tpm.load_external(ak.public))
    mutating("StartAuthSession", lambda: tpm.start_auth_session(SessionType.POLICY))
    _flush(tpm)
    session = tpm.start_auth_session(SessionType.POLICY)
    mutating("PolicyPCR", lambda: tpm.policy_pcr(session, selection=BOOT))
    mutating("PolicySecret", lambda: tpm.policy_secret(session))
    mutating("PolicyOR", lambda: tpm.policy_or(session, digests=[bytes(32), bytes(32)]))
    mutating("NV_DefineSpace", lambda: tpm.nv_define_space(Handle.OWNER, public=GENERATION_COUNTER))
    counter = GENERATION_COUNTER.written()
    mutating("NV_Increment", lambda: tpm.nv_increment(GENERATION_COUNTER))
    mutating("NV_Read", lambda: tpm.nv_read(counter, size=8))
    mutating("NV_ReadPublic", lambda: tpm.nv_read_public(counter.index))
    operand, equal = bytes(4), Comparison.EQ
    mutating("PolicyNV", lambda: tpm.policy_nv(session, index=counter, operand=operand, comparison=equal))
    mutating("NV_UndefineSpace", lambda: tpm.nv_undefine_space(Handle.OWNER, index=counter))
    mutating("FlushContext", lambda: tpm.flush_context(session.handle))


@pytest.fixture(scope="module")
def swtpm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningTpm]:
    """swtpm, fresh from its factory."""
    state: Path = manufactured("swtpm", tmp_path_factory)
    with running("swtpm", state) as tpm:
        tpm.start()
        yield tpm


@pytest.mark.negative
def test_malformed_commands_get_the_codes_that_swtpm_gives(swtpm: RunningTpm) -> None:
    assert swtpm.transport
    judge, own = _Mutator(swtpm.transport), _Mutator(BenchTpm().tpm.execute)
    for mutator in (judge, own):
        _story(mutator)
    both = judge.codes.keys() & own.codes.keys()
    assert len(both) > 3000
    different = {
        key: (judge.codes[key], own.codes[key]) for key in both if judge.codes[key] != own.codes[key]
    }
    # P-224 is a curve of libtpms and not of the software TPM; nothing else passes in one and not in the other
    passed_in_one = {key: codes for key, codes in different.items() if 0 in codes}
    assert {base(max(codes)) for codes in passed_in_one.values()} <= {ReturnCode.CURVE}, passed_in_one
    assert len(different) < DIFFERENT_MAX * len(both), different


def _esys(execute: Callable[[bytes], bytes]) -> Any:
    """An ESAPI of tpm2-tss whose commands go to `execute`."""
    try:
        import tpm2_pytss  # noqa: PLC0415 an optional judge
        from tpm2_pytss.TCTI import PyTCTI  # noqa: PLC0415 an optional judge
    except ImportError:
        absent("tpm2-pytss", remedy="apt-get install libtss2-dev and pip install tpm2-pytss")

    class InProcess(PyTCTI):  # type: ignore[misc] # the package has no types
        """Commands to the TPM in this process."""

        _response = b""

        def do_transmit(self, command: bytes) -> None:
            """Execute the command."""
            self._response = execute(bytes(command))

        def do_receive(self, timeout: int) -> bytes:  # noqa: ARG002 the answer is there already
            """The response."""
            return self._response

    return tpm2_pytss.ESAPI(InProcess())


@pytest.mark.parametrize("parent", ["ecc:aes128cfb", "rsa2048:aes128cfb"])
def test_tpm2_tss_authenticates_and_encrypts_with_salted_and_bound_sessions(parent: str) -> None:
    esys = _esys(BenchTpm().tpm.execute)
    from tpm2_pytss import types  # noqa: PLC0415 an optional judge
    from tpm2_pytss.constants import ESYS_TR, TPM2_ALG, TPM2_SE, TPMA_OBJECT, TPMA_SESSION  # noqa: PLC0415 an optional judge

    aes = types.TPMT_SYM_DEF(
        algorithm=TPM2_ALG.AES,
        keyBits=types.TPMU_SYM_KEY_BITS(aes=128),
        mode=types.TPMU_SYM_MODE(aes=TPM2_ALG.CFB),
    )
    template = types.TPM2B_PUBLIC.parse(
        parent, objectAttributes=TPMA_OBJECT.DEFAULT_TPM2_TOOLS_CREATEPRIMARY_ATTRS
    )
    password = types.TPM2B_SENSITIVE_CREATE(types.TPMS_SENSITIVE_CREATE(userAuth=b"parent"))
    key, *_ = esys.create_primary(password, template)
    esys.tr_set_auth(key, b"parent")

    def session(bind: Any, algorithm: int) -> Any:
        started = esys.start_auth_session(key, bind, TPM2_SE.HMAC, aes, algorithm)
        ciphers = TPMA_SESSION.DECRYPT | TPMA_SESSION.ENCRYPT
        esys.trsess_set_attributes(started, TPMA_SESSION.CONTINUESESSION | ciphers)
        return started

    salted = session(ESYS_TR.NONE, TPM2_ALG.SHA256)
    attributes = TPMA_OBJECT.FIXEDTPM | TPMA_OBJECT.FIXEDPARENT | TPMA_OBJECT.USERWITHAUTH
    secret = types.TPMS_SENSITIVE_CREATE(userAuth=b"sealed", data=types.TPM2B_SENSITIVE_DATA(b"secret"))
    private, public, *_ = esys.create(
        key,
        types.TPM2B_SENSITIVE_CREATE(secret),
        types.TPM2B_PUBLIC.parse("keyedhash", objectAttributes=attributes),
        session1=salted,
    )
    sealed = esys.load(key, private, public, session1=salted)
    esys.tr_set_auth(sealed, b"sealed")
    only_encrypts = TPMA_SESSION.CONTINUESESSION | TPMA_SESSION.ENCRYPT
    esys.trsess_set_attributes(salted, only_encrypts)
    assert bytes(esys.unseal(sealed, session1=salted)) == b"secret"
    # bound to the object itself, with another hash; then one session to authorise and one to encrypt
    bound = session(sealed, TPM2_ALG.SHA384)
    esys.trsess_set_attributes(bound, only_encrypts)
    assert bytes(esys.unseal(sealed, session1=bound)) == b"secret"
    esys.trsess_set_attributes(salted, TPMA_SESSION.CONTINUESESSION)
    assert bytes(esys.unseal(sealed, session1=salted, session2=bound)) == b"secret"
