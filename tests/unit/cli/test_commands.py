"""The commands, against services that answer from a table."""

import json
import stat
from pathlib import Path
from typing import Any

import click
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from cli.app import main
from cli.batch_feed import is_feed
from edge.http_client import UnreachableError
from edge.keys import load_private_key
from edge.problem_document import Problem
from messages.trust_list import TrustedSupplier, supplier_claims
from standards.pki.oids import hw_type_of_model
from tests.fakes.pki import Authority, p256
from tests.unit.cli.person import Person

ROOT = Authority.root("supplier-1 ES root")
PEM = ROOT.certificate.public_bytes(Encoding.PEM).decode()
ES_ROOT = {"ca_id": "0a" * 16, "supplier": "supplier-1", "hosted": True, "certificate": PEM}
DEVICE = "d1" * 32
REFUSED = Problem(
    status=403,
    type="t",
    title="Forbidden",
    detail="this route serves es",
    subject="me",
    reason="role",
    remedy="r",
)
MANIFEST = {"manifest": "m-1", "digest": "ab" * 32, "svn": 1, "models": ["gateway-1"]}
ENTRY = {"id": "m-1", "supplier": "supplier-1", "svn": 1, "models": ["gateway-1"], "digest": "ab" * 32}
CREDENTIAL = {
    "issuer": "0a" * 16,
    "serial": f"{0xABC:040x}",
    "kind": "platform-credential",
    "device_id": DEVICE,
    "certificate": PEM,
    "status": "revoked",
    "reason": "keyCompromise",
    "revoked_at": "2026-05-01T00:00:00Z",
    "version": 2,
}


PROPOSAL = {
    "digest": "cd" * 32,
    "kind": "recognition",
    "subject": "supplier-1",
    "approvals": [{"by": "admin", "at": "2026-05-01T00:00:00Z"}],
    "done_at": None,
}


def recognised(name: str, *, root: Authority = ROOT, **changed: Any) -> dict[str, Any]:
    """A supplier as the PVA tells of it."""
    listed = TrustedSupplier(
        name=name, root=root.certificate, models={"a": "1.2.3"}, ocsp_url="http://ocsp.example.net"
    )
    return {
        "listed": supplier_claims(listed),
        "source": "",
        "listed_until": None,
        "recognised_by": "admin, admin-2",
        "recognised_at": "2026-05-01T00:00:00Z",
        "suspensions": [],
        "crls": [],
        **changed,
    }


def leaves() -> dict[str, click.Command]:
    return {
        f"{name} {word}": command
        for name, section in main.commands.items()
        if isinstance(section, click.Group)
        for word, command in section.commands.items()
    }


def text_file(folder: Path, name: str, text: str) -> str:
    (folder / name).write_text(text)
    return str(folder / name)


def test_every_command_explains_itself() -> None:
    assert len(leaves()) >= 24
    for name, command in leaves().items():
        assert command.help, name
        for parameter in command.params:
            if isinstance(parameter, click.Option) and not parameter.hidden:
                assert parameter.help or isinstance(parameter.type, click.Choice) or parameter.default, (
                    f"{name} {parameter.name}"
                )


@pytest.mark.negative
def test_no_command_takes_a_secret_among_its_arguments() -> None:
    for name, command in leaves().items():
        for parameter in command.params:
            words = {*parameter.opts, parameter.name or ""}
            if any(word.strip("-").startswith(("pass", "secret", "pin")) for word in words):
                assert isinstance(parameter.type, click.Path), name


def test_suppliers_are_joined_by_name_and_another_root_stands_out(tmp_path: Path) -> None:
    other = recognised("supplier-1", root=Authority.root("another root"))
    person = Person(
        folder=tmp_path,
        given={
            ("GET", "/v1/es-roots"): {"es_roots": [ES_ROOT, {**ES_ROOT, "supplier": "supplier-2"}]},
            ("GET", "/v1/suppliers"): {"suppliers": [other, recognised("supplier-3")]},
        },
    )
    rows = {each["supplier"]: each for each in person.json("supplier", "list")["suppliers"]}
    assert {name: (row["key_kept_by"], row["recognised"]) for name, row in rows.items()} == {
        "supplier-1": ("CA", "another root"),
        "supplier-2": ("CA", "no"),
        "supplier-3": (None, "yes"),
    }


