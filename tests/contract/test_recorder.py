"""The recorder keeps what passes in clear, in both directions, and changes nothing."""

import json
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

from edge.http_client import HttpClient
from edge.http_server import ServerTls, server_context
from tests.contract.certificates import Certificates

ROOT = Path(__file__).parents[2]
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n\r\nthe-reply"


def test_what_passes_is_kept_and_unchanged(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)
    shutil.copy(tmp_path / "server.pem", tmp_path / "keys")
    side = ServerTls(
        certificate=tmp_path / "server.pem",
        key=tmp_path / "keys" / "server.key",
        passphrase_file=certificates.passphrase,
    )
    asked: list[bytes] = []
    context = server_context(side, name="test")
    with socket.create_server(("127.0.0.1", 0)) as plain:

        def serve_one() -> None:
            connection, _ = plain.accept()
            with context.wrap_socket(connection, server_side=True) as inside:
                asked.append(inside.recv(65536))
                inside.sendall(ANSWER)

        thread = threading.Thread(target=serve_one)
        thread.start()
        command = ["--port", "0", "--to", f"127.0.0.1:{plain.getsockname()[1]}"]
        command += ["--anchors", str(tmp_path / "anchors.pem"), "--server", str(tmp_path / "keys")]
        command += ["--records", str(tmp_path / "records")]
        with subprocess.Popen(
            [sys.executable, "-m", "lab.recorder", *command], cwd=ROOT, stdout=subprocess.PIPE
        ) as recorder:
            assert recorder.stdout is not None
            url = json.loads(recorder.stdout.readline())["listeners"]["device"]
            client = HttpClient(url, tls=certificates.tls(None))
            answer = client.post("/path", b"the-question", content_type="text/plain")
            thread.join(10)
            client.close()
            recorder.send_signal(signal.SIGTERM)
    assert answer.body == b"the-reply"
    (up,), (down,) = (sorted((tmp_path / "records").glob(f"*.{way}")) for way in ("up", "down"))
    assert b"POST /path HTTP/1.1" in up.read_bytes()
    assert up.read_bytes().endswith(b"the-question")
    assert up.read_bytes().startswith(asked[0])
    assert down.read_bytes() == ANSWER
