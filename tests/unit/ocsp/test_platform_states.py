"""What a responder tells of platforms, to whom, and what it believes about them (D6)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from asn1crypto import ocsp as lax
from cryptography import x509
from cryptography.x509 import ocsp

from edge.database_faults import DatabaseUnavailableError
from edge.refused import RefusedError
from ocsp.delegates import DelegateDirectory
from ocsp.judgement import DEFAULT_POLICY, AnswerPolicy
from ocsp.platform_states import CertificateName, KnownState, StateDesk, StatesFor
from ocsp.responder import StateTeller, answer
from ocsp.single_extensions import SingleExtensions
from standards.pki import oids
from standards.pki.ocsp import ResponseStatus
from standards.pki.platform_state import PlatformState
from standards.rats.ar4si import Tier
from tests.fakes.ocsp import GOOD, HELD
from tests.fakes.pki import NOW, Authority
from tests.fakes.signed_results import ResultSigner
from tests.unit.ocsp.asking import ISSUER, LINE, OTHER_ISSUER, OTHER_LINE, STORE, ask, ask_for_all, verified

OPERATORS = Authority.root("operators")
PVA = ResultSigner(OPERATORS)
NONCE = [(x509.OCSPNonce(b"\x17" * 32), False)]
STATE = oids.OCSP_PLATFORM_STATE.dotted_string
LATER = NOW + timedelta(seconds=1)


@dataclass
class MemoryStateStore:
    """Satisfies `ocsp.platform_states.StateStore`."""

    rows: dict[tuple[CertificateName, str], KnownState] = field(default_factory=dict)

    def keep(self, certificate: CertificateName, known: KnownState, *, readers: Sequence[str]) -> None:
        """Keep it where it is the last."""
        for reader in readers:
            here = self.rows.get((certificate, reader))
            if here is None or known.rank > here.rank:
                self.rows[certificate, reader] = known

    def last(self, certificate: CertificateName, *, reader: str | None) -> KnownState | None:
        """Of one reader, or of all."""
        found = [each for (of, who), each in self.rows.items() if of == certificate and reader in {None, who}]
        return max(found, key=lambda each: each.rank, default=None)


def desk() -> StateDesk:
    return StateDesk(store=MemoryStateStore(), anchors=[OPERATORS.certificate])


def told(
    request: bytes, states: StateTeller | None, *, policy: AnswerPolicy = DEFAULT_POLICY
) -> list[dict[str, bytes]]:
    """The singleExtensions of each answer, by OID, as a foreign decoder finds them."""
    made = answer(
        request,
        now=NOW,
        status_store=STORE,
        delegates=DelegateDirectory([ISSUER, OTHER_ISSUER]),
        policy=policy,
        states=states,
    )
    response = verified(ocsp.load_der_ocsp_response(made.der))
    singles = lax.ResponseData.load(response.tbs_response_bytes, strict=True)["responses"]
    return [
        {each["extn_id"].dotted: each["extn_value"].contents for each in single["single_extensions"]}
        if single["single_extensions"].native
        else {}
        for single in singles
    ]


def states_told(request: bytes, states: StateTeller | None) -> list[PlatformState | None]:
    return [PlatformState.decode(each[STATE]) if STATE in each else None for each in told(request, states)]


def seen_by(reader: str | None, room: StateDesk) -> StatesFor:
    return StatesFor(store=room.store, reader=reader)


@pytest.mark.requirement("R101")
def test_a_question_with_a_nonce_is_told_the_last_result() -> None:
    room = desk()
    room.take(PVA.token(LINE.certificate, GOOD, at=NOW), at=NOW)
    worse = PVA.token(LINE.certificate, GOOD, at=LATER, tier=Tier.CONTRAINDICATED, pcr_digest=b"\xdd" * 32)
    room.take(worse, at=LATER)
    room.take(PVA.token(LINE.certificate, GOOD, at=NOW), at=LATER)  # comes late
    (state,) = states_told(ask(extensions=NONCE), seen_by("sho-1", room))
    assert state == PlatformState(state_digest=b"\xdd" * 32, tier="contraindicated", result_time=LATER)
    # and as a reader of this project finds it
    made = answer(
        ask(extensions=NONCE),
        now=NOW,
        status_store=STORE,
        delegates=DelegateDirectory([ISSUER]),
        states=seen_by("sho-1", room),
    )
    extensions = ocsp.load_der_ocsp_response(made.der).single_extensions
    assert PlatformState.of(extensions) == state
    assert not any(each.critical for each in extensions)


@pytest.mark.requirement("R101")
@pytest.mark.negative
def test_without_a_nonce_nothing_is_told_and_nothing_without_states() -> None:
    room = desk()
    room.take(PVA.token(LINE.certificate, GOOD, at=NOW), at=NOW)
    assert states_told(ask(), seen_by("sho-1", room)) == [None]
    assert states_told(ask(extensions=NONCE), None) == [None]
    assert states_told(ask(extensions=NONCE), seen_by("sho-1", room)) != [None]


@pytest.mark.requirement("R101")
@pytest.mark.negative
def test_the_tier_of_another_operators_validation_is_not_told() -> None:
    room = desk()
    room.take(PVA.token(LINE.certificate, GOOD, at=NOW, audience=("sho-1",)), at=NOW)
    late = PVA.token(LINE.certificate, GOOD, at=LATER, tier=Tier.WARNING, audience=("sho-2", "dpf-1"))
    room.take(late, at=LATER)
    tiers = {
        reader: None
        if (state := states_told(ask(extensions=NONCE), seen_by(reader, room))[0]) is None
        else state.tier
        for reader in ("sho-1", "sho-2", "dpf-1", "sho-3", "", None)
    }
    assert tiers == {
        "sho-1": "affirming",
        "sho-2": "warning",
        "dpf-1": "warning",
        "sho-3": None,
        "": None,
        None: "warning",
    }


def test_each_certificate_of_a_question_has_its_own() -> None:
    room = desk()
    room.take(PVA.token(LINE.certificate, HELD, at=NOW, tier=Tier.WARNING), at=NOW)
    room.take(PVA.token(OTHER_LINE.certificate, GOOD, at=NOW), at=NOW)
    request = ask_for_all(ask(extensions=NONCE), ask(HELD), ask(issuer=OTHER_LINE))
    states = states_told(request, seen_by("dpf-1", room))
    assert [each and each.tier for each in states] == [None, "warning", "affirming"]


def test_it_stands_beside_what_else_the_operator_wants_said() -> None:
    room = desk()
    room.take(PVA.token(LINE.certificate, GOOD, at=NOW), at=NOW)
    policy = AnswerPolicy(single_extensions=SingleExtensions(kept_for=timedelta(days=365)))
    (both,) = told(ask(extensions=NONCE), seen_by("sho-1", room), policy=policy)
    assert [*both] == ["1.3.6.1.5.5.7.48.1.6", STATE]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0)])
def test_of_several_results_of_one_second_the_worst_counts_in_any_order(order: tuple[int, ...]) -> None:
    room = desk()
    tokens = [
        PVA.token(LINE.certificate, GOOD, at=NOW, tier=tier, result_id=f"result-{tier.value}")
        for tier in (Tier.AFFIRMING, Tier.CONTRAINDICATED, Tier.WARNING)
    ]
    for each in order:
        room.take(tokens[each], at=NOW)
    (state,) = states_told(ask(extensions=NONCE), seen_by("sho-1", room))
    assert state is not None
    assert state.tier == "contraindicated"


@pytest.mark.requirement("R101")
@pytest.mark.negative
def test_what_no_pva_signed_is_refused_and_nothing_kept() -> None:
    store = MemoryStateStore()
    room = StateDesk(store=store, anchors=[OPERATORS.certificate])
    token = PVA.token(LINE.certificate, GOOD, at=NOW)
    head, body, signature = token.split(".")
    forged = [
        "",
        "nonsense",
        f"{head}.{body}.{signature[:-4]}AAAA",
        ResultSigner(Authority.root("operators")).token(LINE.certificate, GOOD, at=NOW),
        ResultSigner(OPERATORS, role="sho").token(LINE.certificate, GOOD, at=NOW),
        PVA.token(LINE.certificate, GOOD, at=NOW - timedelta(hours=1)),
        PVA.token(LINE.certificate, GOOD, at=NOW + timedelta(minutes=1)),
    ]
    for each in forged:
        with pytest.raises(RefusedError) as caught:
            room.take(each, at=NOW)
        assert (caught.value.code, caught.value.status) == ("result-invalid", 422)
    assert store.rows == {}
    room.take(token, at=NOW)
    assert len(store.rows) == 2


@pytest.mark.negative
def test_a_store_of_states_that_is_away_means_later_not_less() -> None:
    class Away(MemoryStateStore):
        def last(self, certificate: CertificateName, *, reader: str | None) -> KnownState | None:  # noqa: ARG002
            raise DatabaseUnavailableError

    made = answer(
        ask(extensions=NONCE),
        now=NOW,
        status_store=STORE,
        delegates=DelegateDirectory([ISSUER]),
        states=StatesFor(store=Away(), reader="sho-1"),
    )
    assert made.status is ResponseStatus.TRY_LATER
