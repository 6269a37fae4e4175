"""From the factory to a tunnel, and every no on the way: VNO, ICF and CCIF as processes, a USIM in software."""

import hashlib
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from clients.ccif import IssuedConnectivity
from edge.database import engine_for, transaction
from edge.http_client import HttpClient, HttpError
from edge.ledger_leaf import verify_entry
from edge.log_verification import check_records, verify_log
from edge.process import system_clock, system_random
from edge.refused import AnonymousRefusals
from edge.settings import SettingsError, load_settings
from messages.attachment import attachment_key, nai_of
from messages.bearer import Bearer
from messages.connectivity import CONNECTIVITY_KIND, read_claims
from messages.operator_token import verify_operator_token
from operators.ccif import app as ccif_app
from operators.ccif.settings import CcifSettings
from operators.icf import app as icf_app
from operators.icf import schema as icf_schema
from operators.icf.settings import IcfSettings
from operators.vno import app as vno_app
from operators.vno.settings import VnoSettings
from operators.vno.store import Store
from standards.aka.sequence import UsimSequence
from standards.aka.vectors import Authenticated, Resynchronisation
from tests.applications import own_routes
from tests.end_to_end.access_services import MNC, NETWORK, AccessServices
from tests.end_to_end.route_tables import LOG
from tests.fakes.usim import SoftwareUsim, opened_key, storage_public


class Device:
    """A device from the factory: its PCID and its USIM."""

    def __init__(self, services: AccessServices, name: str) -> None:
        self.services = services
        self.storage_key = ec.generate_private_key(ec.SECP256R1())
        self.device_id = hashlib.sha256(name.encode()).hexdigest()
        issued = self.connectivity()
        signed = verify_operator_token(
            issued.token, CONNECTIVITY_KIND, anchors=[services.operators.certificate], at=system_clock()
        )
        found = read_claims(signed.claims)
        assert found.device_id == self.device_id
        assert found.pcid == issued.pcid
        self.pcid = found.pcid
        self.identity = nai_of(self.pcid, mnc_digits=found.mnc_digits)
        self.usim = SoftwareUsim(opened_key(found.sealed_key, storage_key=self.storage_key))

    def connectivity(self) -> IssuedConnectivity:
        public = storage_public(self.storage_key).encode()
        return self.services.ccif("factory").connectivity(device_id=self.device_id, storage_public=public)

    def attach(self) -> Bearer:
        challenge = self.services.vno.attach(self.identity)
        return self.services.vno.respond(
            challenge.session, res=self.usim.response(challenge.rand, challenge.autn)
        )


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AccessServices]:
    running = AccessServices(tmp_path_factory.mktemp("access"))
    running.start_icf()
    running.start_ccif()
    running.start_vno()
    yield running
    running.close()


@pytest.fixture(scope="module")
def device(services: AccessServices) -> Device:
    return Device(services, "device-1")


def get(services: AccessServices, bearer: Bearer, path: str, *, target: str | None = None) -> bytes:
    """Everything that comes back through a tunnel for one GET."""
    status, tunnel = services.connect(target or services.destination.address, bearer)
    assert status == 200
    with tunnel:
        tunnel.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        received = b""
        while data := tunnel.recv(65_536):
            received += data
    return received


@pytest.mark.requirement("R84")
@pytest.mark.requirement("R88")
@pytest.mark.requirement("R90")
def test_a_device_attaches_and_reaches_its_destination(services: AccessServices, device: Device) -> None:
    challenge = services.vno.attach(device.identity)
    answer = device.usim.answer(challenge.rand, challenge.autn)
    assert isinstance(answer, Authenticated)
    bearer = services.vno.respond(challenge.session, res=answer.res)
    assert bearer.apn == "provisioning"
    assert bearer.destinations == (services.destination.address,)
    assert get(services, bearer, "/100").endswith(b"x" * 100)
    told = services.drf.told[-1]
    assert told["pcid"] == device.pcid
    assert told["serving_network"] == NETWORK
    assert bytes.fromhex(told["key"]) == attachment_key(ck=answer.ck, ik=answer.ik, pcid=device.pcid)


