"""A bearer that a device has already, in a file: read back as written, or refused whole."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from m2me_agent.agent.journey import provision
from m2me_agent.agent.kept_bearer import BEARER_BYTES_MAX, KeptBearerError, decode_bearer, encode_bearer
from m2me_agent.agent.ports import Patience
from m2me_agent.agent.registration import Wishes
from messages.bearer import Bearer
from tests.fakes.journey_world import SECRET, World

BEARER = Bearer(
    id="bearer-of-the-prior-operator",
    secret=SECRET,
    gateway="vno.example:8443",
    apn="internet",
    destinations=("pva.example:443",),
    quota_bytes=1 << 20,
    expires_at=datetime(2026, 6, 1, tzinfo=UTC),
)


def test_it_is_read_back_as_written() -> None:
    assert decode_bearer(encode_bearer(BEARER)) == BEARER


@pytest.mark.negative
@pytest.mark.parametrize(
    "changed",
    [
        {"id": 7},
        {"secret": ""},
        {"destinations": []},
        {"quota_bytes": 0},
        {"expires_at": "tomorrow"},
        {"another": "member"},
    ],
)
def test_what_is_wrong_in_one_respect_is_refused(changed: dict[str, Any]) -> None:
    told = {**json.loads(encode_bearer(BEARER)), **changed}
    with pytest.raises(KeptBearerError):
        decode_bearer(json.dumps(told).encode())


@pytest.mark.negative
@pytest.mark.parametrize("data", [b"", b"[]", b"no JSON", b" " * (BEARER_BYTES_MAX + 1)])
def test_what_is_no_bearer_is_refused(data: bytes) -> None:
    with pytest.raises(KeptBearerError) as caught:
        decode_bearer(data)
    assert SECRET not in str(caught.value)


@pytest.mark.requirement("R66")
def test_a_journey_over_it_sends_nothing_over_the_bearer_of_the_pcid() -> None:
    world = World(bearer_id=BEARER.id)  # which each service behind the gateway looks for
    arrival = provision(replace(world.way(), bearer=BEARER), Wishes(consent=Patience(total_s=5.0)))
    assert arrival.outcome == "active"
    assert "4 bearer-kept" in world.events()
