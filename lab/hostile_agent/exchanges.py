"""Genuine questions of the network's services, each with the TRE's genuine answer and the way to hand it in.

Rule: the service is the real one, and its word counts: what it refuses, it names by a code.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from lab.homes import HOME_MNC
from lab.hostile_agent.hands import Hands
from lab.hostile_agent.outward import Exchange, Said
from lab.hostile_agent.travel import Traveller
from lab.scene import Scene
from lab.story import UnexpectedEndError
from m2me_agent.agent.attachment import AkaChallenge
from m2me_agent.agent.download import ProvisioningFunction
from m2me_agent.agent.errors import AgentError, RefusedError
from m2me_agent.agent.lives import REPORT, NextStep, OwnersDoor
from m2me_agent.agent.ports import read_device
from m2me_agent.tre_protocol import Operation, Refusal
from messages.attachment import nai_of
from messages.enrollment import EnrollmentRequest
from messages.errors import MessageError
from messages.evidence import decode_evidence
from standards.pki.errors import DecodeError
from standards.pki.lenient_certificate import decode_lenient

NOT_ENCODED = "malformed"
"""What cannot be put into a request at all has been refused by whoever carries it."""


def code_of(call: Callable[[], object]) -> str:
    """The code of the refusal that a call ends in; empty where it does not."""
    try:
        call()
    except AgentError as error:
        return error.code
    except (TypeError, AttributeError, ValueError, KeyError):
        return NOT_ENCODED
    return ""


@dataclass(slots=True, kw_only=True)
class Exchanges:
    """The exchanges of one device."""

    scene: Scene
    name: str
    hands: Hands
    traveller: Traveller
    request: bytes = b""
    issued: bytes = b""
    """The CA's answer to the activation that it took."""
    next_step: NextStep | None = None
    """What an owner wanted after the newest statement that it took."""

    def evidence(self) -> Exchange:
        """A question of the operator, the PVA's challenge, and evidence."""
        said = self.asked(Operation.ATTEST, challenge_token=self._challenge())
        return Exchange(said=said, submit=self.judge_evidence, means=_testified)

    def judge_evidence(self, said: Said) -> str:
        """The PVA's word: a verdict is one, too."""
        evidence = said.get("evidence")
        if not isinstance(evidence, bytes):
            return NOT_ENCODED
        return code_of(lambda: self.traveller.pva().submit(evidence))

    def enrolment_request(self) -> Exchange:
        """The TRE's keys, as it names them to the CA."""
        said = self.asked(Operation.BEGIN_ENROLLMENT)
        self.request = said["request"]
        return Exchange(said=said, submit=self._judge_request, means=_meant)

    def _judge_request(self, said: Said) -> str:
        """The CA's word, or the TRE's to the CA's challenge, or the CA's to the activation."""
        ca, challenges = self.traveller.ca(), []
        code = code_of(lambda: challenges.append(ca.begin_enrollment(said["request"])))
        if code or _meant(said) == _meant({"request": self.request}):
            return code
        answer = self.hands.line.ask(Operation.ACTIVATE, {"challenge": challenges[0]})
        if isinstance(answer, Refusal):
            return f"{answer.code} by the TRE"
        return self.judge_activation(answer)

    def activation(self) -> Exchange:
        """A session of the CA, and what the TRE recovered and certified for it."""
        challenge = self.traveller.ca().begin_enrollment(self.request)
        return Exchange(
            said=self.asked(Operation.ACTIVATE, challenge=challenge), submit=self.judge_activation
        )

    def judge_activation(self, said: Said) -> str:
        """The CA's word; what it issues is kept."""

        def hand_in() -> None:
            self.issued = self.traveller.ca().activate(said["activation"])

        return code_of(hand_in)

    def attachment(self) -> Exchange:
        """A session of the visited network with the PCID."""
        identity = read_device(self.hands).identity
        return self._aka(identity, lambda challenge: self._answered(Operation.ATTACH, challenge))

    def authentication(self, mid_id: str, imsi: str) -> Exchange:
        """A session of the visited network with a MID."""
        named = {"mid_id": mid_id, "application": imsi}
        return self._aka(
            nai_of(imsi, mnc_digits=len(HOME_MNC)),
            lambda challenge: self._answered(Operation.AUTHENTICATE, challenge, **named),
        )

    def _aka(self, identity: str, answer: Callable[[AkaChallenge], Mapping[str, Any]]) -> Exchange:
        vno = self.traveller.vno()
        challenge = vno.attach(identity)
        said = answer(challenge)
        if "auts" in said:
            challenge = vno.resynchronise(challenge.session, auts=said["auts"])
            said = answer(challenge)
        session = challenge.session
        return Exchange(
            said={"res": said["res"]},
            submit=lambda got: code_of(lambda: vno.respond(session, res=got["res"])),
        )

    def update_question(self, sho: str, dpf: Any, *, manifest_digest: bytes) -> Exchange:
        """The TRE's nonce for an owner; the owner's approvals come back to the TRE."""

        def hand_in(said: Said) -> str:
            tokens: list[str] = []
            code = code_of(lambda: tokens.append(self.approvals(dpf, said, manifest_digest=manifest_digest)))
            if code:
                return code
            answer = self.hands.deliver(Operation.TAKE_APPROVALS, {"approvals": tokens[0]})
            return f"{answer.code} by the TRE" if isinstance(answer, Refusal) else ""

        return Exchange(said=self.asked(Operation.BEGIN_UPDATE, sho=sho), submit=hand_in)

    def approvals(self, dpf: Any, begun: Said, *, manifest_digest: bytes) -> str:
        """The owner's answer to a nonce, by way of the DPF."""
        return str(
            dpf.update_approvals(
                read_device(self.hands),
                order_digest=begun["order_digest"],
                manifest_digest=manifest_digest,
                tre_nonce=begun["nonce"],
            )
        )

    def report(self, door: OwnersDoor, order_digest: bytes) -> Exchange:
        """An owner's question about its MID, and the TRE's signed registry; what it wants then is kept."""
        asked = door.mid_step(read_device(self.hands), order_digest=order_digest, statement=None)
        if asked.step != REPORT:
            raise UnexpectedEndError(f"expected a question for a report, got {asked.step}")
        said = self.asked(Operation.REPORT, query=asked.token or "")
        return Exchange(said=said, submit=lambda handed: self._to_owner(door, order_digest, handed))

    def erasure(self, door: OwnersDoor, order_digest: bytes, proof: bytes) -> Exchange:
        """The proof of an erasure that was made."""
        return Exchange(
            said={"statement": proof}, submit=lambda handed: self._to_owner(door, order_digest, handed)
        )

    def _to_owner(self, door: OwnersDoor, order_digest: bytes, handed: Said) -> str:
        """The owner's word to a statement; its next one is kept."""

        def hand_in() -> None:
            self.next_step = door.mid_step(
                read_device(self.hands), order_digest=order_digest, statement=handed["statement"]
            )

        return code_of(hand_in)

    def receipt(self, dpf: ProvisioningFunction, delivery_id: str, statement: bytes) -> Exchange:
        """A receipt for a delivery that waits for it."""
        return Exchange(
            said={"statement": statement},
            submit=lambda said: code_of(lambda: dpf.receipt(delivery_id, said["statement"])),
        )

    def _challenge(self) -> str:
        try:
            return self.traveller.pva().challenge(self.scene.ids[self.name])
        except RefusedError:
            self.scene.operator.ask(self.scene.ids[self.name])  # nobody waits for an answer of this device
        return self.traveller.pva().challenge(self.scene.ids[self.name])

    def _answered(self, operation: Operation, challenge: AkaChallenge, **named: str) -> Mapping[str, Any]:
        return self.asked(operation, rand=challenge.rand, autn=challenge.autn, **named)

    def asked(self, operation: Operation, **parameters: Any) -> Mapping[str, Any]:
        """The TRE's genuine answer. Raises RefusedError."""
        answer = self.hands.deliver(operation, parameters)
        if isinstance(answer, Refusal):
            raise RefusedError(answer)
        return answer


def _meant(said: Said) -> object:
    """The keys of a request, and the certificates that are sent along, however often."""
    try:
        request = EnrollmentRequest.decode(said["request"])
    except MessageError:
        return None
    # an NV index may be larger than the certificate in it: what follows a certificate says nothing
    return request.key_body(), frozenset(_certificate(each) for each in request.ek_chain)


def _certificate(octets: bytes) -> bytes:
    try:
        return decode_lenient(octets).der
    except DecodeError:
        return octets


def _testified(said: Said) -> object:
    """What evidence is about: not how often a certificate is sent along, nor what a log tells beside its digests."""
    try:
        message = decode_evidence(said["evidence"])
    except MessageError:
        return None
    return replace(message, boot_log=b"", pfc_chain=()), frozenset(message.pfc_chain)
