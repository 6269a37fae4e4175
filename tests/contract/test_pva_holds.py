"""The states of a credential by the results about its platform: what the stores make the PVA ask of the CA (D6)."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from messages.evidence import EvidenceMessage, encode_evidence
from messages.reliance import permits_release
from pva.refusals import RefusalCode, RefusalError
from pva.results.result import SignedResult
from pva.watching.holding import Act
from pva.watching.status_asks import CA, StatusAsk
from standards.pki.crl import Revocation, RevocationReason
from tests.contract.test_pva_store import HOLD_RULE, world
from tests.fakes.attesting_device import measurements
from tests.fakes.pki import NOW
from tests.fakes.pva_world import World, revoked
from tests.fakes.relying_parties import RelyingParties

__all__ = ["world"]

pytestmark = [pytest.mark.requirement("R24"), pytest.mark.requirement("R101")]

GOOD = tuple(measurements())
BAD = tuple(measurements(kernel=b"another kernel"))


@dataclass
class Life:
    """One device with one Platform Credential, from validation to validation, a minute apart."""

    world: World
    now: datetime = NOW
    chain: Sequence[bytes] = field(default=(), init=False)

    def __post_init__(self) -> None:
        """Give it its credential."""
        self.chain = self.world.chain()

    @property
    def outbox(self) -> Any:
        """What is on its way to the CA."""
        return self.world.asks or self.world.store.asks

    def evidence(self, boot: Any = GOOD, *, purpose: str = "validation") -> EvidenceMessage:
        """What it answers to a fresh challenge, a minute after the last one."""
        self.now += timedelta(minutes=1)
        self.world.device = replace(self.world.device.later(60_000), boot=boot)
        self.world.ask(at=self.now, purpose=purpose)
        token, challenge = self.world.challenge(at=self.now)
        return self.world.device.evidence(challenge, token=token, chain=self.chain)

    def validated(self, boot: Any = GOOD, *, purpose: str = "validation") -> SignedResult:
        """A recorded result about it."""
        self.world.status = self.status(purpose)
        return self.world.validate(self.evidence(boot, purpose=purpose), at=self.now)

    def status(self, purpose: str) -> Any:
        """What the responder says when that purpose is in place."""
        if purpose == "validation":
            return None
        held = revoked(Revocation(reason=RevocationReason.CERTIFICATE_HOLD, at=self.now), self.now)
        return replace(held, next_update=self.now + timedelta(minutes=5))

    def asked(self) -> list[tuple[Act, tuple[str, ...]]]:
        """What the CA is to be asked now."""
        return [(each.act, each.results) for each in self.outbox.due(CA, at=self.now, count_max=8)]

    def told(self) -> StatusAsk:
        """The one ask that is due, told to the CA."""
        ask: StatusAsk
        (ask,) = self.outbox.due(CA, at=self.now, count_max=8)
        assert self.outbox.claim(ask, until=self.now + timedelta(seconds=20))
        assert not self.outbox.claim(ask, until=self.now + timedelta(seconds=20))
        self.outbox.remove(ask)
        assert self.asked() == []
        return ask


@pytest.fixture
def life(world: World) -> Life:  # the fixture
    return Life(world=world)


def test_affirming_results_ask_nothing(life: Life) -> None:
    for _ in range(HOLD_RULE.of + 1):
        assert life.validated().status == "affirming"
    assert life.asked() == []


def test_n_of_m_contraindicated_results_ask_for_a_hold_once(life: Life) -> None:
    first = life.validated(BAD)
    assert (first.status, life.asked()) == ("contraindicated", [])
    life.validated()
    second = life.validated(BAD)
    assert life.asked() == [(Act.HOLD, (second.id, first.id))]
    life.validated(BAD)
    assert life.asked() == [(Act.HOLD, (second.id, first.id))]
    ask = life.told()
    assert ask.serial == first.result.pfc.serial
    assert ask.issuer == first.credential.issuer
    life.validated(BAD)
    assert life.asked() == []
    assert life.world.store.audit_kinds().count("hold-asked") == 1


@pytest.mark.negative
def test_too_few_of_the_last_results_ask_nothing(life: Life) -> None:
    life.validated(BAD)
    for _ in range(HOLD_RULE.of - 1):
        life.validated()
    life.validated(BAD)
    assert life.asked() == []


@pytest.mark.negative
def test_results_of_long_ago_ask_nothing(life: Life) -> None:
    life.validated(BAD)
    life.now += HOLD_RULE.within
    life.validated(BAD)
    assert life.asked() == []


@pytest.mark.negative
def test_another_credential_of_the_device_starts_at_nothing(life: Life) -> None:
    life.validated(BAD)
    life.chain = life.world.chain()
    life.validated(BAD)
    assert life.asked() == []


@pytest.mark.negative
def test_a_bad_signature_a_malfunction_silence_and_refusals_ask_nothing(life: Life) -> None:
    life.validated(BAD)
    life.world.status = None
    for _ in range(HOLD_RULE.contraindicated):
        message = life.evidence(BAD)
        forged = replace(message, signature=message.signature[:-1] + bytes([message.signature[-1] ^ 1]))
        refused_as(life, forged, RefusalCode.QUOTE_SIGNATURE_INVALID)
    for _ in range(HOLD_RULE.contraindicated):
        life.world.status = RefusalError(RefusalCode.STATUS_UNAVAILABLE, subject="status", reason="silence")
        refused_as(life, life.evidence(BAD), RefusalCode.STATUS_UNAVAILABLE)
    life.world.status = None
    for _ in range(HOLD_RULE.contraindicated):
        message = life.evidence(BAD)
        life.world.policy, policy = None, life.world.policy  # type: ignore[assignment]  # the PVA fails on this
        with pytest.raises(TypeError):
            life.world.verifier.validate_platform(encode_evidence(message), at=life.now)
        life.world.policy = policy
    life.now += timedelta(minutes=20)
    assert life.asked() == []


def refused_as(life: Life, message: EvidenceMessage, code: RefusalCode) -> None:
    with pytest.raises(RefusalError) as caught:
        life.world.validate(message, at=life.now)
    assert caught.value.code is code


@pytest.mark.negative
def test_what_this_pva_does_not_recognise_is_not_the_devices_state(life: Life) -> None:
    life.world.recognise(life.world.supplier, models=())
    for _ in range(HOLD_RULE.of):
        assert life.validated().status == "contraindicated"
    assert life.asked() == []


def held(life: Life) -> None:
    for _ in range(HOLD_RULE.contraindicated):
        life.validated(BAD)
    assert life.told().act is Act.HOLD


def test_a_recovery_is_told_and_what_came_before_counts_no_more(life: Life) -> None:
    held(life)
    recovery = life.validated(purpose="recovery")
    assert recovery.status == "warning"
    assert set(recovery.codes) == {"credential-on-hold"}
    assert not permits_release(recovery.result)
    assert life.asked() == [(Act.RECOVERY, (recovery.id,))]
    assert life.told().act is Act.RECOVERY
    first = life.validated(BAD)
    assert life.asked() == []
    second = life.validated(BAD)
    assert life.asked() == [(Act.HOLD, (second.id, first.id))]
    kinds = life.world.store.audit_kinds()
    assert (kinds.count("hold-asked"), kinds.count("recovery-asked")) == (2, 1)


@pytest.mark.negative
def test_a_recovery_that_finds_more_than_the_hold_is_none(life: Life) -> None:
    held(life)
    still_bad = life.validated(BAD, purpose="recovery")
    assert still_bad.status == "contraindicated"
    life.world.recognise(life.world.supplier, models=())
    life.validated(purpose="recovery")
    assert life.asked() == []


@pytest.mark.negative
def test_a_held_credential_is_validated_for_its_recovery_alone(life: Life) -> None:
    life.world.status = life.status("recovery")
    refused_as(life, life.evidence(), RefusalCode.PFC_ON_HOLD)
    life.now += timedelta(minutes=20)
    life.world.status = None
    refused_as(life, life.evidence(purpose="recovery"), RefusalCode.PFC_NOT_ON_HOLD)
    life.now += timedelta(minutes=20)
    life.world.status = revoked(Revocation(reason=RevocationReason.KEY_COMPROMISE, at=NOW), life.now)
    refused_as(life, life.evidence(purpose="recovery"), RefusalCode.PFC_REVOKED)


@pytest.mark.negative
def test_a_recovery_is_for_no_order(world: World) -> None:
    parties = RelyingParties(world=world)
    with pytest.raises(RefusalError) as caught:
        parties.ask(purpose="recovery")
    assert caught.value.code is RefusalCode.PURPOSE_NOT_OFFERED
    parties.ask(purpose="recovery", order_digest=None)


def test_an_ask_that_was_not_answered_is_due_again(life: Life) -> None:
    for _ in range(HOLD_RULE.contraindicated):
        life.validated(BAD)
    (ask,) = life.outbox.due(CA, at=life.now, count_max=8)
    later = life.now + timedelta(seconds=1)
    assert life.outbox.claim(ask, until=life.now + timedelta(seconds=20))
    life.outbox.postpone(ask, until=later)
    assert life.asked() == []
    life.now = later
    (again,) = life.outbox.due(CA, at=life.now, count_max=8)
    assert (again.tries, again.results) == (1, ask.results)
    life.outbox.drop(again)
    assert life.asked() == []
    life.validated(BAD)
    assert [act for act, _ in life.asked()] == [Act.HOLD]