def test_recognition_sends_one_certificate_and_what_it_is_for(tmp_path: Path) -> None:
    answer = PROPOSAL
    person = Person(folder=tmp_path, given={("POST", "/v1/suppliers"): answer})
    root = text_file(tmp_path, "root.pem", PEM)
    words = [
        "supplier",
        "recognise",
        "supplier-1",
        "--root",
        root,
        "--model",
        "a=1.2.3",
        "--model",
        "b=1.2.4",
    ]
    assert person.run(*words, "--ocsp-url", "http://o.example.net").exit_code == 0
    assert json.loads(person.asked[0].body) == {
        "supplier": "supplier-1",
        "root": PEM,
        "models": {"a": "1.2.3", "b": "1.2.4"},
        "ocsp_url": "http://o.example.net",
    }
    two = text_file(tmp_path, "two.pem", PEM + PEM)
    done = person.run(*words[:3], "--root", two, "--model", "a=1.2.3", "--ocsp-url", "http://o.example.net")
    assert done.exit_code == 1
    assert "it holds 2" in done.stderr
    assert len(person.asked) == 1


def test_the_hw_type_of_a_model_comes_from_the_ca_or_from_the_command(tmp_path: Path) -> None:
    line = {
        "ca_id": "0b" * 16,
        "supplier": "supplier-1",
        "name": "line",
        "models": [{"model": "a", "hw_type": 7}],
        "tre_level": 2,
        "state": "active",
        "certificate": PEM,
        "csr": None,
        "es_root": "0a" * 16,
        "es_root_certificate": PEM,
        "crl_url": "http://c.example.net",
        "ocsp_url": "http://o.example.net",
    }
    answer = PROPOSAL
    given = {("GET", "/v1/issuing-cas"): {"issuing_cas": [line]}, ("POST", "/v1/suppliers"): answer}
    person = Person(folder=tmp_path, given=given)
    root = text_file(tmp_path, "root.pem", PEM)
    words = ["supplier", "recognise", "supplier-1", "--root", root, "--ocsp-url", "http://o.example.net"]
    assert person.run(*words, "--model", "a", "--model", "b=1.2.4").exit_code == 0
    sent = json.loads(person.asked[-1].body)
    assert sent["models"] == {"a": hw_type_of_model(7).dotted_string, "b": "1.2.4"}
    done = person.run(*words, "--model", "c")
    assert done.exit_code == 1
    assert "--model c=OID" in done.stderr
    assert len([each for each in person.asked if each.method == "POST"]) == 1


def test_a_refusal_is_printed_with_its_remedy(tmp_path: Path) -> None:
    person = Person(folder=tmp_path, given={("POST", f"/v1/devices/{DEVICE}/reopening"): REFUSED})
    done = person.run("device", "reopen", DEVICE)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == "me: this route serves es [role]\nwhat to do: r\n"
    assert person.json("device", "reopen", DEVICE) == {
        "outcome": "refused",
        "error": {"code": "role", "subject": "me", "reason": "this route serves es", "remedy": "r"},
    }


@pytest.mark.negative
@pytest.mark.parametrize(("failure", "exit_code"), [(REFUSED, 1), (UnreachableError, 4)])
def test_a_manifest_that_only_the_ca_took_says_so_and_how_to_go_on(
    tmp_path: Path, failure: Any, exit_code: int
) -> None:
    given = {("POST", "/v1/manifests"): MANIFEST}
    file = text_file(tmp_path, "m.cose", "signed bytes")
    person = Person(folder=tmp_path, given=given)
    assert person.run("manifest", "import", file, "--to", "ca").exit_code == 0
    assert [(each.host, each.body) for each in person.asked] == [
        ("https://ca.example.net:8443", b"signed bytes")
    ]

    class AnswersByHost(dict[tuple[str, str], Any]):
        """The CA takes it, the PVA does not."""

        def __getitem__(self, key: tuple[str, str]) -> Any:
            return MANIFEST if "//ca." in person.asked[-1].host else failure

    person.given = AnswersByHost()
    done = person.run("manifest", "import", file)
    assert done.exit_code == exit_code
    assert "the CA has taken the manifest already" in done.stderr
    assert f"pva manifest import {file} --to pva" in done.stderr