@pytest.mark.requirement("R105")
@pytest.mark.requirement("R106")
def test_the_same_device_gets_the_same_pcid(services: AccessServices, device: Device) -> None:
    again = device.connectivity()
    assert again.pcid == device.pcid
    assert device.pcid.startswith("99970")
    assert len(device.pcid) <= 15
    assert len({Device(services, f"device-{number}").pcid for number in range(10, 14)}) == 4


@pytest.mark.negative
@pytest.mark.requirement("R106")
def test_a_device_of_another_factory_gets_nothing(services: AccessServices, device: Device) -> None:
    public = storage_public(device.storage_key).encode()
    with pytest.raises(HttpError, match="403"):
        services.ccif("rival").connectivity(device_id=device.device_id, storage_public=public)
    with pytest.raises(HttpError, match="serves es"):
        services.ccif("vno-1").connectivity(device_id=device.device_id, storage_public=public)


@pytest.mark.negative
@pytest.mark.requirement("R88")
def test_nothing_is_forwarded_before_attachment(services: AccessServices, device: Device) -> None:
    asked = services.destination.asked
    services.vno.attach(device.identity)
    status, connection = services.connect(services.destination.address, None)
    connection.close()
    assert status == 407
    assert services.destination.asked == asked


@pytest.mark.negative
@pytest.mark.requirement("R87")
def test_a_wrong_res_ends_the_session(services: AccessServices, device: Device) -> None:
    challenge = services.vno.attach(device.identity)
    res = device.usim.response(challenge.rand, challenge.autn)
    with pytest.raises(HttpError) as refused:
        services.vno.respond(challenge.session, res=bytes([res[0] ^ 1]) + res[1:])
    assert refused.value.problem is not None
    assert refused.value.problem.type == "res-wrong"
    with pytest.raises(HttpError) as ended:
        services.vno.respond(challenge.session, res=res)
    assert ended.value.status == 404


@pytest.mark.negative
@pytest.mark.requirement("R08")
def test_another_destination_is_refused_in_every_spelling(services: AccessServices, device: Device) -> None:
    bearer = device.attach()
    port = services.destination.address.partition(":")[2]
    asked = services.destination.asked
    for target in (
        services.other_destination.address,
        f"localhost:{port}",
        f"127.1:{port}",
        f"127.0.0.1:0{port}",
        f"x@127.0.0.1:{port}",
        f"[::ffff:127.0.0.1]:{port}",
        f"http://127.0.0.1:{port}/",
        f"2130706433:{port}",
        f"127.0.0.1.:{port}",
    ):
        status, connection = services.connect(target, bearer)
        connection.close()
        assert status == 403, target
    assert services.destination.asked == asked
    assert services.other_destination.asked == 0


@pytest.mark.negative
def test_a_wrong_secret_and_another_method_open_nothing(services: AccessServices, device: Device) -> None:
    bearer = device.attach()
    status, connection = services.connect(services.destination.address, bearer, secret="A" * 43)
    connection.close()
    assert status == 407
    status, connection = services.connect(services.destination.address, bearer, method="GET")
    connection.close()
    assert status == 405


@pytest.mark.negative
def test_a_new_bearer_ends_the_one_before(services: AccessServices, device: Device) -> None:
    first, second = device.attach(), device.attach()
    status, connection = services.connect(services.destination.address, first)
    connection.close()
    assert status == 407
    assert get(services, second, "/1")


@pytest.mark.negative
@pytest.mark.requirement("R08")
@pytest.mark.requirement("R89")
def test_a_tunnel_ends_at_the_quota_and_no_other_opens(services: AccessServices) -> None:
    device = Device(services, "device-quota")
    bearer = device.attach()
    assert bearer.quota_bytes == 400_000
    assert len(get(services, bearer, "/1000000")) <= 400_000
    status, connection = services.connect(services.destination.address, bearer)
    connection.close()
    assert status == 410
    with pytest.raises(HttpError) as refused:
        device.attach()
    assert refused.value.problem is not None
    assert refused.value.problem.type == "quota-used"


