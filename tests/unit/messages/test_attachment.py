"""PCIDs, how they are routed, and what proves that a caller holds one."""

import pytest

from messages.attachment import attachment_key, check_pcid, is_request_mac, nai_of, read_nai, request_mac
from messages.errors import MessageError

PCID = "901701234567890"
CK, IK = b"\xc0" * 16, b"\x10" * 16
KEY = attachment_key(ck=CK, ik=IK, pcid=PCID)
BODY = b'{"pcid":"901701234567890"}'
MAC = request_mac(KEY, method="POST", path="/v1/discovery", body=BODY)


@pytest.mark.requirement("R84")
@pytest.mark.parametrize(
    ("pcid", "digits", "realm", "network"),
    [
        ("901701234567890", 2, "mnc070.mcc901", ("901", "70")),
        ("310150123456789", 3, "mnc150.mcc310", ("310", "150")),
        ("001010000000001", 2, "mnc001.mcc001", ("001", "01")),
        ("31001012345678", 3, "mnc010.mcc310", ("310", "010")),
    ],
)
def test_an_identity_is_written_as_for_an_imsi_and_read_back(
    pcid: str, digits: int, realm: str, network: tuple[str, str]
) -> None:
    identity = nai_of(pcid, mnc_digits=digits)
    assert identity == f"0{pcid}@wlan.{realm}.3gppnetwork.org"
    assert read_nai(identity) == (pcid, *network)


@pytest.mark.negative
@pytest.mark.parametrize(
    "identity",
    [
        "",
        "901701234567890",
        "1901701234567890@wlan.mnc070.mcc901.3gppnetwork.org",
        "0901701234567890@wlan.mnc071.mcc901.3gppnetwork.org",
        "0901701234567890@wlan.mnc070.mcc902.3gppnetwork.org",
        "0901701234567890@wlan.mnc70.mcc901.3gppnetwork.org",
        "0901701234567890@wlan.mnc070.mcc901.3gppnetwork.org.evil.example",
        "0901701234567890@wlan.mnc070.mcc901.3gppnetwork.org\n",
        "090170@wlan.mnc070.mcc901.3gppnetwork.org"[:5],
        "0" + "9" * 16 + "@wlan.mnc070.mcc901.3gppnetwork.org",
        "0\u066900000000000000@wlan.mnc070.mcc901.3gppnetwork.org",
        "x" * 81,
    ],
)
def test_an_identity_of_no_network_or_of_two_is_refused(identity: str) -> None:
    with pytest.raises(MessageError, match="identity"):
        read_nai(identity)


@pytest.mark.negative
@pytest.mark.parametrize("pcid", ["", "12345", "1" * 16, "12345a", "123456\n", "12345\uff16"])
def test_what_is_no_pcid_is_refused(pcid: str) -> None:
    with pytest.raises(MessageError, match="PCID"):
        check_pcid(pcid)
    with pytest.raises(MessageError, match="PCID"):
        nai_of(pcid, mnc_digits=2)


@pytest.mark.negative
@pytest.mark.parametrize("digits", [0, 1, 4])
def test_a_network_code_of_another_length_is_refused(digits: int) -> None:
    with pytest.raises(MessageError, match="MNC"):
        nai_of(PCID, mnc_digits=digits)


@pytest.mark.negative
@pytest.mark.parametrize(("ck", "ik"), [(CK[:-1], IK), (CK, IK + b"\x00"), (b"", b"")])
def test_keys_of_another_size_are_refused(ck: bytes, ik: bytes) -> None:
    with pytest.raises(MessageError, match="CK and IK"):
        attachment_key(ck=ck, ik=ik, pcid=PCID)


def test_the_key_depends_on_the_run_and_on_the_pcid() -> None:
    others = [
        attachment_key(ck=IK, ik=CK, pcid=PCID),
        attachment_key(ck=CK, ik=IK, pcid="901701234567891"),
        attachment_key(ck=CK, ik=CK, pcid=PCID),
    ]
    assert len({KEY, *others}) == 4
    assert {len(each) for each in (KEY, *others)} == {32}


@pytest.mark.requirement("R90")
def test_the_right_mac_is_accepted() -> None:
    assert is_request_mac(MAC, KEY, method="POST", path="/v1/discovery", body=BODY)


@pytest.mark.requirement("R90")
@pytest.mark.negative
@pytest.mark.parametrize(
    ("mac", "key", "method", "path", "body"),
    [
        (MAC, b"\x00" * 32, "POST", "/v1/discovery", BODY),
        (MAC, KEY, "PUT", "/v1/discovery", BODY),
        (MAC, KEY, "POST", "/v1/registrations", BODY),
        (MAC, KEY, "POST", "/v1/discovery", BODY + b" "),
        (MAC.upper(), KEY, "POST", "/v1/discovery", BODY),
        (MAC[:-1], KEY, "POST", "/v1/discovery", BODY),
        ("", KEY, "POST", "/v1/discovery", BODY),
        ("ä" * 64, KEY, "POST", "/v1/discovery", BODY),
    ],
)
def test_a_mac_for_something_else_is_refused(
    mac: str, key: bytes, method: str, path: str, body: bytes
) -> None:
    assert not is_request_mac(mac, key, method=method, path=path, body=body)
