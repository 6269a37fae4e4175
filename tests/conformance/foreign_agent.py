"""A device agent by somebody else: docs/PROTOCOL.md, tpm2-tools, cbor2 and cryptography, nothing of this project.

Rule: everything here follows from the document. What this agent needed and did not find there is a fault of the
document, not of the agent. It runs with the rights of one user and keeps no secrets apart: it is a test, not a TRE.

    python foreign_agent.py enroll|attest --config FILE     FILE: JSON with the fields of `Settings`

The last line of its output is a JSON object; the exit status is 0, or 1 with a problem document on that line.
"""

import argparse
import base64
import dataclasses
import hashlib
import json
import secrets
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

ARC = "1.2.840.113556.1.8000.2554.33912.61489.9662.18568.43611.380209.7827847"
ENDORSEMENT, OWNER = 0x4000000B, 0x40000001
EK, EK_CERTIFICATE = 0x81010001, 0x01C00002
AK, STORAGE, COUNTER = 0x81010060, 0x81000060, 0x01800050
COUNTER_PUBLIC = bytes.fromhex("01800050000b2204001400000008")
KEPT = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted"
AK_KINDS = {
    "ecdsa-p256": ("ecc256", "ecdsa", "sha256"),
    "ecdsa-p384": ("ecc384", "ecdsa", "sha384"),
    "rsassa": ("rsa2048", "rsassa", "sha256"),
    "rsapss": ("rsa2048", "rsapss", "sha256"),
}
BANKS = {"sha256": 0x000B, "sha384": 0x000C, "sha512": 0x000D}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Where things are; `tcti` is tpm2-tools' own way to name a TPM, files are PEM but the boot log."""

    tcti: str
    ak_kind: str
    folder: str
    ca_url: str
    pva_url: str
    tls_root: str
    es_root: str
    operators_root: str
    boot_log: str


class ProblemError(Exception):
    """A service said no, with a problem document."""