@pytest.mark.negative
@pytest.mark.requirement("R02")
def test_a_network_without_agreement_is_refused(services: AccessServices) -> None:
    for pcid, digits in (("208010000000001", 2), ("999710000000001", 2), ("001001000000001", 3)):
        with pytest.raises(HttpError) as refused:
            services.vno.attach(nai_of(pcid, mnc_digits=digits))
        assert refused.value.problem is not None
        assert refused.value.problem.type == "no-roaming-agreement"
    with pytest.raises(HttpError) as unknown:
        services.vno.attach(nai_of("999709999999999", mnc_digits=len(MNC)))
    assert unknown.value.problem is not None
    assert unknown.value.problem.type == "identity-unknown"


@pytest.mark.negative
@pytest.mark.requirement("R87")
def test_a_network_gets_vectors_for_itself_only(services: AccessServices, device: Device) -> None:
    assert services.icf("vno-2").authentication_vectors(device.pcid, serving_network="vno-2").vectors
    with pytest.raises(HttpError) as refused:
        services.icf("vno-2").authentication_vectors(device.pcid, serving_network=NETWORK)
    assert refused.value.problem is not None
    assert refused.value.problem.type == "foreign-serving-network"
    with pytest.raises(HttpError, match="403"):
        services.icf("ccif-1").authentication_vectors(device.pcid, serving_network=NETWORK)


@pytest.mark.requirement("R87")
def test_a_usim_that_is_ahead_resynchronises_once(services: AccessServices, device: Device) -> None:
    ahead = SoftwareUsim(device.usim.key, UsimSequence(highest=(1 << 20,) * 32))
    challenge = services.vno.attach(device.identity)
    answer = ahead.answer(challenge.rand, challenge.autn)
    assert isinstance(answer, Resynchronisation)
    again = services.vno.resynchronise(challenge.session, auts=answer.auts)
    bearer = services.vno.respond(again.session, res=ahead.response(again.rand, again.autn))
    assert get(services, bearer, "/1")
    device.usim.sequence = ahead.sequence

    challenge = services.vno.attach(device.identity)
    far = SoftwareUsim(device.usim.key, UsimSequence(highest=(1 << 30,) * 32))
    answer = far.answer(challenge.rand, challenge.autn)
    assert isinstance(answer, Resynchronisation)
    again = services.vno.resynchronise(challenge.session, auts=answer.auts)
    with pytest.raises(HttpError) as refused:
        services.vno.resynchronise(again.session, auts=answer.auts)
    assert refused.value.problem is not None
    assert refused.value.problem.type == "resynchronised-already"
    device.usim.sequence = far.sequence


@pytest.mark.negative
@pytest.mark.requirement("R90")
def test_without_the_drf_there_is_no_bearer(services: AccessServices, device: Device) -> None:
    services.drf.up = False
    try:
        with pytest.raises(HttpError) as refused:
            device.attach()
    finally:
        services.drf.up = True
    assert refused.value.status == 503
    assert device.attach()


@pytest.mark.requirement("R107")
def test_a_bearer_outlives_the_process_and_keys_lie_in_no_database(
    services: AccessServices, device: Device
) -> None:
    bearer = device.attach()
    services.running["vno"].kill()
    services.start_vno()
    assert get(services, bearer, "/1")
    for role in ("icf", "ccif", "vno"):
        stored = b"".join(path.read_bytes() for path in services.folder.glob(f"{role}.db*"))
        for secret in (device.usim.key.k, device.usim.key.opc, bearer.secret.encode()):
            assert secret not in stored, role
            assert secret.hex().encode() not in stored, role