@pytest.mark.negative
def test_a_manifest_that_the_ca_refuses_does_not_go_to_the_pva(tmp_path: Path) -> None:
    person = Person(folder=tmp_path, given={("POST", "/v1/manifests"): REFUSED})
    done = person.run("manifest", "import", text_file(tmp_path, "m.cose", "x"))
    assert done.exit_code == 1
    assert [each.host for each in person.asked] == ["https://ca.example.net:8443"]


@pytest.mark.negative
def test_an_output_that_exists_is_found_before_anything_is_asked(tmp_path: Path) -> None:
    person = Person(folder=tmp_path)
    there = text_file(tmp_path, "root.pem", "mine")
    for words in (["--out", there], ["--out", str(tmp_path / "no-folder" / "root.pem")]):
        done = person.run("supplier", "open", "supplier-1", *words)
        assert done.exit_code == 2
    assert person.asked == []
    assert (tmp_path / "root.pem").read_text() == "mine"


def test_a_credential_is_named_by_numbers_or_by_files(tmp_path: Path) -> None:
    leaf = ROOT.issue("device", key=p256().public_key(), serial=0xABC)
    files = {"pfc.pem": leaf, "ca.pem": ROOT.certificate}
    for name, certificate in files.items():
        (tmp_path / name).write_bytes(certificate.public_bytes(Encoding.PEM))
    from_files = Person(folder=tmp_path, given={})
    from_files.run("credential", "show", str(tmp_path / "pfc.pem"), "--issuer", str(tmp_path / "ca.pem"))
    route = from_files.asked[0].path
    issuer = route.split("/")[-2]
    assert route.endswith(f"/{0xABC:040x}")
    person = Person(folder=tmp_path, given={("GET", route): {**CREDENTIAL, "issuer": issuer}})
    answer = person.json("credential", "show", "ABC", "--issuer", issuer)
    assert (answer["outcome"], answer["reason"], answer["device_id"]) == ("revoked", "keyCompromise", DEVICE)
    assert answer["revoked_at"] == "2026-05-01T00:00:00Z"


def test_a_hold_is_shown_with_its_results_and_released(tmp_path: Path) -> None:
    issuer, serial = "0a" * 16, f"{0xABC:040x}"
    hold = {
        "results": ["r1", "r2"],
        "asked_by": "pva-1",
        "held_at": "2026-05-01T00:00:00Z",
        "recovery": "r3",
        "recovered_at": "2026-05-02T00:00:00Z",
    }
    held = {**CREDENTIAL, "reason": "certificateHold", "hold": hold}
    good = {**CREDENTIAL, "status": "good", "reason": None, "revoked_at": None, "version": 3}
    person = Person(
        folder=tmp_path,
        given={
            ("GET", f"/v1/platform-credentials/{issuer}/{serial}"): held,
            ("POST", f"/v1/platform-credentials/{serial}/release"): good,
        },
    )
    shown = person.json("credential", "show", "ABC", "--issuer", issuer)
    assert (shown["reason"], shown["hold"]["results"], shown["hold"]["recovery"]) == (
        "certificateHold",
        ["r1", "r2"],
        "r3",
    )
    released = person.json("credential", "release", "ABC", "--issuer", issuer)
    assert (released["outcome"], released["status"], released["version"]) == ("released", "good", 3)
    assert json.loads(person.asked[-1].body) == {"issuer": issuer}


