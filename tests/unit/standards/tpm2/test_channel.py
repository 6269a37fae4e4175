"""Framing, retries and refusals of the connection, with a TPM that a test plays."""

from collections.abc import Callable

import pytest

from standards.tpm2.commands.objects import TpmObject
from standards.tpm2.connection import TpmConnection
from standards.tpm2.constants import Algorithm, CommandCode, Handle, SessionType, StructureTag
from standards.tpm2.errors import DecodeError, ResponseError, SessionError
from standards.tpm2.marshal import Writer, tpm2b
from standards.tpm2.sessions import Password, Session
from standards.tpm2.structures import PcrSelection, encode_pcr_selections
from tests.unit.standards.tpm2.attester import ecc_key

AK = TpmObject(handle=0x81000101, public=ecc_key().public)
SELECTION = [PcrSelection(bank=Algorithm.SHA256, indices=(0, 1))]


def response(parameters: bytes = b"", *, rc: int = 0, tag: int = StructureTag.NO_SESSIONS) -> bytes:
    return Writer().u16(tag).u32(10 + len(parameters)).u32(rc).raw(parameters).done()


def with_password(parameters: bytes) -> bytes:
    """A response to a command authorised by one password."""
    body = Writer().u32(len(parameters)).raw(parameters).tpm2b(b"").u8(1).tpm2b(b"").done()
    return response(body, tag=StructureTag.SESSIONS)