@pytest.mark.negative
@pytest.mark.requirement("R08")
@pytest.mark.requirement("R107")
def test_a_tunnel_ends_with_its_bearer(services: AccessServices) -> None:
    services.running["ccif"].stop()
    services.start_ccif(life_s=3)
    device = Device(services, "device-short")
    bearer = device.attach()
    status, tunnel = services.connect(services.destination.address, bearer)
    assert status == 200
    started = time.monotonic()
    with tunnel:
        assert tunnel.recv(1) == b""
    assert time.monotonic() - started < 10
    status, connection = services.connect(services.destination.address, bearer)
    connection.close()
    assert status == 410


@pytest.mark.negative
@pytest.mark.requirement("R01")
def test_the_drf_is_never_asked_for_vectors(services: AccessServices, device: Device) -> None:
    device.attach()
    assert services.drf.asked == {"POST /v1/attachments"}


def without_log(app: Any) -> list[tuple[str, str, tuple[str, ...]]]:
    """The routes of an application besides those of its audit log."""
    found = own_routes(app)
    assert LOG.items() <= {(method, rule): roles for method, rule, roles in found}.items()
    return [each for each in found if each[:2] not in LOG]


@pytest.mark.requirement("R86")
def test_each_listener_has_its_routes_and_no_other(services: AccessServices) -> None:
    icf = load_settings(IcfSettings, path=services.folder / "icf.toml", environ={})
    ccif = load_settings(CcifSettings, path=services.folder / "ccif.toml", environ={})
    vno = load_settings(VnoSettings, path=services.folder / "vno.toml", environ={})
    engine = engine_for("sqlite://")
    attach = vno_app.build_listener(
        vno,
        store=Store(engine, random_bytes=system_random),
        gateway="gateway.example:443",
        anonymous=AnonymousRefusals(),
    )
    engine.dispose()
    (icf_listener,), (ccif_listener,) = icf_app.build(icf)[0], ccif_app.build(ccif)[0]
    assert without_log(icf_listener.app) == [
        ("POST", "/v1/attachments", ("vno",)),
        ("POST", "/v1/authentication-vectors", ("vno",)),
        ("PUT", "/v1/subscribers/<pcid>", ("ccif",)),
    ]
    assert without_log(ccif_listener.app) == [("POST", "/v1/connectivity", ("es",))]
    assert own_routes(attach.app) == [
        ("POST", "/v1/attach", ("device",)),
        ("POST", "/v1/attach/<session>", ("device",)),
    ]


@pytest.mark.negative
def test_malformed_bodies_are_refused(services: AccessServices, device: Device) -> None:
    vectors = {"pcid": device.pcid, "serving_network": NETWORK}
    attachment = vectors | {"rand": "00" * 16, "expires_at": "2026-01-01T00:00:00Z"}
    terms = {"apn": "a", "destinations": ["drf.example:443"], "quota_bytes": 1, "life_s": 1}
    subscriber = {"k": "00" * 16, "opc": "00" * 16, "amf": "0000", **terms}
    session = "00" * 16
    radio = HttpClient(services.running["vno"].urls["device"])
    vno, ccif = services.http("icf", "vno-1"), services.http("icf", "ccif-1")
    factory = services.http("ccif", "factory")
    calls: list[tuple[HttpClient, str, dict[str, Any]]] = [
        (vno, "/v1/authentication-vectors", vectors | {"more": 1}),
        (vno, "/v1/authentication-vectors", vectors | {"pcid": "12345"}),
        (
            vno,
            "/v1/authentication-vectors",
            vectors | {"resynchronisation": {"rand": "00" * 16, "auts": "00"}},
        ),
        (vno, "/v1/attachments", attachment | {"expires_at": "2026-02-30T00:00:00Z"}),
        (vno, "/v1/attachments", attachment | {"rand": "00"}),
        (factory, "/v1/connectivity", {"device_id": "00", "storage_public": "AA"}),
        (factory, "/v1/connectivity", {"device_id": device.device_id, "storage_public": "A="}),
        (radio, "/v1/attach", {"identity": device.identity, "more": 1}),
        (radio, "/v1/attach", {"identity": device.pcid}),
        (radio, f"/v1/attach/{session}", {}),
        (radio, f"/v1/attach/{session}", {"res": "00" * 8, "auts": "00" * 14}),
        (radio, f"/v1/attach/{session}", {"res": "00" * 16}),
    ]
    for client, path, body in calls:
        with pytest.raises(HttpError) as refused:
            client.post_json(path, body)
        assert refused.value.status == 422, (path, body)
    for pcid, fault in (
        (device.pcid, {"destinations": ["127.1:443"]}),
        (device.pcid, {"apn": ""}),
        (device.pcid, {"k": "00" * 15}),
        ("12345", {}),
        ("9997000000000001", {}),
    ):
        with pytest.raises(HttpError) as refused:
            ccif.put_json(f"/v1/subscribers/{pcid}", subscriber | fault)
        assert refused.value.status == 422, (pcid, fault)
    with pytest.raises(HttpError) as conflict:
        ccif.put_json(f"/v1/subscribers/{device.pcid}", subscriber)
    assert conflict.value.status == 409