@pytest.mark.negative
@pytest.mark.parametrize(
    "words",
    [
        ("credential", "release", "xyz", "--issuer", "0a" * 16),
        ("credential", "show", "xyz", "--issuer", "0a" * 16),
        ("credential", "show", "1", "--issuer", "0A" * 16),
        ("credential", "show", "1" * 41, "--issuer", "0a" * 16),
        ("credential", "revoke", "1", "--issuer", "0a" * 16, "--reason", "whim"),
        ("device", "reopen", "D1" * 32),
        ("validation", "request", DEVICE),
        ("validation", "request", DEVICE, "--audience", "sho-1", "--nonce", "short"),
        ("validation", "request", DEVICE, "--audience", "sho-1", "--nonce", "A" * 42 + "B"),
        ("issuing-ca", "create", "s", "--name", "n", "--model", "m", "--tre-level", "4"),
        ("supplier", "lsit"),
        ("supplier", "list", "-o", "xml"),
    ],
)
def test_wrong_usage_ends_with_2_and_asks_nobody(tmp_path: Path, words: tuple[str, ...]) -> None:
    person = Person(folder=tmp_path)
    assert person.run(*words).exit_code == 2
    assert person.asked == []


def test_a_validation_asks_on_a_fresh_nonce_and_shows_it(tmp_path: Path) -> None:
    person = Person(folder=tmp_path, given={("POST", "/v1/validations"): {"request_id": "r1"}})
    answer = person.json("validation", "request", DEVICE, "--audience", "sho-1", "--audience", "dpf-1")
    sent = json.loads(person.asked[0].body)
    assert sent["nonce"] == answer["nonce"] == "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc"
    assert (sent["audience"], sent["purpose"]) == (["sho-1", "dpf-1"], "validation")
    own = "_" * 42 + "8"
    person.run("validation", "request", DEVICE, "--audience", "sho-1", "--nonce", own)
    assert json.loads(person.asked[1].body)["nonce"] == own


def test_a_pending_validation_shows_refused_tries_and_fails_who_wants_the_result(tmp_path: Path) -> None:
    tried = {
        "at": "2026-06-01T12:00:00Z",
        "code": "nonce-mismatch",
        "subject": "evidence",
        "reason": "another nonce",
        "remedy": "fetch a new challenge",
        "authenticated": True,
    }
    pending = {"request_id": "r1", "device_id": DEVICE, "state": "pending", "refusals": [tried]}
    person = Person(folder=tmp_path, given={("GET", "/v1/validations/r1"): pending})
    done = person.run("validation", "show", "r1")
    assert done.exit_code == 0
    assert all(part in done.stdout for part in ("pending", "nonce-mismatch", "fetch a new challenge"))
    out = tmp_path / "result.jwt"
    assert person.run("validation", "show", "r1", "--result-out", str(out)).exit_code == 1
    assert not out.exists()


def test_a_tls_certificate_sorts_its_hosts_and_shows_the_digests_of_its_row(tmp_path: Path) -> None:
    key = p256()
    made = ROOT.issue("pva", key=key.public_key()).public_bytes(Encoding.PEM).decode()
    person = Person(folder=tmp_path, given={("POST", "/v1/tls-certificates"): {"certificate": made}})
    text_file(tmp_path, "tls-root.pem", PEM)
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    csr = text_file(tmp_path, "x.csr", request.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode())
    words = ["certificate", "tls", "pva", "--kind", "server", "--csr", csr]
    answer = person.json(*words, "--host", "192.0.2.1", "--host", "pva.example.net", "--host", "2001:db8::1")
    sent = json.loads(person.asked[0].body)
    assert (sent["dns"], sent["ip"]) == (["pva.example.net"], ["192.0.2.1", "2001:db8::1"])
    assert len(answer["issuer_sha256"]) == len(answer["spki_sha256"]) == 64


