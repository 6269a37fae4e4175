"""Histories of a TRE with faults in them, drawn by hypothesis: what is registered is what really happened.

A model beside the TRE knows which packages were installed and which instructions followed. Power may go, the disk be full and the
TPM not answer, at any call of any operation; files come back in older versions; registers move. Whatever the history, the
registry is the model's, exactly the active MIDs of open compartments answer, and each challenge is answered at most once.
"""

import errno
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from m2me_agent.tre import store
from m2me_agent.tre.errors import MidError, NetworkError, TreError
from m2me_agent.tre.store import StateDirectory
from m2me_agent.tre.usim import NetworkChallenge
from m2me_agent.tre.vault_record import decode_compartment
from tests.fakes.faulty_device import Fuse
from tests.fakes.faulty_disk import DIRECTORY, OWNER, FaultyDisk, PowerCutError
from tests.fakes.network import IMSI, MID_KEY, Parcel, vector
from tests.fakes.tpm_device import refusal
from tests.unit.m2me_agent.tre.subscriptions import World
from tests.unit.m2me_agent.tre.test_power_cuts import TPM_CALLS

HISTORIES = 2 * settings().max_examples
STEPS = 12
MIDS_MAX = 6
CALLS = st.integers(min_value=0, max_value=28)
"""At which call of an operation the fault comes; 0, or one that is not reached, is none."""
FAULTS = st.sampled_from(["power", "full", "tpm"])


