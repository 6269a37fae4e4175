"""Installation (steps 13 and 14): the package to the TRE, its receipt to the DPF, the owner's instruction to the TRE.

Rule: what was installed the TRE says, signed; the agent can hold a receipt back, never alter one (R98). Until the
owner's instruction comes, the subscription is installed and not active, and nobody is told otherwise (R12).
"""

from dataclasses import dataclass

from m2me_agent.agent.download import Grant, ProvisioningFunction, ReceiptAnswer
from m2me_agent.agent.errors import NotReachedError
from m2me_agent.agent.ports import Pace, Tre, ask_for_signature
from m2me_agent.tre_protocol import Operation, Refusal

INSTALLED = "installed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """What came of a package: "installed" or the code of the TRE's failure; MID and its state once it is instructed."""

    outcome: str
    mid_id: str = ""
    state: str = ""


def install(tre: Tre, dpf: ProvisioningFunction, grant: Grant, content: bytes, *, pace: Pace) -> Installation:
    """Have a package installed and activated.

    Raises:
        AgentError: a party refused, could not be reached, or the owner gave no instruction in time. The whole may be
            repeated: an installed package is installed once, and its receipt is given again.
    """
    # 13 the TRE installs, and signs what came of it
    sent = {"package": grant.package, "delivery": grant.delivery, "content": content}
    statement = ask_for_signature(tre, Operation.INSTALL, sent, pace=pace)["statement"]
    pace.tell(13, "receipt-signed")
    # 13 the receipt to the DPF, 14 which hands it on to the owner
    answer = _handed_in(dpf, grant, statement, pace=pace)
    pace.tell(13, "receipt-taken", outcome=answer.outcome)
    if answer.outcome != INSTALLED or answer.instruction is None:
        return Installation(outcome=answer.outcome)
    # 14 the owner's instruction, which answers the nonce in the receipt
    instructed = tre.ask(Operation.INSTRUCT, {"instruction": answer.instruction})
    pace.tell(14, "instructed", mid_id=instructed["mid_id"], state=instructed["state"])
    return Installation(outcome=answer.outcome, mid_id=instructed["mid_id"], state=instructed["state"])


def _handed_in(dpf: ProvisioningFunction, grant: Grant, statement: bytes, *, pace: Pace) -> ReceiptAnswer:
    """The DPF's answer: of a failure at once, of an installation with the owner's instruction."""
    last: NotReachedError = _no_instruction(grant)
    for pause_s in pace.patience.pauses():
        try:
            answer = dpf.receipt(grant.delivery_id, statement)
            if answer.outcome != INSTALLED or answer.instruction is not None:
                return answer
        except NotReachedError as error:
            last = error
        pace.sleep(pause_s)
    raise last


def _no_instruction(grant: Grant) -> NotReachedError:
    return NotReachedError(
        Refusal(
            code="no-instruction",
            subject=f"delivery {grant.delivery_id}",
            reason="the subscription is installed, and its owner has not sent the instruction to activate it",
            remedy="start m2me provision again, it goes on from here; if it lasts, ask the operator of the order",
        )
    )
