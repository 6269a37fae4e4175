"""The gateway's rules and tunnels without a socket: heads, credentials, admission, metering, ends."""

import asyncio
import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import cast

import pytest

from edge.refused import RefusedError
from operators.vno.admission import Destination, admit, proven_bearer, reachable
from operators.vno.bearers import BLOCK_BYTES, Bearer, Credentials, block_of, new_credentials, secret_digest
from operators.vno.connect_request import HEAD_BYTES_MAX, ConnectRequest, HeadParser, read_credentials
from operators.vno.refusals import RefusalCode
from operators.vno.tunnel import Meter, Side, run_tunnel
from tests.fakes.access_memory import Counting, VnoMemory

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
TARGET = "drf.example:443"
BEARER = Bearer(
    id="b1",
    pcid="999700000000001",
    secret_sha256=secret_digest("s3"),
    apn="provisioning",
    destinations=(TARGET, "10.0.0.1:80"),
    quota_bytes=100_000,
    used_bytes=0,
    expires_at=NOW + timedelta(seconds=60),
)
PROOF = b"Proxy-Authorization: Basic " + base64.b64encode(b"b1:s3")
HEAD = (
    b"CONNECT " + TARGET.encode() + b" HTTP/1.1\r\nHost: " + TARGET.encode() + b"\r\n" + PROOF + b"\r\n\r\n"
)


def held(id_: str, secret: str) -> Credentials:
    return Credentials(id=id_, secret=secret)


def book(bearer: Bearer = BEARER) -> VnoMemory:
    store = VnoMemory()
    store.bearers[bearer.pcid] = bearer
    return store


def parsed(data: bytes) -> ConnectRequest:
    request = HeadParser().feed(data)
    assert request is not None
    return request


def code_of(caught: pytest.ExceptionInfo[RefusedError]) -> str:
    return caught.value.code


# --- the head


def test_a_head_is_read_whole_or_in_pieces() -> None:
    assert parsed(HEAD) == ConnectRequest(target=TARGET, credentials=held("b1", "s3"), early=b"")
    parser = HeadParser()
    for at in range(len(HEAD) - 1):
        assert parser.feed(HEAD[at : at + 1]) is None
    assert parser.feed(HEAD[-1:]) == parsed(HEAD)


def test_what_follows_the_head_is_kept() -> None:
    assert parsed(HEAD + b"hello").early == b"hello"
    assert parsed(HEAD.replace(b"HTTP/1.1", b"HTTP/1.0")).target == TARGET


@pytest.mark.negative
@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
        HEAD.replace(b"\r\n\r\n", b"\r\nContent-Length: 0\r\n\r\n"),
        HEAD.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n"),
        HEAD.replace(b"\r\n\r\n", b"\r\n" + PROOF + b"\r\n\r\n"),
        HEAD.replace(b"drf.example:443 ", b"drf.example:443 x "),
        HEAD.replace(b"Host:", b"Host :"),
        HEAD.replace(b"HTTP/1.1", b"HTTP/2.0"),
        HEAD.replace(b"Host: " + TARGET.encode() + b"\r\n", b""),
        HEAD[:-2] + b"X: " + b"x" * (2 * HEAD_BYTES_MAX),
        b"",
    ],
)
def test_what_is_no_connect_request_is_refused(data: bytes) -> None:
    with pytest.raises(RefusedError) as caught:
        HeadParser().feed(data)
    assert code_of(caught) == RefusalCode.REQUEST_MALFORMED


@pytest.mark.negative
@pytest.mark.parametrize("method", [b"GET", b"POST", b"connect", b"OPTIONS"])
def test_only_connect_is_offered(method: bytes) -> None:
    with pytest.raises(RefusedError) as caught:
        HeadParser().feed(HEAD.replace(b"CONNECT", method))
    assert code_of(caught) == RefusalCode.METHOD_NOT_OFFERED


