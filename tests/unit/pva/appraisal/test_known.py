"""What a verifier knows already spares work and decides nothing: everything that can change is judged at each use."""

from dataclasses import replace
from datetime import timedelta

import pytest

from messages.evidence import EVIDENCE_BYTES_MAX, EvidenceMessage, ImaEvidence, encode_evidence
from pva.appraisal import known_logs
from pva.appraisal.kept import Kept
from pva.appraisal.known import (
    LAYOUTS_MAX,
    SIZES_MAX,
    IssuedChallenges,
    Known,
    KnownKeys,
    KnownLayouts,
    KnownManifests,
)
from pva.appraisal.known_logs import LOGS_OF_A_SIZE_MAX, KnownLogs
from pva.refusals import RefusalCode, RefusalError
from pva.validation import Verifier
from standards.boot_log.algorithms import SHA256, SHA384
from standards.boot_log.errors import BootLogError
from standards.pki.crl import Revocation, RevocationReason
from standards.pki.errors import PkiError
from standards.pki.fingerprints import certificate_der
from standards.rats.cmw import decode_record
from standards.tpm2.errors import Tpm2Error
from standards.tpm2.templates import STORAGE_ECC_P256
from tests.fakes.attesting_device import AttestingDevice, measurements, with_point
from tests.fakes.credentials import CredentialPlan, FakeSupplier
from tests.fakes.pki import NOW, Authority, p256
from tests.fakes.pva_world import World, revoked
from tests.unit.messages.samples import EVIDENCE


def lasting(world: World) -> Verifier:
    """One verifier for several validations, which knows what came before."""
    return replace(world.verifier, known=Known())


def refused(verifier: Verifier, body: bytes) -> RefusalCode:
    with pytest.raises(RefusalError) as error:
        verifier.validate_platform(body, at=NOW)
    return error.value.code


def test_what_weighs_most_together_is_bounded_and_the_oldest_goes() -> None:
    kept: Kept[str, int] = Kept(weight_max=8)
    for number, name in enumerate("abcd"):
        kept.put(name, number, weight=2)
    assert kept.get("a") == 0
    kept.put("e", 4, weight=2)
    assert [kept.get(name) for name in "abcde"] == [0, None, 2, 3, 4]
    kept.put("f", 5, weight=3)
    assert kept.get("f") is None
    kept.put("a", 9, weight=1)
    assert (kept.get("a"), len(kept)) == (9, 4)


def test_a_log_is_replayed_once_for_all_devices_that_boot_it() -> None:
    world = World()
    verifier = lasting(world)
    for number in range(3):
        device = AttestingDevice(boot=world.device.boot, ek_seed=b"%d" % number)
        assert verifier.validate_platform(encode_evidence(world.answer(device)), at=NOW).status == "affirming"
    assert len(verifier.known.logs) == 1


@pytest.mark.check("A18")
@pytest.mark.negative
def test_a_known_log_still_has_to_reach_the_quote() -> None:
    world = World()
    verifier = lasting(world)
    verifier.validate_platform(encode_evidence(world.answer()), at=NOW)
    other = replace(world.device.later(), boot=tuple(measurements(kernel=b"another")))
    message = replace(world.answer(other), boot_log=world.device.boot_log)
    assert refused(verifier, encode_evidence(message)) is RefusalCode.BOOT_LOG_MISMATCH


@pytest.mark.negative
def test_a_verdict_is_never_remembered() -> None:
    world = World()
    verifier = lasting(world)
    assert verifier.validate_platform(encode_evidence(world.answer()), at=NOW).status == "affirming"
    other = replace(world.device.later(), boot=tuple(measurements(kernel=b"another")))
    result = verifier.validate_platform(encode_evidence(world.answer(other)), at=NOW)
    assert result.status == "contraindicated"


def test_a_log_is_known_by_its_banks_too() -> None:
    logs, device = KnownLogs(), AttestingDevice()
    assert set(logs.replayed(device.boot_log, banks=(SHA256,)).values) == {SHA256}
    assert set(logs.replayed(device.boot_log, banks=(SHA256, SHA384)).values) == {SHA256}
    assert len(logs) == 2
    with pytest.raises(BootLogError):
        logs.replayed(device.boot_log[:-1], banks=(SHA256,))
    assert len(logs) == 2


@pytest.mark.check("A25")
@pytest.mark.negative
def test_a_known_credential_is_judged_by_its_status_now() -> None:
    world = World()
    verifier = lasting(world)
    chain = world.chain()
    for number in (1, 2):
        device = world.device.later(number)
        token, challenge = world.challenge(device=device)
        verifier.validate_platform(
            encode_evidence(device.evidence(challenge, token=token, chain=chain)), at=NOW
        )
    world.status = revoked(Revocation(at=NOW, reason=RevocationReason.KEY_COMPROMISE))
    token, challenge = world.challenge()
    body = encode_evidence(world.device.evidence(challenge, token=token, chain=chain))
    assert refused(verifier, body) is RefusalCode.PFC_REVOKED