@pytest.mark.negative
def test_refusals_of_callers_are_on_record(services: AccessServices, device: Device) -> None:
    with pytest.raises(HttpError, match="itself only"):
        services.icf("vno-2").authentication_vectors(device.pcid, serving_network="vno-9")
    engine = engine_for(f"sqlite:///{services.folder}/icf.db")
    with transaction(engine, write=False) as connection:
        entries = [verify_entry(entry) for entry in icf_schema.ledger.entries(connection)]
    engine.dispose()
    refused = [entry for entry in entries if entry["kind"] == "request-refused"]
    assert refused[-1]["subject"] == "vno:vno-2:vno-2"
    assert refused[-1]["record"]["code"] == "foreign-serving-network"


@pytest.mark.requirement("R95")
@pytest.mark.parametrize(
    ("role", "kind"),
    [("vno", "bearer-opened"), ("icf", "vectors-issued"), ("ccif", "connectivity-issued")],
)
def test_each_role_has_what_it_did_in_a_signed_log(
    services: AccessServices, device: Device, role: str, kind: str
) -> None:
    device.attach()
    log, key = services.log(role)
    for _ in range(200):
        with suppress(HttpError):  # nothing is signed yet
            verified = verify_log(log, key, known=None)
            entries = log.records(first=0)
            if kind in {each.kind for each in entries[: verified.checkpoint.size]}:
                break
        time.sleep(0.05)
    else:
        raise AssertionError(kind)
    assert check_records(log, verified).kept == verified.checkpoint.size
    known, _ = services.log(role, "vno-1")
    assert verify_log(known, key, known=verified.note).checkpoint.size >= verified.checkpoint.size
    with pytest.raises(HttpError) as refused:
        known.records(first=0)
    assert refused.value.status == 403


@pytest.mark.negative
def test_a_vno_keeps_no_log_that_nobody_can_read(services: AccessServices) -> None:
    whole = (services.folder / "vno.toml").read_text()
    without = services.folder / "vno-without.toml"
    without.write_text(whole[: whole.index("[operator]")] + whole[whole.index("[routes") :])
    with pytest.raises(SettingsError, match="the listener where it is read"):
        load_settings(VnoSettings, path=without, environ={})


@pytest.mark.negative
def test_without_its_icf_nobody_attaches(services: AccessServices, device: Device) -> None:
    url = services.running["icf"].urls["operator"]
    services.running["icf"].kill()
    with pytest.raises(HttpError) as refused:
        services.vno.attach(device.identity)
    assert refused.value.status == 503
    assert refused.value.problem is not None
    assert refused.value.problem.type == "home-network-unreachable"
    services.start_icf(port=int(url.rpartition(":")[2]))
    assert device.attach()
