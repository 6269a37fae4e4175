"""The CA's client decodes an answer whole or refuses it whole."""

from typing import Any, cast

import pytest
from cryptography import x509

from clients.ca import CaAnswerError, CaDeviceClient, CaOperatorClient
from edge.http_client import HttpClient, HttpResponse
from tests.fakes.attesting_device import AttestingDevice
from tests.fakes.ca import csr_for
from tests.fakes.enrolling_device import EnrollingDevice, TpmMaker
from tests.fakes.pki import p256

pytestmark = pytest.mark.negative


class Answering:
    """What the client uses of an HttpClient; answers everything alike."""

    def __init__(self, value: Any = None, *, body: bytes = b"") -> None:
        self._value = value
        self._body = body

    def get_json(self, path: str) -> Any:
        """The prepared value."""
        assert path.startswith("/v1/")
        return self._value

    def post_json(self, path: str, value: object) -> Any:
        """The prepared value."""
        assert value is not None
        return self.get_json(path)

    def post(self, path: str, body: bytes, *, content_type: str, accept: str = "*/*") -> HttpResponse:
        """The prepared body."""
        assert path
        assert body
        assert accept
        return HttpResponse(status=200, content_type=content_type, body=self._body, headers={})

    def get(self, path: str, *, accept: str = "*/*") -> HttpResponse:
        """The prepared body."""
        return self.post(path, b"-", content_type="", accept=accept)


def operator(value: Any = None, *, body: bytes = b"") -> CaOperatorClient:
    return CaOperatorClient(cast("HttpClient", Answering(value, body=body)))


CSR = x509.load_pem_x509_csr(csr_for(p256()).encode())
NO_ROOT = {"ca_id": "0", "supplier": "acme", "hosted": True, "certificate": "no PEM"}


@pytest.mark.parametrize("value", [None, [], {}, {"certificate": 7}, {"certificate": "no PEM"}, "text"])
def test_a_wrong_answer_is_named(value: Any) -> None:
    with pytest.raises(CaAnswerError):
        operator(value).certify_supplier("acme", purpose="batch-signing", csr=CSR)
    with pytest.raises(CaAnswerError):
        operator(value).certify_tls("client", name="x", csr=CSR)
    with pytest.raises(CaAnswerError):
        operator(value).issuing_cas()
    with pytest.raises(CaAnswerError):
        operator(value).platform_credential("0" * 32, 1)


def test_a_list_with_one_wrong_member_is_refused_whole() -> None:
    with pytest.raises(CaAnswerError):
        operator({"es_roots": [NO_ROOT]}).es_roots()


@pytest.mark.parametrize("body", [b"", b"{}", b"[", b'{"batch":"b","supplier":"s","devices":"many"}'])
def test_a_wrong_answer_to_a_list_is_named(body: bytes) -> None:
    with pytest.raises(CaAnswerError):
        operator(body=body).import_batch("a.b.c")
    with pytest.raises(CaAnswerError):
        operator(body=body).accept_manifest(b"signed")


@pytest.mark.parametrize("body", [b"", b"\xa0", b"\xff", b"{}"])
def test_a_device_refuses_what_is_no_challenge(body: bytes) -> None:
    device = EnrollingDevice(maker=TpmMaker(), attesting=AttestingDevice())
    client = CaDeviceClient(cast("HttpClient", Answering(body=body)))
    with pytest.raises(CaAnswerError):
        client.begin(device.request())
    with pytest.raises(CaAnswerError):
        client.credential("ab" * 32)


@pytest.mark.parametrize("value", [None, {}, {"issuer": "0" * 32, "serial": "no number"}])
def test_a_wrong_answer_to_a_renewal_is_named(value: Any) -> None:
    with pytest.raises(CaAnswerError):
        operator(value).renew_credential(issuer="0" * 32, serial=1, manifest_digest=bytes(32), result_id="0a")
