"""Past the TRE: commands to the TPM by somebody who reaches it, and knows everything but the TRE's authValues.

Rule: the TRE's keys and places are attacked where they stand, with genuine approvals from a package that went through the
agent; the TPM itself refuses each, and names why. Afterwards the TRE is started, and its MIDs work.

NOT shown here: whoever owns the TPM's hierarchies can make the TRE's primaries again from their templates, and destroy what
stands. That nobody but the TRE's uid reaches the TPM is the operating system's doing (see docs/adr/0042).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from edge.process import system_random
from lab.device import EK_RSA_HANDLE
from lab.hostile_agent.stages import Party
from lab.hostile_agent.structure import CLAIMS, at
from lab.hostile_agent.tally import Tally
from lab.scene import Scene
from m2me_agent.tre.connected_tpm import AK_HANDLE, STORAGE_HANDLE
from m2me_agent.tre_protocol import Operation
from messages.approval import decode_approval
from messages.mid_package import read_claims
from standards.tpm2 import templates
from standards.tpm2.commands.objects import TpmObject
from standards.tpm2.connection import TpmConnection
from standards.tpm2.constants import Algorithm, Comparison, SessionType
from standards.tpm2.credential import make_credential
from standards.tpm2.errors import ResponseError, Tpm2Error
from standards.tpm2.import_blob import ImportBlob
from standards.tpm2.policy import EMPTY_POLICY
from standards.tpm2.return_codes import ReturnCode, base
from standards.tpm2.sessions import EMPTY_PASSWORD, Authorization, Password, Session
from standards.tpm2.structures import NvPublic, PcrSelection, Public

NAME = "TPM, by whoever reaches it without the authValues"
NV_FIRST, LOADED_FIRST = 0x0100_0000, (0x0200_0000, 0x8000_0000)
SELECTION = (PcrSelection(bank=Algorithm.SHA256, indices=tuple(range(8))),)
CHOSEN = b"what the attacker would have said"[:32]
GUESSES: tuple[tuple[str, Authorization], ...] = (
    ("no authValue", EMPTY_PASSWORD),
    ("a guess", Password(value=b"guess")),
)
Attempt = Callable[[], object]


def attack_tpm(scene: Scene, party: Party, tally: Tally) -> None:
    """Stop the device's TRE, try everything at its TPM, start it again, and see that its MIDs work."""
    package = party.hands.pool[Operation.INSTALL][-1]["package"]
    party.close()

    def meanwhile(tpm: TpmConnection) -> None:
        for what, attempt in AtTheTpm.found(tpm, package=str(package)).attempts():
            _refused(tpm, what, attempt, tally)

    scene.devices[party.name].restart_tre(meanwhile, random_bytes=system_random)
    for fault in party.hands.watch.faults(is_answered=True):
        tally.violated(NAME, fault)


