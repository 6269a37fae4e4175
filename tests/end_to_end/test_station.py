"""A day at a station without a network: the real agent and TRE over a TPM, a folder of files, and the CA's own listener."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from ca.callers import Caller
from ca.lifecycle import Status
from ca.tpm_makers import load_tpm_makers
from cli.station_folder import Exchanged, exchange, parts_in
from clients.ca_stations import CaStationClient
from edge.exchange_folder import ExchangeFolder
from edge.http_client import HttpClient, HttpResponse, UnreachableError
from messages.station import Part, StationMessage, file_name
from tests.contract.tpm_devices import REPOSITORY, manufactured
from tests.end_to_end.tre_process import AGENT_UID, ROOT, STRICT, TreProcess, made
from tests.fakes.ca import CaHouse, FrozenClock, batch_of, manifest_of, supplier
from tests.fakes.ca_desk import Desk, clients_of

UID = 60124 if ROOT else AGENT_UID
ACME: Caller = supplier("acme")
KIND = "software process"


class DeskHttp(HttpClient):
    """The operator listener's application in place of a socket."""

    def __init__(self, desk: Desk) -> None:
        """Connect to nothing."""
        self.base_url = "https://ca.example.net"
        self._desk = desk

    def post(
        self,
        path: str,
        body: bytes,
        *,
        content_type: str,
        accept: str = "*/*",  # noqa: ARG002 - the parent's signature
        headers: Mapping[str, str] | None = None,  # noqa: ARG002 - the parent's signature
    ) -> HttpResponse:
        status, answer = self._desk.call("es", "POST", path, body, media_type=content_type)
        assert status == 200, answer
        return HttpResponse(
            status=status, content_type="application/json", body=json.dumps(answer).encode(), headers={}
        )


@dataclass(kw_only=True)
class Line:
    """The supplier's shell: the way to the CA, which may break after the CA has answered."""

    client: CaStationClient
    is_cut: bool = False

    def exchange(self, page: Sequence[StationMessage]) -> tuple[StationMessage, ...]:
        answers = self.client.exchange(page)
        if self.is_cut:
            raise UnreachableError("https://ca.example.net", reason="the line broke")
        return answers


@dataclass(kw_only=True)
class Station:
    """A device at the station, the folder beside it, and the CA far away."""

    device: TreProcess
    house: CaHouse
    line: Line
    folder: ExchangeFolder

    def enroll(self) -> dict[str, Any]:
        """`m2me enroll --station` as the device's own user; the agent's settings name no service at all."""
        config = self.device.folder / "agent.toml"
        config.write_text('tre_socket = "tre.sock"\ntls_root = "none.pem"\n')
        user = ["--user", f"{UID}:{UID}"] if ROOT else []
        program = [sys.executable, "-c", STRICT.format(module="m2me_agent.agent.cli")]
        done = subprocess.run(
            [*program, "enroll", "--station", "station", "--config", str(config), "-o", "json", *user],
            cwd=self.device.run,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert (done.returncode, done.stderr) == (0, ""), done.stdout
        said: dict[str, Any] = json.loads(done.stdout)
        return said

    def carry(self) -> Exchanged:
        """`pva station exchange`."""
        return exchange(self.folder, desk=self.line)

    def break_off(self) -> None:
        """The same, and the answer of the CA is lost on its way."""
        self.line.is_cut = True
        with pytest.raises(UnreachableError):
            self.carry()
        self.line.is_cut = False

    def parts(self) -> set[Part]:
        """What the folder holds of the one device."""
        [parts] = parts_in(self.folder).values()
        return set(parts)


@pytest.fixture
def station(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    state = manufactured(KIND, tmp_path_factory)
    house = CaHouse(clock=FrozenClock(datetime.now(UTC).replace(microsecond=0)))
    house.product_line()
    manifest = replace(manifest_of(), valid_from=None, valid_to=None)
    house.manifests.accept(house.signer("manifest-signing").sign_manifest(manifest), caller=ACME)
    makers = load_tpm_makers(state.parent / "authority", lab=True)
    clients = clients_of(house, tmp_path)
    desk = Desk(house, clients, makers=makers)
    with made((KIND, state), tmp_path) as device:
        root = house.es_root().x509().public_bytes(Encoding.PEM)
        (device.folder / "es.pem").write_bytes(root)
        device.settings["agent_uid"] = UID
        device.start()
        folder = device.run / "station"
        folder.mkdir()
        os.chown(folder, UID, -1)
        yield Station(
            device=device,
            house=house,
            line=Line(client=CaStationClient(DeskHttp(desk))),
            folder=ExchangeFolder(folder),
        )


@pytest.mark.requirement("R25")
@pytest.mark.requirement("R78")
@pytest.mark.requirement("R80")
def test_a_day_at_the_station(station: Station) -> None:
    named = station.enroll()
    assert named["outcome"] == "requested"
    # nobody has listed it yet
    assert station.carry().refused == 1
    told = station.enroll()
    assert (told["outcome"], told["refused_code"]) == ("requested", "ek-not-listed")
    signer, at = station.house.signer("batch-signing"), station.house.clock()
    token = signer.sign_batch(batch_of("acme", named["device_id"], at=at))
    station.house.batches.import_batch(token, caller=ACME)
    # the line breaks after the CA has answered: the request goes once more, and its second challenge counts
    station.break_off()
    assert station.parts() == {Part.REQUEST}
    assert station.carry().challenges == 1
    assert station.carry().sent == 0
    station.house.clock.advance(hours=40)
    assert station.enroll()["outcome"] == "activated"
    activation = station.folder.read(file_name(named["device_id"], Part.ACTIVATION), bytes_max=1 << 16)
    assert station.enroll()["outcome"] == "waiting"
    assert (
        station.folder.read(file_name(named["device_id"], Part.ACTIVATION), bytes_max=1 << 16) == activation
    )
    # it breaks again, when the credential is issued: the same activation gets the same answer
    station.break_off()
    assert station.carry().results == 1
    done = station.enroll()
    assert done["outcome"] == "enrolled"
    assert station.parts() == set(Part) - {Part.REFUSED}
    with station.house.store.reading() as records:
        [issued] = records.certificates_of_device(named["device_id"])
    assert issued.status is Status.GOOD
    assert int(done["serial"], 16) == issued.serial
    # everything once more changes nothing
    assert station.carry().sent == 0
    assert station.enroll()["serial"] == done["serial"]