@pytest.mark.negative
@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"Basic",
        b"Basic ",
        b"Bearer YjE6czM=",
        b"Basic YjE6czM",
        b"Basic !!!!",
        b"Basic " + base64.b64encode(b"b1"),
        b"Basic " + base64.b64encode(b":s3"),
        b"Basic " + base64.b64encode(b"b1:"),
        b"Basic " + base64.b64encode(b"\xff\xff:s3"),
        b"Basic " + base64.b64encode(b"b1:" + b"x" * 600),
    ],
)
def test_other_credentials_are_none(value: bytes) -> None:
    assert read_credentials(value) is None
    assert read_credentials(b"basic YjE6czM=") == held("b1", "s3")


# --- admission


@pytest.mark.negative
@pytest.mark.requirement("R88")
@pytest.mark.parametrize("credentials", [None, held("b1", "s4"), held("b2", "s3")])
def test_without_a_proven_bearer_there_is_no_tunnel(credentials: Credentials | None) -> None:
    request = ConnectRequest(target=TARGET, credentials=credentials, early=b"")
    with pytest.raises(RefusedError) as caught:
        proven_bearer(request, book=book())
    assert code_of(caught) == RefusalCode.BEARER_REQUIRED
    assert proven_bearer(parsed(HEAD), book=book()) == BEARER


def test_secrets_are_long_and_differ() -> None:
    random_bytes = Counting()
    first, second = new_credentials(random_bytes), new_credentials(random_bytes)
    assert len(first.secret) == 43
    assert {first.id, first.secret} & {second.id, second.secret} == set()
    assert first.secret not in repr(first)


@pytest.mark.requirement("R89")
def test_a_destination_of_the_list_is_admitted() -> None:
    assert admit(BEARER, TARGET, at=NOW) == Destination(host="drf.example", port=443)


@pytest.mark.negative
@pytest.mark.requirement("R08")
@pytest.mark.parametrize(
    "target",
    [
        "drf.example:444",
        "DRF.example:443",
        "drf.example.:443",
        "x@drf.example:443",
        "drf.example:0443",
        "http://drf.example:443",
        "drf.example",
        "10.0.0.01:80",
        "10.1:80",
        "[::ffff:10.0.0.1]:80",
        "167772161:80",
        "",
    ],
)
def test_no_other_spelling_is_on_the_list(target: str) -> None:
    with pytest.raises(RefusedError) as caught:
        admit(BEARER, target, at=NOW)
    assert code_of(caught) == RefusalCode.DESTINATION_NOT_ALLOWED


@pytest.mark.negative
def test_a_list_with_another_spelling_opens_nothing() -> None:
    with pytest.raises(RefusedError) as caught:
        admit(replace(BEARER, destinations=("2130706433:80",)), "2130706433:80", at=NOW)
    assert code_of(caught) == RefusalCode.DESTINATION_NOT_ALLOWED


@pytest.mark.negative
@pytest.mark.requirement("R107")
def test_an_ended_or_used_bearer_opens_nothing() -> None:
    for bearer, at in (
        (BEARER, BEARER.expires_at),
        (replace(BEARER, used_bytes=BEARER.quota_bytes), NOW),
    ):
        with pytest.raises(RefusedError) as caught:
            admit(bearer, TARGET, at=at)
        assert code_of(caught) == RefusalCode.BEARER_ENDED


@pytest.mark.negative
@pytest.mark.requirement("R08")
@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "0.0.0.0",  # noqa: S104 - an address that must be refused
        "10.0.0.1",
        "169.254.169.254",
        "192.168.0.1",
        "224.0.0.1",
        "::1",
        "::",
        "fe80::1%eth0",
        "fc00::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::10.0.0.1",
        "fec0::1",
        "64:ff9b::a00:1",
        "2002:a00:1::1",
        "2001:0:a00:1::1",
        "240.0.0.1",
    ],
)
def test_a_name_cannot_lead_back_into_the_network(address: str) -> None:
    with pytest.raises(RefusedError) as caught:
        reachable([address], networks=())
    assert code_of(caught) == RefusalCode.ADDRESS_NOT_ALLOWED