@pytest.mark.check("A25")
@pytest.mark.negative
def test_a_known_credential_ends_with_its_time() -> None:
    world = World()
    known = Known()
    plan = CredentialPlan(state=world.state)
    chain = world.chain(plan=plan)
    suppliers = world.references.suppliers()
    proven = known.credentials.validate(chain, suppliers=suppliers, device_id=world.device.device_id, at=NOW)
    later = proven.certificate.not_valid_after_utc + timedelta(seconds=1)
    with pytest.raises(RefusalError) as error:
        known.credentials.validate(chain, suppliers=suppliers, device_id=world.device.device_id, at=later)
    assert error.value.code is RefusalCode.PFC_INVALID


@pytest.mark.negative
def test_a_known_credential_is_of_one_device_and_of_suppliers_that_are_still_recognised() -> None:
    world = World()
    known, chain = Known(), world.chain()
    suppliers = world.references.suppliers()
    device_id = world.device.device_id
    known.credentials.validate(chain, suppliers=suppliers, device_id=device_id, at=NOW)
    with pytest.raises(RefusalError) as error:
        known.credentials.validate(chain, suppliers=suppliers, device_id="00" * 32, at=NOW)
    assert error.value.code is RefusalCode.DEVICE_MISMATCH
    other = FakeSupplier.make().recognised()
    with pytest.raises(RefusalError):
        known.credentials.validate(chain, suppliers=[other], device_id=device_id, at=NOW)


@pytest.mark.check("A11")
@pytest.mark.negative
def test_a_key_that_was_refused_is_refused_again() -> None:
    keys, public = KnownKeys(), with_point(STORAGE_ECC_P256, p256()).encode()
    for _ in range(2):
        with pytest.raises(Tpm2Error):
            keys.accepted(public)


@pytest.mark.negative
def test_a_key_is_known_as_what_it_was_accepted_as() -> None:
    keys, storage, ak = (
        KnownKeys(),
        with_point(STORAGE_ECC_P256, p256()).encode(),
        AttestingDevice().ak.encode(),
    )
    assert keys.accepted_storage(storage) is keys.accepted_storage(storage)
    assert keys.accepted(ak) is keys.accepted(ak)
    for _ in range(2):
        with pytest.raises(Tpm2Error):
            keys.accepted(storage)
        with pytest.raises(Tpm2Error):
            keys.accepted_storage(ak)


@pytest.mark.negative
@pytest.mark.parametrize("of", ["storage_key", "generation_counter"])
@pytest.mark.parametrize("part", ["public", "attest", "signature"])
def test_one_bit_beside_what_is_known_is_refused(of: str, part: str) -> None:
    world = World()
    verifier = lasting(world)
    verifier.validate_platform(encode_evidence(world.answer()), at=NOW)
    for place in (0, 1, 5, -2, -1):
        genuine = world.answer(world.device.later())
        certified = getattr(genuine, of)
        octets = bytearray(getattr(certified, part))
        octets[place] ^= 1
        changed = replace(genuine, **{of: replace(certified, **{part: bytes(octets)})})
        assert refused(verifier, encode_evidence(changed)) in {
            RefusalCode.STORAGE_KEY_UNACCEPTABLE,
            RefusalCode.COUNTER_UNACCEPTABLE,
        }
    assert (
        verifier.validate_platform(encode_evidence(world.answer(world.device.later(5000))), at=NOW).status
        == "affirming"
    )


def test_a_manifest_is_known_under_one_root() -> None:
    world = World()
    manifests, root = KnownManifests(), certificate_der(world.supplier.root.certificate)
    first = manifests.verified(world.signed_manifest, root=root, at=NOW)
    assert manifests.verified(world.signed_manifest, root=root, at=NOW) is first
    with pytest.raises(PkiError):
        manifests.verified(
            world.signed_manifest, root=certificate_der(Authority.root("another").certificate), at=NOW
        )


def test_a_challenge_of_this_process_is_found_only_once_its_signer_is_proven_and_as_it_was_signed() -> None:
    world = World()
    issued = IssuedChallenges()
    desk = replace(world.desk, issued=issued)
    verifier = replace(world.verifier, known=Known(challenges=issued))
    world.ask()
    token = desk.challenge(world.device.device_id, at=NOW)
    assert issued.find(token, at=NOW) is None
    _, challenge = world.challenge_of(token)
    evidence = world.device.evidence(challenge, token=token, chain=world.chain())
    assert verifier.validate_platform(encode_evidence(evidence), at=NOW).status == "affirming"
    assert issued.find(token, at=NOW) == challenge
    ends = world.challenge_certificate.not_valid_after_utc
    assert issued.find(token, at=ends + timedelta(days=3650)) is None
    assert issued.path_of(token, at=NOW) is not None
    assert issued.path_of(token, at=ends + timedelta(days=3650)) is None
    assert issued.find(token[:-2] + ("AA" if token[-2:] != "AA" else "BB"), at=NOW) is None