class PlayedTpm:
    """Answers in turn, and keeps what it was sent."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.commands: list[bytes] = []
        self.pauses: list[float] = []

    def __call__(self, command: bytes) -> bytes:
        """The next answer."""
        self.commands.append(command)
        return self.answers.pop(0)

    def connection(self) -> TpmConnection:
        """A connection to this TPM."""
        return TpmConnection(self, lambda size: b"\x52" * size, pause=self.pauses.append)


def session(kind: SessionType = SessionType.HMAC, key: bytes = b"k" * 32) -> Session:
    return Session(handle=0x02000000, type=kind, session_key=key, nonce_tpm=b"t" * 32, nonce_caller=b"c" * 32)


def test_a_command_is_framed_to_the_byte() -> None:
    tpm = PlayedTpm(response(tpm2b(b"12345678")))
    assert tpm.connection().get_random(8) == b"12345678"
    assert tpm.commands == [bytes.fromhex("80010000000c0000017b0008")]


def test_a_password_is_framed_to_the_byte() -> None:
    tpm = PlayedTpm(with_password(b""))
    tpm.connection().pcr_reset(16, auth=Password(value=b"pw"))
    expected = "80020000001d0000013d000000100000000b4000000900000100027077"
    assert tpm.commands == [bytes.fromhex(expected)]


@pytest.mark.parametrize("rc", [0x922, 0x908, 0x90A])
def test_a_tpm_that_asks_for_it_is_asked_again_after_growing_pauses(rc: int) -> None:
    tpm = PlayedTpm(response(rc=rc), response(rc=rc), response(tpm2b(b"12345678")))
    assert tpm.connection().get_random(8) == b"12345678"
    assert tpm.commands[0] == tpm.commands[1] == tpm.commands[2]
    assert tpm.pauses == [0.001, 0.002]


@pytest.mark.negative
def test_a_tpm_that_never_gets_ready_is_given_up() -> None:
    tpm = PlayedTpm(*[response(rc=0x922)] * 50)
    with pytest.raises(ResponseError) as caught:
        tpm.connection().get_random(8)
    assert caught.value.rc == 0x922
    assert len(tpm.commands) < 20


@pytest.mark.negative
def test_other_refusals_are_not_repeated() -> None:
    tpm = PlayedTpm(response(rc=0x902))
    with pytest.raises(ResponseError, match="TPM2_GET_RANDOM: the TPM answered 0x902, TPM_RC_OBJECT_MEMORY"):
        tpm.connection().get_random(8)


@pytest.mark.negative
@pytest.mark.parametrize(
    "answer",
    [
        b"",
        response()[:9],
        response(tpm2b(b"12345678"))[:-1],
        response(tpm2b(b"12345678")) + b"\x00",
        response(tpm2b(b"12345678") + b"\x00"),
        response(tpm2b(b"123456789")),
        response(tpm2b(b"")),
        response(tpm2b(b"12345678"), tag=StructureTag.SESSIONS),
        bytes(9000),
    ],
)
def test_a_malformed_response_is_a_decode_error(answer: bytes) -> None:
    with pytest.raises(DecodeError):
        PlayedTpm(answer).connection().get_random(8)


@pytest.mark.negative
def test_a_response_without_its_sessions_is_refused() -> None:
    with pytest.raises(DecodeError):
        PlayedTpm(response()).connection().pcr_reset(16)


@pytest.mark.negative
@pytest.mark.parametrize(
    "area",
    [
        b"",
        tpm2b(b"n" * 32) + b"\x01" + tpm2b(b""),
        tpm2b(b"n" * 32) + b"\x01" + tpm2b(bytes(32)),
        tpm2b(b"n" * 33) + b"\x01" + tpm2b(bytes(32)),
    ],
    ids=["nothing", "empty HMAC", "zeros", "long nonce"],
)
def test_a_response_that_its_session_does_not_authenticate_is_refused(area: bytes) -> None:
    body = Writer().u32(0).raw(area).done()
    tpm = PlayedTpm(response(body, tag=StructureTag.SESSIONS))
    with pytest.raises((SessionError, DecodeError)):
        tpm.connection().pcr_reset(16, auth=session().authorize())


@pytest.mark.negative
@pytest.mark.parametrize("area", [tpm2b(bytes(32)) + b"\x01" + tpm2b(bytes(32))], ids=["HMAC"])
def test_a_keyless_policy_session_expects_no_hmac(area: bytes) -> None:
    tpm = PlayedTpm(response(Writer().u32(0).raw(area).done(), tag=StructureTag.SESSIONS))
    with pytest.raises(SessionError):
        tpm.connection().pcr_reset(16, auth=session(SessionType.POLICY, b"").authorize())


@pytest.mark.negative
def test_nothing_is_sent_where_a_session_could_not_protect_it() -> None:
    tpm = PlayedTpm()
    connection = tpm.connection()
    refusals: list[Callable[[], object]] = [
        lambda: connection.get_random(8, protect=session(key=b"")),
        lambda: connection.quote(
            0x81000101, extra_data=b"n" * 32, selection=SELECTION, auth=session().authorize()
        ),
        lambda: connection.certify(AK, ak=AK, extra_data=b"", auths=(Password(),)),  # type: ignore[arg-type]  # too few
    ]
    for refusal in refusals:
        with pytest.raises(SessionError):
            refusal()
    assert tpm.commands == []


def pcr_answer(selection: list[PcrSelection], digests: list[bytes]) -> bytes:
    writer = Writer().u32(1).raw(encode_pcr_selections(tuple(selection))).u32(len(digests))
    for one in digests:
        writer.tpm2b(one)
    return response(writer.done())


@pytest.mark.negative
def test_more_or_fewer_registers_than_announced_are_refused() -> None:
    for digests in ([], [bytes(32)], [bytes(32)] * 3):
        with pytest.raises(DecodeError):
            PlayedTpm(pcr_answer(SELECTION, digests)).connection().pcr_read(SELECTION)


@pytest.mark.negative
def test_a_bank_that_the_tpm_does_not_have_ends_the_reading() -> None:
    empty = [PcrSelection(bank=Algorithm.SHA256, indices=())]
    with pytest.raises(DecodeError, match="PCR values"):
        PlayedTpm(pcr_answer(empty, [])).connection().pcr_read_all(SELECTION)


@pytest.mark.negative
def test_a_name_that_the_tpm_claims_is_recomputed() -> None:
    public = AK.public.encode()
    answer = response(tpm2b(public) + tpm2b(b"\x00\x0b" + bytes(32)) + tpm2b(b"q"))
    with pytest.raises(DecodeError, match="Name of the object"):
        PlayedTpm(answer).connection().read_public(AK.handle)


def test_secrets_are_in_no_representation() -> None:
    secret = session(key=b"very secret").authorize(b"also secret")
    assert "secret" not in repr(secret)
    assert "secret" not in repr(Password(value=b"secret"))


def test_a_handle_in_a_parameter_is_sent_as_it_is() -> None:
    tpm = PlayedTpm(response())
    tpm.connection().flush_context(0x80000001)
    assert tpm.commands == [bytes.fromhex("80010000000e0000016580000001")]


def test_handles_are_read_to_the_last() -> None:
    first = Writer().u8(1).u32(1).u32(2).u32(0x81000001).u32(0x81000002).done()
    second = Writer().u8(0).u32(1).u32(1).u32(0x81010001).done()
    tpm = PlayedTpm(response(first), response(second))
    assert tpm.connection().handles(0x81000000) == (0x81000001, 0x81000002, 0x81010001)
    assert tpm.commands[1][-8:-4] == (0x81000003).to_bytes(4, "big")


@pytest.mark.negative
@pytest.mark.parametrize("listed", [(0x80FFFFFF,), (0x81000002, 0x81000001), (0x81000001, 0x81000001)])
def test_handles_out_of_order_are_refused(listed: tuple[int, ...]) -> None:
    writer = Writer().u8(1).u32(1).u32(len(listed))
    for handle in listed:
        writer.u32(handle)
    with pytest.raises(DecodeError, match="TPML_HANDLE"):
        PlayedTpm(response(writer.done())).connection().handles(0x81000000)


@pytest.mark.negative
def test_registers_that_nobody_asked_for_are_refused() -> None:
    other = [PcrSelection(bank=Algorithm.SHA256, indices=(2,))]
    with pytest.raises(DecodeError, match="PCR values"):
        PlayedTpm(pcr_answer(other, [bytes(32)])).connection().pcr_read_all(SELECTION)


@pytest.mark.negative
def test_another_capability_than_asked_for_is_refused() -> None:
    answer = response(Writer().u8(0).u32(6).u32(0).done())
    with pytest.raises(DecodeError, match="capability"):
        PlayedTpm(answer).connection().handles(0x81000000)


def test_a_start_up_has_no_sessions() -> None:
    tpm = PlayedTpm(response())
    tpm.connection().startup()
    assert tpm.commands == [bytes.fromhex("80010000000c000001440000")]
    assert CommandCode.STARTUP.to_bytes(4, "big") in tpm.commands[0]
    assert Handle.NULL.to_bytes(4, "big") not in tpm.commands[0]