@dataclass(frozen=True, slots=True, kw_only=True)
class AtTheTpm:
    """What stands in the TPM of the TRE, and a genuine package."""

    tpm: TpmConnection
    ak: TpmObject
    storage: TpmObject
    ek: TpmObject
    indices: tuple[NvPublic, ...]
    package: str

    @classmethod
    def found(cls, tpm: TpmConnection, *, package: str) -> "AtTheTpm":
        """By asking the TPM, as anybody can."""
        ours = {templates.GENERATION_COUNTER.index}
        for slot in range(templates.VAULT_SLOTS):
            ours |= {
                templates.vault_key(slot, auth_policy=EMPTY_POLICY).index,
                templates.vault_counter(slot).index,
            }
        standing = tuple(tpm.nv_read_public(each) for each in tpm.handles(NV_FIRST) if each in ours)

        def key(handle: int) -> TpmObject:
            return TpmObject(handle=handle, public=tpm.read_public(handle).public)

        return cls(
            tpm=tpm,
            ak=key(AK_HANDLE),
            storage=key(STORAGE_HANDLE),
            ek=key(EK_RSA_HANDLE),
            indices=standing,
            package=package,
        )

    def attempts(self) -> Iterator[tuple[str, Attempt]]:
        """Each use of each of the TRE's keys and places."""
        for what, auth in GUESSES:
            yield from self._keys(what, auth)
            for index in self.indices:
                yield from self._place(f"0x{index.index:x}, {what}", auth, index)
        yield "policy of the vault, by the package's approvals", self._policy
        yield "vault key under an empty policy session", self._empty_policy

    def _keys(self, what: str, auth: Authorization) -> Iterator[tuple[str, Attempt]]:
        tpm, ak, storage = self.tpm, self.ak, self.storage
        yield f"Quote, {what}", lambda: tpm.quote(ak, extra_data=CHOSEN, selection=SELECTION, auth=auth)
        yield f"Certify, {what}", lambda: tpm.certify(storage, ak=ak, extra_data=CHOSEN, auths=(auth, auth))
        yield f"Import of the package's key, {what}", lambda: self._imported(auth)
        yield f"ActivateCredential, {what}", lambda: self._activated(auth)

    def _place(self, place: str, auth: Authorization, index: NvPublic) -> Iterator[tuple[str, Attempt]]:
        tpm, size = self.tpm, index.data_size
        yield f"NV_Read {place}", lambda: tpm.nv_read(index, size=size, auth=auth)
        yield f"NV_Increment {place}", lambda: tpm.nv_increment(index, auth=auth)
        yield f"NV_Write {place}", lambda: tpm.nv_write(index, data=bytes(size), auth=auth)
        yield (
            f"NV_Certify {place}",
            lambda: tpm.nv_certify(index, ak=self.ak, extra_data=CHOSEN, auths=(auth, auth)),
        )

    def _imported(self, auth: Authorization) -> object:
        sealed = read_claims(at(self.package, (CLAIMS,))).sealed_key
        blob = ImportBlob(
            public=Public.decode(sealed.public),
            duplicate=sealed.duplicate,
            encrypted_seed=sealed.encrypted_seed,
        )
        return self.tpm.import_object(self.storage, blob=blob, auth=auth)

    def _activated(self, auth: Authorization) -> object:
        credential = make_credential(
            self.ek.public,
            object_name=self.ak.public.name,
            secret=CHOSEN,
            seed=system_random(32),
            ephemeral=None,
        )
        policy = self.tpm.start_auth_session(SessionType.POLICY)
        self.tpm.policy_secret(policy)
        return self.tpm.activate_credential(
            self.ak, ek=self.ek, credential=credential, auths=(auth, policy.authorize())
        )

    def _policy(self) -> object:
        """As the TRE runs it, with everything but the authValue of the counter."""
        approval = decode_approval(read_claims(at(self.package, (CLAIMS,))).approvals[-1].approval)
        policy = self._session()
        state = approval.state
        self.tpm.policy_pcr(policy, selection=state.selection, pcr_digest=state.pcr_digest)
        counter = next(each for each in self.indices if each.index == templates.GENERATION_COUNTER.index)
        self.tpm.policy_nv(
            policy, index=counter, operand=state.counter.to_bytes(8, "big"), comparison=Comparison.EQ
        )
        return self._vault_key(policy)

    def _empty_policy(self) -> object:
        return self._vault_key(self._session())

    def _vault_key(self, policy: Session) -> bytes:
        index = next(each for each in self.indices if each.data_size == templates.VAULT_KEY_BYTES)
        return self.tpm.nv_read(index, size=index.data_size, auth=policy.authorize())

    def _session(self) -> Session:
        return self.tpm.start_auth_session(SessionType.POLICY)


def _refused(tpm: TpmConnection, what: str, attempt: Attempt, tally: Tally) -> None:
    try:
        attempt()
        tally.count(NAME, "done")
        tally.violated(NAME, f"{what}: was done")
    except ResponseError as error:
        code = base(error.rc)
        tally.count(NAME, f"refused: {ReturnCode(code).name if code in set(ReturnCode) else hex(code)}")
    except Tpm2Error as error:
        tally.count(NAME, "no such command")
        tally.violated(NAME, f"{what}: {error}")
    finally:
        for first in LOADED_FIRST:
            for handle in tpm.handles(first):
                tpm.flush_context(handle)
