"""How the use cases of a TRE are joined: the same for the process and for whoever tests them."""

from collections.abc import Callable
from dataclasses import dataclass

from m2me_agent.tre.anchors import Anchors
from m2me_agent.tre.attestation import Attestation
from m2me_agent.tre.boot_log import BootLogFile
from m2me_agent.tre.connectivity import ConnectivityUse
from m2me_agent.tre.enrollment import Enrollment
from m2me_agent.tre.erasure import Erasures
from m2me_agent.tre.exchanges import ExchangeGuard
from m2me_agent.tre.installation import Installation
from m2me_agent.tre.mid_rules import FULL_RULES, Rules
from m2me_agent.tre.mids import Mids
from m2me_agent.tre.nonces import OpenNonces
from m2me_agent.tre.operations import Operations
from m2me_agent.tre.operator_change import OperatorChanges
from m2me_agent.tre.orders import OrderBook, Orders
from m2me_agent.tre.registry import Registry
from m2me_agent.tre.sequence_numbers import SequenceNumbers
from m2me_agent.tre.state import Storage, TreState
from m2me_agent.tre.tombstones import Graves
from m2me_agent.tre.tpm_device import TpmDevice
from m2me_agent.tre.updates import Updates
from m2me_agent.tre.usim_selection import UsimSelection
from m2me_agent.tre.vault import Vault


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What every use case stands on."""

    device: TpmDevice
    state: TreState
    storage: Storage
    guard: ExchangeGuard
    anchors: Anchors
    random_bytes: Callable[[int], bytes]


def wire(
    parts: Parts,
    *,
    boot_log: BootLogFile | None,
    ima_log: BootLogFile | None,
    purposes: frozenset[str],
    ownership: str | None,
    rules: Rules = FULL_RULES,
) -> Operations:
    """All use cases over one vault, one order book and one memory of sequence numbers."""
    device, state, guard, anchors = parts.device, parts.state, parts.guard, parts.anchors
    vault = Vault(storage=parts.storage, random_bytes=parts.random_bytes)
    book, numbers = OrderBook(parts.storage), SequenceNumbers(parts.storage)
    graves = Graves(parts.storage)
    lives = _lives(parts, vault, graves, numbers, rules)
    return Operations(
        enrollment=Enrollment(
            device=device, state=state, guard=guard, anchors=anchors, random_bytes=parts.random_bytes
        ),
        attestation=Attestation(
            device=device,
            state=state,
            guard=guard,
            anchors=anchors,
            boot_log=boot_log,
            purposes=purposes,
            ima_log=ima_log,
        ),
        connectivity=ConnectivityUse(
            device=device, state=state, storage=parts.storage, guard=guard, anchors=anchors, numbers=numbers
        ),
        orders=Orders(
            device=device,
            state=state,
            guard=guard,
            anchors=anchors,
            book=book,
            vault=vault,
            ownership=ownership,
        ),
        installation=Installation(
            device=device,
            state=state,
            guard=guard,
            anchors=anchors,
            orders=book,
            vault=vault,
            rules=rules,
            graves=graves,
            changes=lives.changes,
            random_bytes=parts.random_bytes,
        ),
        mids=lives.mids,
        registry=lives.registry,
        erasures=lives.erasures,
        changes=lives.changes,
        updates=Updates(
            device=device,
            state=state,
            guard=guard,
            anchors=anchors,
            vault=vault,
            random_bytes=parts.random_bytes,
        ),
        state=state,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lives:
    """The use cases about MIDs that are installed; they share the nonces that owners' instructions answer."""

    mids: Mids
    registry: Registry
    erasures: Erasures
    changes: OperatorChanges


def _lives(parts: Parts, vault: Vault, graves: Graves, numbers: SequenceNumbers, rules: Rules) -> _Lives:
    device, state, guard, anchors = parts.device, parts.state, parts.guard, parts.anchors
    nonces = OpenNonces(random_bytes=parts.random_bytes)
    selection = UsimSelection(storage=parts.storage)
    changes = OperatorChanges(
        device=device,
        state=state,
        guard=guard,
        anchors=anchors,
        vault=vault,
        rules=rules,
        selection=selection,
        nonces=nonces,
    )
    return _Lives(
        changes=changes,
        mids=Mids(
            device=device,
            state=state,
            guard=guard,
            anchors=anchors,
            vault=vault,
            numbers=numbers,
            rules=rules,
            selection=selection,
            nonces=nonces,
            changes=changes,
        ),
        registry=Registry(
            device=device,
            state=state,
            guard=guard,
            anchors=anchors,
            vault=vault,
            graves=graves,
            nonces=nonces,
            changes=changes,
        ),
        erasures=Erasures(
            device=device,
            state=state,
            guard=guard,
            anchors=anchors,
            vault=vault,
            graves=graves,
            nonces=nonces,
            changes=changes,
        ),
    )
