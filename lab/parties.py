"""The people of the lab, each with his own certificate and keys: administrator, supplier, operator.

Rule: a party does only what its role may do over the services' operator listeners; nothing is written into a
service's store behind its back.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from clients.ca import CaOperatorClient
from clients.pva import PvaOperatorClient, ValidationProgress
from clients.pva_suppliers import PvaSupplierClient
from edge.process import system_clock, system_random
from lab.identities import PVA_ISSUER
from lab.keyring import SigningKey, make_key, request_for
from lab.services import Services
from messages.batch import BATCH_TYPE, BatchDevice, BatchList
from standards.pki import oids
from standards.pki.fingerprints import ca_id, decode_pem_certificates
from standards.pki.jws import sign_jws, verify_jws
from standards.rats.corim import Manifest, sign_manifest
from standards.rats.ear import RESULT_TYPE, AttestationResult, read_claims

NONCE_BYTES = 32
TRE_LEVEL = 2


class ResultError(Exception):
    """A signed result is genuine, but not the answer to what the operator asked."""


class Administrator:
    """Runs CA and PVA: registers suppliers, certifies services, recognises roots."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._ca = CaOperatorClient(services.http("ca", "operator", services.identity("admin")))
        self._second = CaOperatorClient(services.http("ca", "operator", services.identity("admin-2")))

    def open_supplier(self, supplier: str, *, line: str, models: Sequence[str]) -> x509.Certificate:
        """A hosted ES root and an issuing CA of one product line; the root's certificate."""
        root = self._ca.create_es_root(supplier)
        self._ca.create_issuing_ca(supplier, name=line, models=models, tre_level=TRE_LEVEL)
        return root.certificate

    def certify(self, folder: str, *, role: str, service: str, purposes: Sequence[str]) -> None:
        """Make and certify the signing keys of a service, one a purpose, in its own folder."""
        place = self._services.site.role(folder)
        for purpose in purposes:
            csr = request_for(make_key(place, purpose))
            for administrator in (self._ca, self._second):
                made = administrator.certify_operator(role, service=service, purpose=purpose, csr=csr)
                if isinstance(made, x509.Certificate):
                    (place / f"{purpose}.pem").write_bytes(made.public_bytes(Encoding.PEM))
                    break

    def recognise(self, supplier: str, *, root: x509.Certificate, models: Sequence[str]) -> None:
        """Tell the PVA, both administrators, that this supplier's root may vouch for these models."""
        pem = root.public_bytes(Encoding.PEM).decode()
        allotted = {
            name: hw_type
            for line in self._ca.issuing_cas()
            if line.supplier == supplier
            for name, hw_type in line.hw_types.items()
        }
        permitted = {model: allotted[model] for model in models}
        for name in ("admin", "admin-2"):
            pva = PvaSupplierClient(self._services.http("pva", "operator", self._services.identity(name)))
            pva.recognise(supplier=supplier, root_pem=pem, models=permitted, ocsp_url=self._services.ocsp_url)


def approve_manifest(services: Services, signed: bytes) -> None:
    """Both administrators approve a manifest by its digest: before, nobody is judged by it (D7)."""
    digest = hashlib.sha256(signed).hexdigest()
    for name in ("admin", "admin-2"):
        PvaOperatorClient(services.http("pva", "operator", services.identity(name))).approve_manifest(digest)


