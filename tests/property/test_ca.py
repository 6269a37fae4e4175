"""Whatever bytes come, the CA answers with its own refusals and keeps nothing."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from ca.errors import EnrollmentRefusedError, InvalidInputError, MalformedMessageError, RefusedError
from ca.key_algorithms import TPM_KEYS
from ca.names import check_name, network_names
from ca.proofs import read_certificate, read_csr
from messages.enrollment import ActivationRequest, CertifiedStatement, EnrollmentRequest
from tests.fakes.ca import CaHouse, csr_for, supplier
from tests.fakes.enrolling_device import EnrollingDevice

pytestmark = pytest.mark.negative
OWN = (MalformedMessageError, EnrollmentRefusedError)


@pytest.fixture(scope="module")
def house() -> CaHouse:
    made = CaHouse()
    made.product_line()
    made.publish_manifest()
    return made


@pytest.fixture(scope="module")
def device(house: CaHouse) -> EnrollingDevice:
    made = EnrollingDevice(maker=house.maker)
    house.list_devices(made)
    return made


@given(data=st.binary(max_size=300))
def test_random_bytes_begin_nothing(house: CaHouse, data: bytes) -> None:
    for handler in (house.enrollment.begin, house.enrollment.activate):
        with pytest.raises(OWN):
            handler(data)


@given(
    chain=st.lists(st.binary(max_size=80), max_size=3),
    keys=st.lists(st.binary(min_size=1, max_size=120), min_size=4, max_size=4),
)
def test_well_formed_messages_with_random_parts_begin_nothing(
    house: CaHouse, chain: list[bytes], keys: list[bytes]
) -> None:
    request = EnrollmentRequest(
        ek_chain=tuple(chain),
        ek_public=keys[0],
        ak_public=keys[1],
        storage_public=keys[2],
        counter_public=keys[3],
    )
    with pytest.raises(OWN):
        house.enrollment.begin(request.encode())


@given(part=st.integers(0, 4), position=st.floats(0, 0.999), flip=st.integers(1, 255))
def test_one_changed_byte_anywhere_is_refused_or_is_another_honest_device(
    house: CaHouse, device: EnrollingDevice, part: int, position: float, flip: int
) -> None:
    """A change can hit what nobody relies on (a key that proves itself later): then no PfC comes of it."""
    request = device.request()
    names = ("ek_chain", "ek_public", "ak_public", "storage_public", "counter_public")
    parts = {name: getattr(request, name) for name in names}
    value = parts[names[part]]
    original = value[0] if part == 0 else value
    changed = bytearray(original)
    changed[int(position * len(changed))] ^= flip
    parts[names[part]] = (bytes(changed),) if part == 0 else bytes(changed)
    try:
        challenge = house.enrollment.begin(EnrollmentRequest(**parts).encode())
        answer = device.activation(challenge, request=request)
    except (*OWN, ValueError):
        return
    with pytest.raises(OWN):
        house.enrollment.activate(answer.encode())


@given(secret=st.binary(min_size=1, max_size=64), noise=st.binary(min_size=1, max_size=100))
def test_random_activations_burn_their_session(
    house: CaHouse, device: EnrollingDevice, secret: bytes, noise: bytes
) -> None:
    challenge = house.enrollment.begin(device.request().encode())
    statement = CertifiedStatement(attest=noise, signature=noise)
    activation = ActivationRequest(
        session_id=challenge.session_id,
        secret=secret,
        storage_key=statement,
        generation_counter=statement,
    )
    with pytest.raises(EnrollmentRefusedError):
        house.enrollment.activate(activation.encode())
    with pytest.raises(EnrollmentRefusedError) as caught:
        house.enrollment.activate(device.activation(challenge).encode())
    assert caught.value.reason == "session-burned"


@given(token=st.text(max_size=200), signed=st.binary(max_size=200))
def test_random_lists_and_manifests_are_refused(house: CaHouse, token: str, signed: bytes) -> None:
    with pytest.raises(RefusedError):
        house.batches.import_batch(token, caller=supplier("acme"))
    with pytest.raises(RefusedError):
        house.manifests.accept(signed, caller=supplier("acme"))


@given(text=st.text(max_size=200))
def test_random_text_is_no_csr_and_no_certificate(text: str) -> None:
    with pytest.raises(InvalidInputError):
        read_csr(text, subject="x", allowed=TPM_KEYS)
    with pytest.raises(InvalidInputError):
        read_certificate(text, subject="x")


@given(position=st.integers(0, 10_000), character=st.characters())
def test_a_changed_csr_is_refused_or_still_proves_its_key(position: int, character: str) -> None:
    pem = _CSR
    at = position % len(pem)
    try:
        key = read_csr(pem[:at] + character + pem[at + 1 :], subject="x", allowed=TPM_KEYS)
    except InvalidInputError:
        return
    assert key == _KEY.public_key()


@given(text=st.text(max_size=80))
def test_names_are_plain_or_refused(text: str) -> None:
    try:
        assert check_name("name", text) == text
    except InvalidInputError:
        return
    assert text.isascii()
    assert text == text.strip()
    assert 1 <= len(text) <= 40


@given(dns=st.lists(st.text(max_size=80), max_size=3), addresses=st.lists(st.text(max_size=40), max_size=3))
def test_network_names_are_valid_or_refused(dns: list[str], addresses: list[str]) -> None:
    try:
        assert len(network_names(dns=dns, addresses=addresses)) == len(dns) + len(addresses)
    except InvalidInputError:
        return


_KEY = ec.generate_private_key(ec.SECP256R1())
_CSR = csr_for(_KEY)
