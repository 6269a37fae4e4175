"""What holds for every input of DPF and DRF: bodies, offsets, proofs of attachment."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messages.attachment import request_mac
from messages.encoding import encode_deterministic
from operators.dpf.authorizations import decode_parts
from operators.dpf.gate import AuthorizedParts
from operators.dpf.records import GRANTS_MAX, AuthorizationStatus, status_after
from operators.dpf.refusals import RefusalCode, RefusalError
from operators.drf.attachments import Attachment, AttachmentDesk, DeviceRequest
from operators.drf.refusals import RefusalError as DrfRefusalError
from tests.fakes.pki import NOW

TOKENS = st.text(alphabet="abc.-_", min_size=1, max_size=20)
PARTS = st.builds(
    AuthorizedParts,
    authorization=TOKENS,
    order=TOKENS,
    result=TOKENS,
    package=TOKENS,
    content=st.binary(min_size=1, max_size=50),
)


def body_of(parts: AuthorizedParts) -> bytes:
    return encode_deterministic(
        {1: parts.authorization, 2: parts.order, 3: parts.result, 4: parts.package, 5: parts.content}
    )


@given(PARTS, st.data())
def test_a_body_reads_back_and_no_other_bytes_do(parts: AuthorizedParts, data: st.DataObject) -> None:
    body = body_of(parts)
    assert decode_parts(body) == parts
    cut = data.draw(st.integers(0, len(body) - 1))
    for wrong in (body[:cut], body + b"\x00"):
        with pytest.raises(RefusalError) as caught:
            decode_parts(wrong)
        assert caught.value.code == RefusalCode.AUTHORIZATION_MALFORMED


@given(st.binary(max_size=200))
def test_any_bytes_are_parts_or_refused(body: bytes) -> None:
    try:
        parts = decode_parts(body)
    except RefusalError:
        return
    assert body_of(parts) == body


@given(PARTS, PARTS)
def test_two_authorisations_have_one_digest_only_if_they_are_one(
    first: AuthorizedParts, second: AuthorizedParts
) -> None:
    assert (first.digest == second.digest) == (first == second)


@given(st.text(max_size=20), st.integers(min_value=1, max_value=10))
def test_no_outcome_opens_an_authorisation_a_fourth_time(outcome: str, grants: int) -> None:
    after = status_after(outcome, grants=grants)
    assert after is not AuthorizationStatus.GRANTED
    if after is AuthorizationStatus.OPEN:
        assert grants < GRANTS_MAX


class OneAttachment:
    """A store that knows one attachment."""

    def __init__(self, attachment: Attachment) -> None:
        self._attachment = attachment

    def save_attachment(self, attachment: Attachment, *, at: object) -> None:
        """Not used here."""
        raise AssertionError((attachment.pcid, at))

    def attachment(self, pcid: str) -> Attachment | None:
        """The one."""
        return self._attachment if pcid == self._attachment.pcid else None


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=40), st.binary(max_size=40))
def test_a_proof_covers_its_own_body_alone(key: bytes, body: bytes, other: bytes) -> None:
    attachment = Attachment(
        pcid="262019999000001",
        icf="icf-1",
        serving_network="26201",
        key=key,
        expires_at=NOW + timedelta(hours=1),
    )
    desk = AttachmentDesk(store=OneAttachment(attachment), life_max=timedelta(days=1))
    mac = request_mac(key, method="POST", path="/v1/discovery", body=body)
    sent = DeviceRequest(pcid=attachment.pcid, mac=mac, method="POST", path="/v1/discovery", body=other)
    try:
        desk.authenticate(sent, at=NOW)
    except DrfRefusalError:
        assert other != body
    else:
        assert other == body