class History(RuleBasedStateMachine):
    """One device, its operator, and the model."""

    def __init__(self) -> None:
        super().__init__()
        self._patch = pytest.MonkeyPatch()
        self._folder = tempfile.TemporaryDirectory(prefix="history-")
        self.disk, self.fuse = FaultyDisk(), Fuse()
        self._patch.setattr(store, "os", self.disk)
        self.world = World(folder=Path(self._folder.name))
        storage = StateDirectory(DIRECTORY, owner_uid=OWNER)
        for name, content in self.world.storage.records.items():
            storage.write(name, content)
        self.world.storage = self.world.device.storage = storage  # type: ignore[assignment] # the same port
        self.disk.before = self.fuse.before
        self._hook_tpm()
        self.world.restart()
        self.states: dict[str, str] = {}
        self.parcels: dict[str, Parcel] = {}
        self.nonces: dict[str, bytes] = {}
        self.consented: list[int] = []
        self.older: dict[str, bytes] = {}
        self.answered: set[tuple[str, int]] = set()
        self.seq = 0
        self.is_approved = True

    def teardown(self) -> None:
        """The next history has a disk of its own."""
        self._patch.undo()
        self._folder.cleanup()

    # faults

    def _hook_tpm(self) -> None:
        for name in TPM_CALLS:
            setattr(self.world.tpm, name, self._counted(name, getattr(self.world.tpm, name)))

    def _counted(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **named: Any) -> Any:
            self.fuse.before(f"TPM {name}")
            result = call(*arguments, **named)
            self.fuse.after(f"TPM {name}")
            return result

        return counted

    def _faulty(self, call: Callable[[], Any], *, at: int, fault: str, is_after: bool) -> Any:
        """What the call gives; None where it was cut or refused, and the TRE is up again."""
        errors: dict[str, BaseException] = {
            "power": PowerCutError(),
            "full": OSError(errno.ENOSPC, "No space left on device"),
            "tpm": refusal("the TPM is gone"),
        }
        self.fuse.arm(at, is_after=is_after, error=errors[fault])
        try:
            if fault == "full":  # a TPM is never full
                self._only_disk(at, errors[fault])
            return call()
        except PowerCutError:
            self._restart(keeps_unsynced=is_after)
            return None
        except TreError:
            return None
        finally:
            self.fuse.arm(0)
            self.disk.before = self.fuse.before

    def _only_disk(self, at: int, error: BaseException) -> None:
        self.fuse.arm(0)
        left = [at]

        def before(_call: str) -> None:
            left[0] -= 1
            if left[0] == 0:
                raise error

        self.disk.before = before

    def _restart(self, *, keeps_unsynced: bool) -> None:
        self.fuse.arm(0)
        self.disk.before = self.fuse.before
        self.disk.lose_power(keeps_unsynced=keeps_unsynced)
        self.world.restart()

    # what happens

    @precondition(lambda self: self.is_approved and len(self.parcels) < MIDS_MAX)
    @rule()
    def order(self) -> None:
        """An order, and a person's consent."""
        self.world.network.number = len(self.parcels) + len(self.consented) + 1
        self.world.agree()
        self.consented.append(self.world.network.number)

    @precondition(lambda self: self.is_approved and self.consented)
    @rule(at=CALLS, fault=FAULTS, is_after=st.booleans())
    def install(self, at: int, fault: str, *, is_after: bool) -> None:
        """The package of the newest order, made for the device as it is."""
        number = self.consented.pop()
        self.world.network.number = number
        mid_id, parcel = f"mid-{number}", self.world.network.good_parcel(self.world.target)
        self.parcels[mid_id] = parcel
        receipt = self._faulty(lambda: self.world.install(parcel), at=at, fault=fault, is_after=is_after)
        if receipt is not None and receipt.outcome == "installed":
            self.nonces[mid_id] = receipt.tre_nonce
            assert mid_id in self._stored()
        if mid_id in self._stored():
            self.states[mid_id] = "INACTIVE"

    @precondition(lambda self: self.parcels)
    @rule(data=st.data(), at=CALLS, fault=FAULTS, is_after=st.booleans())
    def install_again(self, data: st.DataObject, at: int, fault: str, *, is_after: bool) -> None:
        """Any package that ever came, once more: nothing new but what a cut had kept from it."""
        mid_id = data.draw(st.sampled_from(sorted(self.parcels)))
        parcel = self.parcels[mid_id]
        receipt = self._faulty(lambda: self.world.install(parcel), at=at, fault=fault, is_after=is_after)
        if receipt is not None and receipt.outcome == "installed":
            self.nonces[mid_id] = receipt.tre_nonce
        if mid_id in self._stored():
            self.states.setdefault(mid_id, "INACTIVE")

    @precondition(lambda self: self.nonces)
    @rule(data=st.data(), at=CALLS, fault=FAULTS, is_after=st.booleans())
    def activate(self, data: st.DataObject, at: int, fault: str, *, is_after: bool) -> None:
        """The owner's instruction for any MID, whether it was followed before or not."""
        mid_id = data.draw(st.sampled_from(sorted(self.nonces)))
        token = self.world.network.instruction(self.world.target, self.nonces[mid_id], mid_id=mid_id)
        mids = self.world.device.operations.mids
        self._faulty(lambda: mids.instruct(token), at=at, fault=fault, is_after=is_after)
        if self._stored().get(mid_id) == "ACTIVE":
            self.states[mid_id] = "ACTIVE"

    @precondition(lambda self: self.states)
    @rule(data=st.data(), jump=st.integers(min_value=-3, max_value=70), at=CALLS, is_after=st.booleans())
    def authenticate(self, data: st.DataObject, jump: int, at: int, *, is_after: bool) -> None:
        """A challenge of the network, new or old, to any MID."""
        mid_id = data.draw(st.sampled_from(sorted(self.states)))
        self.seq = max(1, self.seq + jump)
        made = vector(MID_KEY, seq=self.seq)
        challenge = NetworkChallenge(rand=made.rand, autn=made.autn)
        mids = self.world.device.operations.mids
        answer = self._faulty(
            lambda: mids.authenticate(challenge, mid_id=mid_id, application=IMSI),
            at=at,
            fault="power",
            is_after=is_after,
        )
        if answer is not None and "res" in answer:
            assert self.is_approved
            assert self.states[mid_id] == "ACTIVE"
            assert (mid_id, self.seq) not in self.answered
            assert answer["res"] == made.xres
            self.answered.add((mid_id, self.seq))

    @rule(keeps_unsynced=st.booleans())
    def lose_power(self, *, keeps_unsynced: bool) -> None:
        """Between two operations."""
        self._restart(keeps_unsynced=keeps_unsynced)

    @rule()
    def boot_something_else(self) -> None:
        """Other registers, and back with the next."""
        self.is_approved = not self.is_approved
        self.world.tpm.registers = b"approved" if self.is_approved else b"something else"
        self._restart(keeps_unsynced=False)

    @precondition(lambda self: "vault-0" in self.disk.names)
    @rule()
    def put_back_an_older_file(self) -> None:
        """A rollback is found, and the newest file opens again."""
        newest = self.disk.content()
        older = self.older.get("vault-0")
        self.older = newest
        if older is None or older == newest["vault-0"] or not self.is_approved:
            return
        self.disk.restore({**newest, "vault-0": older})
        self.world.restart()
        assert all(state == "BLOCKED" for state in self._registry().values())
        self.disk.restore(newest)
        self.world.restart()

    # what must hold

    @invariant()
    def the_registry_is_the_models(self) -> None:
        """What is stored, and whether it is open."""
        expected = {
            mid_id: state if self.is_approved or self._is_open() else "BLOCKED"
            for mid_id, state in self.states.items()
        }
        assert self._registry() == expected

    @invariant()
    def only_active_mids_of_open_compartments_answer(self) -> None:
        """With a wrong challenge, which costs no number: whoever could answer says that the network is wrong."""
        for mid_id, state in self.states.items():
            wrong = NetworkChallenge(rand=bytes(16), autn=bytes(16))
            usable = state == "ACTIVE" and (self.is_approved or self._is_open())
            with pytest.raises(NetworkError if usable else MidError):
                self.world.device.operations.mids.authenticate(wrong, mid_id=mid_id, application=IMSI)

    def _is_open(self) -> bool:
        return self.world.device.operations.mids.vault.opened("sho-1") is not None

    def _registry(self) -> dict[str, str]:
        return {row["mid_id"]: row["state"] for row in self.world.device.operations.mids.rows()}

    def _stored(self) -> dict[str, str]:
        """What the file says, open or not."""
        mids = self.world.device.operations.mids
        access = self.world.device.state.keys()
        assert access is not None
        found: dict[str, str] = {}
        for slot in range(8):
            content = mids.vault.storage.read(f"vault-{slot}")
            if content is not None:
                rows = decode_compartment(content, name="vault").unverified.journal
                found |= {row.mid_id: row.state.value for row in rows}
        return found


class TestHistories(History.TestCase):  # type: ignore[misc, valid-type] # made by hypothesis
    """As pytest finds it."""

    settings = settings(max_examples=HISTORIES, stateful_step_count=STEPS, deadline=None)
