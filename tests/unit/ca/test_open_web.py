"""The listeners that everybody reaches: enrolment, lists and certificates."""

import json

import pytest
from cryptography import x509

from ca.errors import EnrollmentRefusedError
from ca.web import device_app, public_app
from messages.enrollment import ENROLLMENT_MEDIA_TYPE
from tests.fakes.ca import NOW, CaHouse
from tests.fakes.enrolling_device import EnrollingDevice


@pytest.fixture
def house() -> CaHouse:
    return CaHouse()


@pytest.mark.negative
@pytest.mark.parametrize("path", ["/v1/enrolments", "/v1/enrolments/activation"])
def test_the_device_listener_refuses_with_a_problem(house: CaHouse, path: str) -> None:
    client = device_app(house.enrollment, house.renewals).test_client()
    wrong = client.post(path, data=b"\xa0", content_type=ENROLLMENT_MEDIA_TYPE)
    assert (wrong.status_code, wrong.content_type) == (400, "application/problem+json")
    problem = json.loads(wrong.data)
    assert problem["type"] == "urn:pva:problem:malformed-message"
    assert problem["subject"]
    assert problem["remedy"]
    assert client.post(path, data=b"\xa0", content_type="text/plain").status_code == 415
    assert client.post(path, data=b"", content_type=ENROLLMENT_MEDIA_TYPE).status_code == 400
    assert client.get(path).status_code == 405


@pytest.mark.negative
def test_a_refused_device_is_told_why(house: CaHouse) -> None:
    house.product_line()
    stranger = EnrollingDevice(maker=house.maker)
    client = device_app(house.enrollment, house.renewals).test_client()
    answer = client.post(
        "/v1/enrolments", data=stranger.request().encode(), content_type=ENROLLMENT_MEDIA_TYPE
    )
    problem = json.loads(answer.data)
    assert (answer.status_code, problem["reason"], problem["subject"]) == (
        403,
        "ek-not-listed",
        stranger.device_id,
    )
    with pytest.raises(EnrollmentRefusedError):
        house.enrollment.begin(stranger.request().encode())


def test_the_public_listener_gives_crls_and_certificates(house: CaHouse) -> None:
    issuing = house.product_line()
    client = public_app(
        newest_list=house.lists.published, certificate_of=house.lists.certificate_of, clock=house.clock
    ).test_client()
    crl = client.get(f"/crl/{issuing.ca_id}.crl")
    assert (crl.status_code, crl.content_type) == (200, "application/pkix-crl")
    assert x509.load_der_x509_crl(crl.data).last_update_utc == NOW
    assert "Date" not in crl.headers  # the server below writes it
    again = client.get(f"/crl/{issuing.ca_id}.crl", headers={"If-None-Match": crl.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    certificate = client.get(f"/ca/{issuing.ca_id}.cer")
    assert certificate.content_type == "application/pkix-cert"
    assert certificate.data == issuing.certificate
    for path in ("/crl/x.crl", "/ca/x.cer", "/", "/v1/es-roots"):
        missing = client.get(path)
        assert (missing.status_code, missing.content_type) == (404, "application/problem+json")