class Supplier:
    """An equipment supplier: signs manifests and batches with keys of its own, revokes its devices."""

    def __init__(self, name: str, services: Services) -> None:
        self.name = name
        self._services = services
        self._ca = CaOperatorClient(services.http("ca", "operator", services.identity(name)))
        self._keys: dict[str, SigningKey] = {}

    def make_signing_keys(self) -> None:
        """Two keys in the supplier's folder, certified under its root: for manifests and for batches."""
        for purpose in ("manifest-signing", "batch-signing"):
            key = make_key(self._services.site.role(self.name), purpose)
            made = self._ca.certify_supplier(self.name, purpose=purpose, csr=request_for(key))
            self._keys[purpose] = SigningKey(key=key, chain=(made,))

    def sign(self, manifest: Manifest) -> bytes:
        """The manifest as a signed CoRIM."""
        signer = self._keys["manifest-signing"]
        return sign_manifest(manifest, key=signer.key, chain=signer.chain)

    def publish(self, signed_manifest: bytes, *, to_pva: bool = True) -> None:
        """Give the CA the manifest that new credentials name, and the PVA the same to appraise with."""
        self._ca.accept_manifest(signed_manifest)
        if to_pva:
            pva = PvaOperatorClient(
                self._services.http("pva", "operator", self._services.identity(self.name))
            )
            pva.import_manifest(signed_manifest)

    def announce(self, batch: str, devices: Sequence[BatchDevice]) -> int:
        """Send the signed list of a batch's endorsement keys; how many devices the CA took."""
        signer = self._keys["batch-signing"]
        listed = BatchList(batch=batch, supplier=self.name, issued_at=_now(), devices=tuple(devices))
        token = sign_jws(listed.claims(), key=signer.key, chain=signer.chain, typ=BATCH_TYPE)
        return self._ca.import_batch(token).devices

    def say(self, claims: Mapping[str, Any], *, typ: str) -> str:
        """A signed word about its devices: an ownership record, or their policy."""
        signer = self._keys["batch-signing"]
        return sign_jws(dict(claims), key=signer.key, chain=signer.chain, typ=typ)

    def credential(self, serial: int) -> tuple[x509.Certificate, x509.Certificate]:
        """A Platform Credential of its own and the certificate of its issuing CA."""
        for issuer in self._ca.issuing_cas():
            if issuer.certificate is not None:
                issued = self._ca.platform_credential(issuer.ca_id, serial)
                return issued.certificate, issuer.certificate
        raise LookupError(f"{self.name} has no active issuing CA")

    def revoke(self, pfc: x509.Certificate, *, issuer: x509.Certificate, reason: str) -> None:
        """Revoke a Platform Credential of its own."""
        self._ca.revoke_platform_credential(ca_id(issuer), pfc.serial_number, reason=reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A validation that an operator asked for, and the nonce that its result must carry."""

    request_id: str
    device_id: str
    nonce: bytes


class Operator:
    """A selected home operator (SHO): asks for validations, and believes only what it verifies itself."""

    def __init__(self, name: str, services: Services) -> None:
        self.name = name
        self._pva = PvaOperatorClient(services.http("pva", "operator", services.identity(name)))
        self._anchors = decode_pem_certificates(services.operators_root.read_bytes())
        self.questions: list[Question] = []

    def ask(self, device_id: str) -> Question:
        """Ask the PVA to validate a device."""
        nonce = system_random(NONCE_BYTES)
        request_id = self._pva.request_validation(
            device_id=device_id, nonce=nonce, audience=[self.name, "dpf-1"]
        )
        question = Question(request_id=request_id, device_id=device_id, nonce=nonce)
        self.questions.append(question)
        return question

    def explanation(self, question: Question) -> Mapping[str, Any]:
        """Why it ended as it did, as the PVA's answer says it."""
        return self._pva.explanation(question.request_id).whole

    def progress(self, question: Question) -> ValidationProgress:
        """What came of it so far."""
        return self._pva.validation(question.request_id)

    def verify(self, token: str, question: Question) -> AttestationResult:
        """The result, if it is the PVA's, for this operator, on this nonce, about this device, and in time.

        Raises:
            PkiError: not signed for this purpose under the operators' root.
            RatsError: not an attestation result.
            ResultError: a genuine result, but another one.
        """
        now = system_clock()
        verified = verify_jws(
            token, anchors=self._anchors, eku=oids.EKU_ATTESTATION_RESULT, typ=RESULT_TYPE, at=now
        )
        result = read_claims(verified.claims)
        expected: dict[str, tuple[Any, Any]] = {
            "nonce": (result.nonce, question.nonce),
            "device": (result.device_id, question.device_id),
            "issuer": (result.issuer, PVA_ISSUER),
        }
        wrong = [name for name, (got, wanted) in expected.items() if got != wanted]
        if wrong or self.name not in result.audience or not result.issued_at <= now < result.expires_at:
            raise ResultError(
                f"the result answers another question: {', '.join(wrong) or 'audience or time'}"
            )
        return result


def _now() -> datetime:
    return system_clock().replace(microsecond=0)
