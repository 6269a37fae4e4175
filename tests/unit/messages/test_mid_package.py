"""The content of a package: opens for one device, order, operator, package and version only."""

from dataclasses import replace
from typing import Any

import pytest

from messages.encoding import decode_deterministic, encode_deterministic
from messages.errors import MessageError
from messages.mid_content import decode_content
from messages.mid_package import (
    CONTENT_BYTES_MAX,
    additional_data,
    decrypt_content,
    encrypt_content,
    package_digest,
)
from messages.mid_policy import MidPolicy
from tests.unit.messages.operator_samples import CONTENT, PACKAGE

KEY = b"\x99" * 32
ENCRYPTED = encrypt_content(
    CONTENT.encode(), key=KEY, nonce=PACKAGE.content_nonce, bound_to=PACKAGE.additional_data
)


def content(**changed: Any) -> bytes:
    """The encoded content with other values in its first application."""
    value = decode_deterministic(CONTENT.encode(), bytes_max=CONTENT_BYTES_MAX)
    for key, other in changed.items():
        value[2][0][int(key.removeprefix("field_"))] = other
    return encode_deterministic(value)


@pytest.mark.requirement("R11")
def test_a_bundle_of_usim_and_isim_is_read_back() -> None:
    assert decode_content(decrypt_content(ENCRYPTED, key=KEY, header=PACKAGE)) == CONTENT
    assert {each.kind for each in CONTENT.applications} == {"usim", "isim"}


@pytest.mark.requirement("R54", "R64")
@pytest.mark.negative
@pytest.mark.parametrize(
    "changed",
    [
        {"device_id": "d2" * 32},
        {"order_digest": b"\x0e" * 32},
        {"sho": "sho2.example"},
        {"package_id": "package-2"},
        {"version": 2},
        {"content_nonce": b"\x04" * 12},
    ],
)
def test_content_opens_for_no_other_header(changed: dict[str, Any]) -> None:
    with pytest.raises(MessageError, match="content of the package"):
        decrypt_content(ENCRYPTED, key=KEY, header=replace(PACKAGE, **changed))


@pytest.mark.requirement("R54")
@pytest.mark.negative
@pytest.mark.parametrize("key", [b"\x98" * 32, b"", b"\x99" * 31])
def test_content_opens_with_no_other_key(key: bytes) -> None:
    with pytest.raises(MessageError, match="content of the package"):
        decrypt_content(ENCRYPTED, key=key, header=PACKAGE)


@pytest.mark.negative
@pytest.mark.parametrize("place", [0, len(ENCRYPTED) // 2, len(ENCRYPTED) - 1])
def test_changed_or_shortened_content_is_refused(place: int) -> None:
    changed = bytearray(ENCRYPTED)
    changed[place] ^= 1
    for each in (bytes(changed), ENCRYPTED[:place]):
        with pytest.raises(MessageError):
            decrypt_content(each, key=KEY, header=PACKAGE)


@pytest.mark.negative
@pytest.mark.parametrize(
    "changed",
    [
        {"field_1": "esim"},
        {"field_1": "usim-application"},
        {"field_2": ""},
        {"field_2": "9" * 256},
        {"field_3": ["sip:a@x", "sip:a@x"]},
        {"field_4": "comp128"},
        {"field_5": b"k" * 15},
        {"field_5": b"k" * 33},
        {"field_6": b"o" * 15},
        {"field_6": "text"},
        {"field_7": "ims"},
        {"field_7": b"wlan"},
        {"field_8": 3},
        {"field_8": 17},
        {"field_9": b"surplus"},
    ],
)
def test_an_application_that_is_wrong_in_one_field_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(MessageError):
        decode_content(content(**changed))


@pytest.mark.negative
@pytest.mark.parametrize(
    "value",
    [
        {1: "mid-1", 2: [], 3: ["milenage"]},
        {1: "mid-1", 2: [1], 3: ["milenage"]},
        {1: "mid-1", 3: ["milenage"]},
        {2: [], 3: []},
        [],
        None,
    ],
)
def test_content_without_applications_is_refused(value: Any) -> None:
    with pytest.raises(MessageError):
        decode_content(encode_deterministic(value))


@pytest.mark.negative
def test_unknown_algorithms_and_too_many_applications_are_refused() -> None:
    for wrong in (
        replace(CONTENT, policy=MidPolicy(algorithms=("comp128",))),
        replace(CONTENT, policy=MidPolicy(algorithms=("tuak", "tuak"))),
        replace(CONTENT, policy=MidPolicy(algorithms=("tuak",), accesses=("fax",))),
        replace(CONTENT, policy=MidPolicy(algorithms=("tuak",), res_bytes_min=2)),
        replace(CONTENT, applications=CONTENT.applications * 9),
        replace(CONTENT, mid_id="m" * 65),
    ):
        with pytest.raises(MessageError):
            decode_content(wrong.encode())


def test_keys_are_in_no_repr_and_no_refusal() -> None:
    application = CONTENT.applications[0]
    assert repr(application.k) not in repr(CONTENT)
    assert repr(application.opc) not in repr(CONTENT)
    with pytest.raises(MessageError) as caught:
        decode_content(content(field_5=b"secret key 15b."))
    assert "secret" not in str(caught.value)


def test_a_package_is_named_by_its_token_as_sent() -> None:
    assert package_digest("a.b.c") != package_digest("a.b.d")
    assert len(package_digest("ä")) == 32
    assert PACKAGE.additional_data == additional_data(
        device_id=PACKAGE.device_id,
        order_digest=PACKAGE.order_digest,
        sho=PACKAGE.sho,
        package_id=PACKAGE.package_id,
        version=PACKAGE.version,
    )
