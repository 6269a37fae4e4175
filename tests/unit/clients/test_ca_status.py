"""What the responder makes of the CA's answers: a page is taken whole or not at all."""

from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from clients.ca_status import CaAnswerError, CaStatusClient
from standards.pki.crl import RevocationReason
from standards.pki.fingerprints import ca_id
from tests.fakes.pki import Authority, common_name, p256

CA = "a" * 32
ROOT = Authority.root()
OTHER = Authority.root("other")


class Answers:
    """An HttpClient that gives one answer and notes what was asked."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked: list[tuple[str, Any]] = []

    def get_json(self, path: str) -> Any:
        self.asked.append((path, None))
        return self.answer

    def post_json(self, path: str, value: Any) -> Any:
        self.asked.append((path, value))
        return self.answer


def client_of(answer: Any) -> CaStatusClient:
    return CaStatusClient(Answers(answer))  # type: ignore[arg-type]  # the two methods that it uses


def change(seq: int, **changed: Any) -> dict[str, Any]:
    return {
        "seq": seq,
        "issuer": CA,
        "serial": f"{seq:040x}",
        "status": "good",
        "reason": None,
        "revoked_at": None,
        "not_after": "2040-01-01T00:00:00Z",
        "version": 1,
        **changed,
    }


def page(*changes: dict[str, Any], **changed: Any) -> dict[str, Any]:
    last = changes[-1]["seq"] if changes else 0
    told = {"previous": None, "changes": list(changes), "next": last, "complete": True}
    return {**told, "suspensions": {"version": 0, "in_force": []}, **changed}


def pem(authority: Authority) -> str:
    return authority.certificate.public_bytes(Encoding.PEM).decode()


def test_a_page_is_read() -> None:
    revoked = change(7, status="revoked", reason="certificateHold", revoked_at="2026-01-01T01:00:00+01:00")
    read = client_of(page(change(6), revoked, extra="ignored")).status_changes(after=5)
    assert [each.seq for each in read.changes] == [6, 7]
    assert read.changes[0].revocation is None
    held = read.changes[1].revocation
    assert held is not None
    assert (held.reason, held.at.isoformat()) == (
        RevocationReason.CERTIFICATE_HOLD,
        "2026-01-01T00:00:00+00:00",
    )


def test_what_is_suspended_comes_with_the_page() -> None:
    scope = {"id": "e" * 64, "issuers": [CA], "model": "gw-1", "batch": None, "since": "2026-01-01T00:00:00Z"}
    read = client_of(page(suspensions={"version": 4, "in_force": [scope]})).status_changes(after=0)
    [held] = read.suspensions.in_force
    assert (read.suspensions.version, held.issuers, held.model, held.batch) == (4, (CA,), "gw-1", None)


@pytest.mark.negative
def test_a_page_that_says_nothing_of_suspensions_is_not_taken() -> None:
    said = page(change(1))
    del said["suspensions"]
    with pytest.raises(CaAnswerError, match="suspensions"):
        client_of(said).status_changes(after=0)


def test_the_place_is_asked_for() -> None:
    answers = Answers(page(next=5))
    CaStatusClient(answers).status_changes(after=5, limit=9)  # type: ignore[arg-type]  # see above
    assert answers.asked == [("/v1/status-changes?after=5&limit=9", None)]


@pytest.mark.negative
@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        {},
        page(change(6), complete="perhaps"),
        page(change(5)),
        page(change(7), change(6)),
        page(change(6), change(6)),
        page(change(6), next=5),
        page(change(6), next=7),
        page(change(6), previous=change(4)),
        {name: value for name, value in page(change(6)).items() if name != "previous"},
        page(next=5, complete=False),
        page(change(6, serial="xyz")),
        page(change(6, serial="0" * 41)),
        page(change(6, issuer="short")),
        page(change(6, version=0)),
        page(change(6, not_after="2040-01-01T00:00:00")),
        page(change(6, status="held")),
        page(change(6, status="revoked", reason="keyCompromise")),
        page(change(6, status="revoked", reason="removeFromCRL", revoked_at="2026-01-01T00:00:00Z")),
        page(change(6, status="revoked", reason="whim", revoked_at="2026-01-01T00:00:00Z")),
    ],
)
def test_a_page_that_cannot_be_is_refused_whole(answer: Any) -> None:
    with pytest.raises(CaAnswerError):
        client_of(answer).status_changes(after=5)


def test_active_cas_are_listed_under_the_digest_of_their_key() -> None:
    listed = {
        "issuing_cas": [
            {"ca_id": ca_id(ROOT.certificate), "state": "active", "certificate": pem(ROOT), "models": []},
            {"ca_id": ca_id(OTHER.certificate), "state": "revoked", "certificate": pem(OTHER)},
            {"ca_id": "b" * 32, "state": "pending", "certificate": None},
        ]
    }
    (only,) = client_of(listed).issuing_cas()
    assert (only.ca_id, only.certificate) == (ca_id(ROOT.certificate), ROOT.certificate)


@pytest.mark.negative
@pytest.mark.parametrize("text", [pem(OTHER), "nothing", ""])
def test_a_ca_under_another_name_or_without_certificate_is_refused(text: str) -> None:
    listed = {"issuing_cas": [{"ca_id": ca_id(ROOT.certificate), "state": "active", "certificate": text}]}
    with pytest.raises(CaAnswerError):
        client_of(listed).issuing_cas()


def test_a_delegate_is_asked_for_with_a_csr() -> None:
    csr = x509.CertificateSigningRequestBuilder(common_name("x")).sign(p256(), hashes.SHA256())
    answers = Answers({"certificate": pem(ROOT)})
    given = CaStatusClient(answers).request_delegate(CA, csr=csr)  # type: ignore[arg-type]  # see above
    assert given == ROOT.certificate
    sent = csr.public_bytes(Encoding.PEM).decode()
    assert answers.asked == [("/v1/ocsp-delegates", {"issuer": CA, "csr": sent})]