@pytest.mark.check("A4")
@pytest.mark.negative
def test_a_forged_challenge_is_refused_also_where_its_signer_is_known() -> None:
    world = World()
    known = Known()
    verifier = replace(world.verifier, known=known)
    assert verifier.validate_platform(encode_evidence(world.answer()), at=NOW).status == "affirming"
    world.device = world.device.later()
    world.ask()
    message = world.answer()
    token = message.challenge_token
    assert known.challenges.path_of(token, at=NOW) is not None
    forged = token[:-4] + ("AAAA" if token[-4:] != "AAAA" else "BBBB")
    body = encode_evidence(replace(message, challenge_token=forged))
    assert refused(verifier, body) is RefusalCode.CHALLENGE_INVALID
    assert verifier.validate_platform(encode_evidence(message), at=NOW).status == "affirming"


@pytest.mark.check("A5")
@pytest.mark.negative
def test_a_known_challenge_is_good_for_one_try_and_for_its_time() -> None:
    world = World()
    issued = IssuedChallenges()
    desk = replace(world.desk, issued=issued)
    verifier = replace(world.verifier, known=Known(challenges=issued))
    for number in (1, 2):
        device = world.device.later(number)
        world.ask(device=device)
        token = desk.challenge(device.device_id, at=NOW)
        _, challenge = world.challenge_of(token)
        body = encode_evidence(device.evidence(challenge, token=token, chain=world.chain()))
        verifier.validate_platform(body, at=NOW)
    assert refused(verifier, body) is RefusalCode.CHALLENGE_USED
    world.ask()
    token = desk.challenge(world.device.device_id, at=NOW)
    _, challenge = world.challenge_of(token)
    body = encode_evidence(world.device.later(9).evidence(challenge, token=token, chain=world.chain()))
    with pytest.raises(RefusalError) as error:
        verifier.validate_platform(body, at=challenge.expires_at)
    assert error.value.code is RefusalCode.CHALLENGE_EXPIRED


def test_logs_of_one_size_are_told_apart_and_the_latest_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    logs, device = KnownLogs(), AttestingDevice()
    written = [device.boot_log[:-1] + bytes([number]) for number in range(LOGS_OF_A_SIZE_MAX + 1)]
    first = [logs.replayed(data, banks=(SHA256,)) for data in written]
    assert [each.log.events[-1].data[-1] for each in first] == list(range(len(written)))
    again = [logs.replayed(data, banks=(SHA256,)) for data in reversed(written)]
    assert [each is one for each, one in zip(again, reversed(first), strict=True)] == [True] * 16 + [False]
    assert len(logs) == LOGS_OF_A_SIZE_MAX
    monkeypatch.setattr(known_logs, "LOG_BYTES_MAX", 8 * len(device.boot_log))
    small = KnownLogs()
    held = [small.replayed(data, banks=(SHA256,)) for data in written[:3]]
    assert small.replayed(written[2], banks=(SHA256,)) is held[2]
    assert small.replayed(written[0], banks=(SHA256,)) is not held[0]


def _encoded(message: EvidenceMessage) -> bytes:
    return decode_record(encode_evidence(message), bytes_max=EVIDENCE_BYTES_MAX).value


def test_a_layout_is_taken_of_the_second_message_of_a_size() -> None:
    layouts, encoded = KnownLayouts(), _encoded(EVIDENCE)
    for _ in range(2):
        assert layouts.read(encoded) is None
        layouts.note(encoded, EVIDENCE)
    assert layouts.read(encoded) == EVIDENCE
    assert layouts.read(encoded[:-1]) is None


def test_layouts_of_one_size_stand_beside_each_other_and_the_latest_stay() -> None:
    layouts = KnownLayouts()
    messages = [
        replace(EVIDENCE, body=b"b" * number, boot_log=b"l" * (LAYOUTS_MAX + 2 - number))
        for number in range(1, LAYOUTS_MAX + 2)
    ]
    for message in [messages[0], *messages]:
        layouts.note(_encoded(message), message)
    assert [layouts.read(_encoded(each)) for each in messages] == [None, *messages[1:]]


def test_sizes_are_bounded_and_lists_of_files_are_no_habit() -> None:
    layouts = KnownLayouts()
    for size in range(1, SIZES_MAX + 2):
        message = replace(EVIDENCE, boot_log=bytes(100 + size))
        for _ in range(2):
            layouts.note(_encoded(message), message)
    first, last = (replace(EVIDENCE, boot_log=bytes(100 + size)) for size in (1, SIZES_MAX + 1))
    assert (layouts.read(_encoded(first)), layouts.read(_encoded(last))) == (None, last)
    listed = replace(EVIDENCE, ima=ImaEvidence(log=b"l", attest=b"a", signature=b"s", pcr_value=bytes(32)))
    for _ in range(3):
        layouts.note(_encoded(listed), listed)
    assert layouts.read(_encoded(listed)) is None