def test_global_addresses_and_named_networks_are_reachable() -> None:
    assert reachable(["10.0.0.1", "1.1.1.1"], networks=()) == "1.1.1.1"
    assert reachable(["10.0.0.1"], networks=(ip_network("10.0.0.0/30"),)) == "10.0.0.1"
    assert reachable(["2606:4700::1111"], networks=(ip_network("10.0.0.0/30"),)) == "2606:4700::1111"


# --- metering and tunnels


def test_blocks_leave_something_for_tunnels_beside() -> None:
    assert block_of(1 << 30, needed=1) == BLOCK_BYTES
    assert block_of(80_000, needed=1) == 10_000
    assert block_of(80_000, needed=20_000) == 20_000
    assert block_of(10, needed=20_000) == 10
    assert block_of(0, needed=1) == 0


@pytest.mark.requirement("R08")
def test_what_did_not_flow_is_given_back() -> None:
    store = book()

    async def run() -> None:
        meter = Meter(store, "b1", clock=lambda: NOW)
        assert await meter.count(1_000) == 1_000
        assert await meter.count(98_000) == 98_000
        assert await meter.count(5_000) == 1_000
        assert await meter.count(1) == 0
        await meter.close()
        store.bearers[BEARER.pcid] = BEARER
        meter = Meter(store, "b1", clock=lambda: NOW)
        assert await meter.count(10) == 10
        await meter.close()

    asyncio.run(run())
    assert store.bearers[BEARER.pcid].used_bytes == 10


@pytest.mark.negative
def test_a_bearer_that_was_replaced_counts_nothing_more() -> None:
    async def run() -> int:
        return await Meter(book(replace(BEARER, id="b2")), "b1", clock=lambda: NOW).count(1)

    assert asyncio.run(run()) == 0


class Written:
    """A writer that keeps what it is given."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> None:
        self.data += data

    async def drain(self) -> None:
        await asyncio.sleep(0)


def side(*, data: bytes = b"", ends: bool = False) -> tuple[Side, Written]:
    reader, written = asyncio.StreamReader(), Written()
    reader.feed_data(data)
    if ends:
        reader.feed_eof()
    return Side(reader=reader, writer=cast("asyncio.StreamWriter", written)), written


def test_a_tunnel_ends_with_either_side() -> None:
    store = book()

    async def run() -> tuple[bytes, bytes]:
        device, to_device = side(data=b"question")
        service, to_service = side(data=b"answer", ends=True)
        meter = Meter(store, "b1", clock=lambda: NOW)
        await run_tunnel(device, service, early=b"early ", meter=meter, life_s=60)
        return to_service.data, to_device.data

    to_service, to_device = asyncio.run(run())
    assert to_device == b"answer"
    assert to_service in {b"early ", b"early question"}
    assert store.bearers[BEARER.pcid].used_bytes == len(to_service) + len(to_device)


@pytest.mark.negative
@pytest.mark.requirement("R08")
def test_a_tunnel_carries_the_quota_and_not_a_byte_more() -> None:
    store = book(replace(BEARER, quota_bytes=100))

    async def run() -> bytes:
        device, to_device = side()
        service, _ = side(data=b"x" * 5_000)
        meter = Meter(store, "b1", clock=lambda: NOW)
        await run_tunnel(device, service, early=b"", meter=meter, life_s=60)
        return to_device.data

    assert len(asyncio.run(run())) == 100
    assert store.bearers[BEARER.pcid].left_bytes == 0


@pytest.mark.negative
@pytest.mark.requirement("R107")
def test_a_tunnel_ends_when_its_time_is_up() -> None:
    async def run() -> None:
        meter = Meter(book(), "b1", clock=lambda: NOW)
        async with asyncio.timeout(5):
            await run_tunnel(side()[0], side()[0], early=b"", meter=meter, life_s=0.01)

    asyncio.run(run())
