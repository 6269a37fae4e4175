"""A device's side of what an SHO wants of its MID: the TRE's signed words, each part of which may be wrong."""

import json
from dataclasses import replace
from typing import Any

from joserfc.util import urlsafe_b64decode

from messages.erasure import Erasure
from messages.instruction import Instruction
from messages.instruction import read_claims as read_instruction
from messages.registry import RegistryEntry, RegistryReport, Transition, read_query
from operators.sho.lives import Step
from operators.sho.order_states import OrderRecord
from tests.fakes.sho_peers import SHO
from tests.fakes.sho_world import World

TRE_NONCE = b"\x7a" * 32


class TreVoice:
    """What the TRE of one order says; `sequence` counts like its compartment."""

    def __init__(self, world: World, order: OrderRecord) -> None:
        """Speak of this order's MID."""
        self.world, self.order = world, order
        self.sequence = 42

    def ask(self, statement: bytes | None = None) -> Step:
        """What the operator wants next."""
        return self.world.lives.next_step(self.order.digest or b"", statement, at=self.world.at)

    def entry(self, **changed: Any) -> RegistryEntry:
        """The row of this order's MID."""
        made = RegistryEntry(
            mid_id=self.world.package(self.order.id).mid_id,
            state="ACTIVE",
            reason="-",
            order_digest=self.order.digest or b"",
            version=1,
        )
        return replace(made, **changed)

    def report(self, step: Step, *, entry: RegistryEntry | None = None, **changed: Any) -> bytes:
        """A report in answer to a question."""
        told = entry or self.entry()
        made = RegistryReport(
            device_id=self.world.keys.device.device_id,
            sho=SHO,
            tre_nonce=TRE_NONCE,
            sequence=self.sequence,
            entries=(told,),
            transitions=(
                Transition(
                    number=self.sequence,
                    mid_id=told.mid_id,
                    event="activate",
                    state=told.state,
                    clock_ms=1,
                    reset_count=1,
                ),
            ),
        )
        parts = {name: changed.pop(name) for name in ("nonce", "device", "pcr_digest") if name in changed}
        nonce = parts.pop("nonce", read_query(claims_of(step.token)).nonce)
        return self.world.said(replace(made, **changed).encode(), nonce=nonce, **parts).encode()

    def proof(self, instruction: Instruction, **changed: Any) -> bytes:
        """The proof that an erasing instruction asks for."""
        made = Erasure(
            device_id=self.world.keys.device.device_id,
            sho=SHO,
            mid_id=instruction.mid_id,
            order_digest=self.order.digest or b"",
            version=1,
            reason=instruction.reason or "owner",
            clock_ms=1,
            reset_count=1,
            known_at=0,
        )
        parts = {name: changed.pop(name) for name in ("nonce", "device", "pcr_digest") if name in changed}
        nonce = parts.pop("nonce", instruction.proof_nonce)
        return self.world.said(replace(made, **changed).encode(), nonce=nonce, **parts).encode()


def claims_of(token: str | None) -> dict[str, Any]:
    """What a token says, proven by nobody."""
    assert token is not None
    claims: dict[str, Any] = json.loads(urlsafe_b64decode(token.split(".")[1].encode()))
    return claims


def instruction_of(step: Step) -> Instruction:
    """The instruction in a step."""
    return read_instruction(claims_of(step.token))