class Tpm:
    """tpm2-tools, one process a command; files lie in a folder of the agent's."""

    def __init__(self, settings: Settings) -> None:
        self.folder = Path(settings.folder)
        self._key, self._scheme, self._hash = AK_KINDS[settings.ak_kind]
        self._environment = {"TPM2TOOLS_TCTI": settings.tcti, "PATH": "/usr/bin:/bin"}

    def run(self, tool: str, *arguments: str) -> bytes:
        """Run a tool in the folder; its standard output."""
        done = subprocess.run(
            [f"tpm2_{tool}", *arguments],
            cwd=self.folder,
            env=self._environment,
            capture_output=True,
            check=False,
            timeout=60,
        )
        if done.returncode != 0:
            raise RuntimeError(f"tpm2_{tool}: {done.stderr.decode(errors='replace')}")
        return done.stdout

    def read(self, name: str) -> bytes:
        """Content of a file that a tool wrote."""
        return (self.folder / name).read_bytes()

    def public(self, handle: int) -> bytes:
        """TPMT_PUBLIC of a persistent object; the tool writes it with the size of a TPM2B in front."""
        self.run("readpublic", "-c", hex(handle), "-o", "public")
        return self.read("public")[2:]

    def spki(self, handle: int) -> bytes:
        """DER SubjectPublicKeyInfo of a persistent object."""
        self.run("readpublic", "-c", hex(handle), "-f", "der", "-o", "public.der")
        key = load_der_public_key(self.read("public.der"))
        return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def make_keys(self, auth: str) -> None:
        """AK, storage key and generation counter, as section 1 wants them."""
        kinds = (
            ("e", f"{self._key}:{self._scheme}-{self._hash}:null", f"{KEPT}|sign", AK),
            ("o", "ecc256:aes128cfb", f"{KEPT}|decrypt", STORAGE),
        )
        for hierarchy, algorithm, attributes, handle in kinds:
            arguments = ["-C", hierarchy, "-g", "sha256", "-G", algorithm, "-a", attributes, "-p", auth]
            self.run("createprimary", *arguments, "-c", "made.ctx")
            self.run("evictcontrol", "-C", "o", "-c", "made.ctx", hex(handle))
            self.run("flushcontext", "-t")
        counter = "nt=counter|authread|authwrite|no_da"
        self.run("nvdefine", hex(COUNTER), "-C", "o", "-g", "sha256", "-a", counter, "-s", "8", "-p", auth)
        self.run("nvincrement", hex(COUNTER), "-C", hex(COUNTER), "-P", auth)

    def activate(self, id_object: bytes, encrypted_secret: bytes, *, auth: str) -> bytes:
        """TPM2_ActivateCredential; the tool's file has a header and puts both in TPM2Bs."""
        tagged = b"".join(len(each).to_bytes(2, "big") + each for each in (id_object, encrypted_secret))
        (self.folder / "credential").write_bytes(bytes.fromhex("badcc0de00000001") + tagged)
        self.run("startauthsession", "--policy-session", "-S", "session.ctx")
        self.run("policysecret", "-S", "session.ctx", "-c", "e")
        files = ["-i", "credential", "-o", "secret"]
        self.run(
            "activatecredential",
            "-c",
            hex(AK),
            "-C",
            hex(EK),
            *files,
            "-p",
            auth,
            "-P",
            "session:session.ctx",
        )
        self.run("flushcontext", "session.ctx")
        return self.read("secret")

    def quote(self, selection: dict[str, list[int]], *, extra_data: bytes, auth: str) -> tuple[bytes, bytes]:
        """TPMS_ATTEST and TPMT_SIGNATURE of a quote."""
        banks = sorted(selection, key=lambda name: BANKS[name])
        chosen = "+".join(f"{bank}:{','.join(map(str, selection[bank]))}" for bank in banks)
        files = ["-m", "attest", "-s", "signature"]
        data = ["-l", chosen, "-q", extra_data.hex(), "-g", self._hash, "--scheme", self._scheme]
        self.run("quote", "-c", hex(AK), "-p", auth, *data, *files)
        return self.read("attest"), self.read("signature")

    def pcr_values(self, selection: dict[str, list[int]]) -> dict[int, dict[int, bytes]]:
        """Values by bank and index."""
        values: dict[int, dict[int, bytes]] = {}
        for bank, indices in selection.items():
            self.run("pcrread", f"{bank}:{','.join(map(str, indices))}", "-o", "pcrs")
            content = self.read("pcrs")
            size = len(content) // len(indices)
            values[BANKS[bank]] = {
                index: content[place * size : (place + 1) * size] for place, index in enumerate(indices)
            }
        return values

    def certify_storage_key(self, *, extra_data: bytes, auth: str) -> tuple[bytes, bytes]:
        """TPM2_Certify, sent as bytes: the tool has no qualifying data to give (Part 3, TPM2_Certify)."""
        password = bytes.fromhex("40000009000001") + len(auth).to_bytes(2, "big") + auth.encode()
        body = STORAGE.to_bytes(4, "big") + AK.to_bytes(4, "big")
        body += (2 * len(password)).to_bytes(4, "big") + 2 * password
        body += len(extra_data).to_bytes(2, "big") + extra_data + bytes.fromhex("0010")
        command = (
            bytes.fromhex("8002") + (10 + len(body)).to_bytes(4, "big") + bytes.fromhex("00000148") + body
        )
        (self.folder / "command").write_bytes(command)
        self.run("send", "-o", "response", "command")
        response = self.read("response")
        if response[6:10] != bytes(4):
            raise RuntimeError(f"TPM2_Certify: response code {response[6:10].hex()}")
        end = 14 + int.from_bytes(response[10:14], "big")
        size = int.from_bytes(response[14:16], "big")
        return response[16 : 16 + size], response[16 + size : end]

    def certify_counter(self, *, extra_data: bytes, auth: str) -> tuple[bytes, bytes]:
        """TPM2_NV_Certify of the whole counter."""
        whole = ["--size", "8", "--offset", "0", "-q", extra_data.hex()]
        keys = ["-C", hex(AK), "-P", auth, "-c", hex(COUNTER), "-p", auth]
        scheme = ["-g", self._hash, "-s", self._scheme]
        files = ["--attestation", "attest", "-o", "signature"]
        self.run("nvcertify", *keys, *whole, *scheme, *files, hex(COUNTER))
        return self.read("attest"), self.read("signature")