def test_a_key_is_made_encrypted_with_a_request_that_proves_it(tmp_path: Path) -> None:
    person = Person(folder=tmp_path)
    key, passphrase = tmp_path / "keys" / "a.key", tmp_path / "keys" / "passphrase"
    words = ["key", "create", str(key), "--passphrase-file", str(passphrase), "--csr-out"]
    done = person.run(*words, str(tmp_path / "a.csr"))
    assert done.exit_code == 0, done.output
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    private = load_private_key(key, passphrase_file=passphrase)
    csr = x509.load_pem_x509_csr((tmp_path / "a.csr").read_bytes())
    assert csr.is_signature_valid
    assert csr.public_key() == private.public_key()
    assert passphrase.read_text().strip() not in done.output
    again = person.run(*words, str(tmp_path / "b.csr"))
    assert again.exit_code == 1
    assert "never overwritten" in again.stderr
    assert person.asked == []


@pytest.mark.negative
def test_a_file_of_another_kind_or_size_is_named(tmp_path: Path) -> None:
    person = Person(folder=tmp_path)
    for name, text in (("empty", ""), ("other", "no PEM"), ("large", "x" * (1 << 19))):
        file = text_file(tmp_path, name, text)
        done = person.run("supplier", "import", "supplier-1", "--root", file)
        assert done.exit_code == 1
        assert file in done.stderr
        done = person.run("certificate", "supplier", "s", "--purpose", "batch-signing", "--csr", file)
        assert done.exit_code == 1
        assert file in done.stderr
    assert person.run("supplier", "import", "supplier-1", "--root", str(tmp_path / "none")).exit_code == 1
    assert person.asked == []


@pytest.mark.negative
def test_a_key_without_its_certificate_signs_nothing(tmp_path: Path) -> None:
    person = Person(folder=tmp_path)
    key, passphrase = str(tmp_path / "keys" / "a.key"), str(tmp_path / "keys" / "passphrase")
    person.run("key", "create", key, "--passphrase-file", passphrase, "--csr-out", str(tmp_path / "a.csr"))
    listed = text_file(tmp_path, "list.csv", f"device_id,model,serial\n{DEVICE},gateway-1,a1\n")
    description = text_file(
        tmp_path,
        "m.toml",
        'id = "i"\nsupplier = "s"\nmodels = ["m"]\nsvn = 0\nversion = "v"\n'
        f'[registers.sha256]\n4 = "{"ab" * 32}"\n',
    )
    signer = ["--key", key, "--passphrase-file", passphrase]
    signer += ["--certificate", text_file(tmp_path, "other.pem", PEM), "--out", str(tmp_path / "out")]
    for words in (
        ["batch", "sign", listed, "--batch", "b1", "--supplier", "s"],
        ["manifest", "sign", description],
    ):
        done = person.run(*words, *signer)
        assert done.exit_code == 1
        assert "certificate" in done.stderr
        assert not (tmp_path / "out").exists()


def test_a_feed_is_signed_for_the_list_and_told_from_a_token(tmp_path: Path) -> None:
    person = Person(folder=tmp_path)
    key, passphrase = tmp_path / "keys" / "a.key", tmp_path / "keys" / "passphrase"
    person.run(
        "key", "create", str(key), "--passphrase-file", str(passphrase), "--csr-out", str(tmp_path / "a.csr")
    )
    private = load_private_key(key, passphrase_file=passphrase)
    certificate = Authority.root().issue("signer", key=private.public_key())
    chain = text_file(tmp_path, "chain.pem", certificate.public_bytes(Encoding.PEM).decode())
    listed = text_file(tmp_path, "list.csv", f"device_id,model,serial\n{DEVICE},gateway-1,a1\n")
    signer = ["--key", str(key), "--passphrase-file", str(passphrase), "--certificate", chain]
    feed, token = tmp_path / "b1.feed", tmp_path / "b1.jws"
    for command, out in (("sign-feed", feed), ("sign", token)):
        words = ["batch", command, listed, "--batch", "b1", "--supplier", "s", *signer, "--out", str(out)]
        done = person.run(*words)
        assert done.exit_code == 0, done.output
    assert len(feed.read_bytes().splitlines()) == 2
    assert (is_feed(feed), is_feed(token)) == (True, False)