def encode(value: Any) -> bytes:
    """Deterministic CBOR; with keys of one type, sorting by length first is the same order."""
    return cbor2.dumps(value, canonical=True)


def extra_data(label: str, nonce: bytes, body: bytes) -> bytes:
    """Section 2."""
    return hashlib.sha256(encode([label, nonce, hashlib.sha256(body).digest()])).digest()


def post(url: str, body: bytes, content_type: str, *, settings: Settings) -> bytes:
    """One exchange of section 6."""
    request = urllib.request.Request(url, data=body, headers={"Content-Type": content_type})  # noqa: S310 - https
    context = ssl.create_default_context(cafile=settings.tls_root)
    try:
        with urllib.request.urlopen(request, context=context, timeout=30) as answer:  # noqa: S310 - https
            return bytes(answer.read())
    except urllib.error.HTTPError as error:
        raise ProblemError(error.read().decode()) from None


def unpadded(text: str) -> bytes:
    """Base64url without padding."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def verify_challenge(token: str, *, settings: Settings, device_id: str) -> dict[str, Any]:
    """Section 4.1; this agent has a wall clock, and remembers nothing of earlier challenges."""
    header, payload, signature = token.split(".")
    fields, claims = json.loads(unpadded(header)), json.loads(unpadded(payload))
    path = [x509.load_der_x509_certificate(base64.b64decode(each)) for each in fields["x5c"]]
    root = x509.load_pem_x509_certificate(Path(settings.operators_root).read_bytes())
    for certificate, issuer in zip(path, [*path[1:], root], strict=True):
        certificate.verify_directly_issued_by(issuer)
    purposes = path[0].extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    role = path[0].extensions.get_extension_for_oid(x509.ObjectIdentifier(f"{ARC}.3.2")).value
    key, raw = path[0].public_key(), unpadded(signature)
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(role, x509.UnrecognizedExtension):
        raise TypeError("the challenge's certificate is of another kind")
    der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    key.verify(der, f"{header}.{payload}".encode(), ec.ECDSA(SHA256()))
    accepted = {
        "type": (fields["typ"], fields["alg"]) == ("pva-challenge+jwt", "ES256"),
        "purpose of the key": x509.ObjectIdentifier(f"{ARC}.1.3") in purposes,
        "role": role.value[2:7] == b"\x0c\x03pva",
        "device": claims["sub"] == device_id,
        "purpose": claims["pva_purpose"] == "validation",
        "time": claims["iat"] - 60 <= time.time() < claims["exp"],
    }
    if not all(accepted.values()):
        raise ValueError(f"challenge not accepted: {[each for each, right in accepted.items() if not right]}")
    return dict(claims)


def context_of(claims: dict[str, Any]) -> bytes:
    """Section 4.2, body."""
    selection = {BANKS[bank]: indices for bank, indices in claims["pva_pcr_select"].items()}
    body = {
        1: claims["pva_purpose"],
        2: bytes.fromhex(claims["sub"]),
        4: selection,
        5: unpadded(claims["pva_rp_nonce"]),
        6: claims["pva_request_id"],
    }
    if "pva_order_digest" in claims:
        body[3] = bytes.fromhex(claims["pva_order_digest"])
    return encode(body)


def enroll(settings: Settings) -> dict[str, Any]:
    """Section 3."""
    tpm, auth = Tpm(settings), secrets.token_hex(16)
    (tpm.folder / "auth").write_text(auth)
    tpm.make_keys(auth)
    certificate = tpm.run("nvread", "-C", hex(OWNER), hex(EK_CERTIFICATE))
    keys = [tpm.public(EK), tpm.public(AK), tpm.public(STORAGE), COUNTER_PUBLIC]
    request = {1: [certificate], 2: keys[0], 3: keys[1], 4: keys[2], 5: keys[3]}
    url = f"{settings.ca_url}/v1/enrolments"
    challenge = cbor2.loads(post(url, encode(request), "application/cbor", settings=settings))
    secret = tpm.activate(challenge[2], challenge[3], auth=auth)
    data = extra_data("pva/key/1", challenge[4], encode(keys))
    storage = tpm.certify_storage_key(extra_data=data, auth=auth)
    counter = tpm.certify_counter(extra_data=data, auth=auth)
    activation = {1: challenge[1], 2: secret, 3: dict(enumerate(storage, 1)), 4: dict(enumerate(counter, 1))}
    answer = post(f"{url}/activation", encode(activation), "application/cbor", settings=settings)
    chain = cbor2.loads(answer)[1]
    credential = checked_credential(chain, settings=settings, ak_spki=tpm.spki(AK))
    (tpm.folder / "credential.cbor").write_bytes(encode(chain))
    device_id = hashlib.sha256(tpm.spki(EK)).hexdigest()
    return {"outcome": "enrolled", "device_id": device_id, "serial": f"{credential.serial_number:040x}"}


def checked_credential(chain: list[bytes], *, settings: Settings, ak_spki: bytes) -> x509.Certificate:
    """The PfC, which is over this AK and leads to the ES root of the image."""
    path = [x509.load_der_x509_certificate(each) for each in chain]
    root = x509.load_pem_x509_certificate(Path(settings.es_root).read_bytes())
    for certificate, issuer in zip(path, [*path[1:], root], strict=True):
        certificate.verify_directly_issued_by(issuer)
    spki = path[0].public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if spki != ak_spki:
        raise ValueError("the credential is over another key than the AK")
    return path[0]


def attest(settings: Settings) -> dict[str, Any]:
    """Section 4."""
    tpm = Tpm(settings)
    auth, device_id = tpm.read("auth").decode(), hashlib.sha256(tpm.spki(EK)).hexdigest()
    asked = json.dumps({"device_id": device_id}).encode()
    answer = post(f"{settings.pva_url}/v1/challenges", asked, "application/json", settings=settings)
    token = json.loads(answer)["challenge"]
    evidence = encode(evidence_for(token, tpm=tpm, settings=settings, auth=auth, device_id=device_id))
    record = encode(["application/vnd.openpva.evidence+cbor", evidence])
    result = post(f"{settings.pva_url}/v1/evidence", record, "application/cbor", settings=settings)
    return {"outcome": json.loads(result)["status"], **json.loads(result)}


def evidence_for(token: str, *, tpm: Tpm, settings: Settings, auth: str, device_id: str) -> dict[int, Any]:
    """Section 4.3."""
    claims = verify_challenge(token, settings=settings, device_id=device_id)
    nonce, body, selection = unpadded(claims["nonce"]), context_of(claims), claims["pva_pcr_select"]
    attested, signature = tpm.quote(
        selection, extra_data=extra_data("pva/evidence/1", nonce, body), auth=auth
    )
    key_data = extra_data("pva/key/1", nonce, body)
    storage = tpm.certify_storage_key(extra_data=key_data, auth=auth)
    counter = tpm.certify_counter(extra_data=key_data, auth=auth)
    return {
        1: token,
        2: body,
        3: attested,
        4: signature,
        5: cbor2.loads(tpm.read("credential.cbor")),
        6: tpm.pcr_values(selection),
        7: Path(settings.boot_log).read_bytes(),
        9: dict(enumerate((tpm.public(STORAGE), *storage), 1)),
        10: dict(enumerate((COUNTER_PUBLIC, *counter), 1)),
        11: tpm.public(AK),
    }


def main() -> None:
    """Do one of the two, say how it went."""
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["enroll", "attest"])
    parser.add_argument("--config", type=Path, required=True)
    chosen = parser.parse_args()
    settings = Settings(**json.loads(chosen.config.read_text()))
    try:
        said = {"enroll": enroll, "attest": attest}[chosen.command](settings)
    except ProblemError as problem:
        sys.stdout.write(f"{problem}\n")
        sys.exit(1)
    sys.stdout.write(json.dumps(said) + "\n")


if __name__ == "__main__":
    main()
