"""A whole product line gets new Platform Credentials for a new manifest, over the keys that it has (R82, D1).

    1 page of devices   up to 1,000 by device id, from where the last page ended
    2 intents           one transaction: who gets one, under which serial number
    3 signatures        outside of any transaction, from one stencil for each CRL of the CA
    4 certificates      one transaction: certificates, status and feed rows, audit leaves, all or none

The one rule: what leaves this room was in the books as an intent before it was signed, and is in them as a certificate
before anybody hears of it. A process that is killed between 2 and 4 leaves intents, serial numbers under which nothing was
issued: they have no status, so no responder ever calls them good. The same page again issues what is still due.
The old credential stays good to the end of its manifest's window, as with `ca.renewal`: the new one is noted as what took its
place. Where the new manifest does not follow the old one's, nothing is noted, and the old one stays.
A credential that was held, or revoked between 2 and 4, keeps its device out: statuses are looked at again in 4.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from typing import Any, Final, Protocol

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from ca.callers import Caller
from ca.errors import ConflictError, NotFoundError
from ca.issuance import issue
from ca.key_algorithms import SubjectKey
from ca.lifecycle import AuthorityState, Reason, Status
from ca.manifest_line import windows_before
from ca.profiles import Kind
from ca.races import repeated
from ca.records import (
    Authority,
    Intent,
    LineCredential,
    LineDevice,
    ManifestRecord,
    Model,
    Renewal,
    Signed,
    serial_text,
)
from ca.signing import Signing
from ca.stencils import Filling, Stencil, full_serial, p256_spki
from ca.template import Issuer, Template
from edge.process import Clock, RandomBytes
from standards.pki import oids
from standards.pki.extensions import ExpectedSystemState, HardwareModuleName
from standards.pki.fingerprints import certificate_der

PAGE_MAX: Final = 1_000
PVA: Final = "pva"


class LineRecords(Protocol):
    """Port to a product line and to what is issued to it."""

    def authority(self, ca_id: str) -> Authority | None:
        """The CA with this id."""

    def model(self, supplier: str, model: str) -> Model | None:
        """The model of this name."""

    def current_manifest(self, supplier: str, model: str) -> ManifestRecord | None:
        """The manifest that new PfCs of this model name."""

    def manifest_of_digest(self, digest: bytes) -> ManifestRecord | None:
        """The accepted manifest with this digest of its signed form."""

    def line_devices(self, supplier: str, model: str, *, after: str, limit: int) -> list[LineDevice]:
        """Enrolled devices of a model whose id is above `after`, by id, at most `limit`, with their PfCs."""

    def status_counted(self) -> int:
        """The last number that a change of some status took: as long as it stands, no status has changed."""

    def record_intents(self, intents: Sequence[Intent]) -> None:
        """Reserve (CA, serial) of each before anything is signed."""

    def record_certificates(self, signed: Sequence[Signed], *, at: datetime) -> None:
        """Complete the intents with what was signed; the first status of each is good, and in the feed."""

    def note_reissues(self, manifest_digest: bytes, issued: Mapping[str, Signed]) -> None:
        """Note for each device id what it got under a manifest; a second time is an IntegrityError."""

    def add_renewals(self, renewals: Sequence[Renewal]) -> None:
        """Record what takes the place of credentials; a second one for the same is an IntegrityError."""

    def audit_all(self, *, kind: str, records: Sequence[tuple[str, dict[str, Any]]], at: datetime) -> None:
        """Add a leaf of one kind for each (subject, record)."""


class LineStore(Protocol):
    """Port to transactions over it."""

    def writing(self) -> AbstractContextManager[LineRecords]:
        """A transaction that is committed when the block ends and rolled back when it raises."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reissue:
    """What is asked for: the line of a model under the manifest that is current for it."""

    supplier: str
    model: str
    manifest_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What came of a page: device id -> (ca_id, serial); how many were left out and why; where to go on, or None."""

    issued: Mapping[str, Signed]
    left_out: Mapping[str, int]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """The line as it stood in the first transaction; `windows` by the digests of the manifest's predecessors."""

    model: Model
    issuer: Authority
    manifest: ManifestRecord
    counted: int
    windows: Mapping[bytes, datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkIssuance:
    """The use case."""

    store: LineStore
    signing: Signing
    clock: Clock

    @repeated
    def reissue(self, asked: Reissue, *, after: str = "", limit: int = PAGE_MAX, caller: Caller) -> Page:
        """Issue one page of the line, for its supplier, a PVA or an administrator; then go on with `next`.

        Raises NotPermittedError, NotFoundError or ConflictError: nothing is issued.
        """
        at, limit = self.clock(), max(1, min(limit, PAGE_MAX))
        # 1 the line's own supplier, or a PVA
        if caller.role != PVA:
            caller.speak_for(asked.supplier, subject=f"model {asked.model}")
        with self.store.writing() as records:
            # 2 an issuing CA that signs, and the manifest that is current and in its window
            line = _line(records, asked, at=at)
            issuer = self.signing.issuer(line.issuer)
            # 3 who is due, one by one
            page = records.line_devices(asked.supplier, asked.model, after=after, limit=limit)
            due, left_out = _due(page, line.manifest)
            # 4 intents; this commit comes before any signature
            intents = {name: self._intent(each, line=line, at=at) for name, each in due.items()}
            if intents:
                records.record_intents(list(intents.values()))
        going_on = page[-1].device_id if len(page) == limit else None
        if not intents:
            return Page(issued={}, left_out=left_out, next=going_on)
        # 5 sign
        signed = self._sign(due, intents, line=line, issuer=issuer)
        with self.store.writing() as records:
            # 6 still due, whatever happened meanwhile
            if records.status_counted() != line.counted:
                again = records.line_devices(asked.supplier, asked.model, after=after, limit=limit)
                still, left_out = _due(again, line.manifest)
                signed = {each: made for each, made in signed.items() if each in still}
            # 7 certificates, status, feed, audit leaves
            if signed:
                records.record_certificates(list(signed.values()), at=at)
                records.note_reissues(line.manifest.digest, signed)
                records.add_renewals(_renewals(signed, due, line=line, at=at))
                records.audit_all(
                    kind="certificate-issued", records=_leaves(signed, line=line, caller=caller), at=at
                )
        return Page(issued=signed, left_out=left_out, next=going_on)

    def _intent(self, due: "_Due", *, line: _Line, at: datetime) -> Intent:
        serial = full_serial(self.signing.random_bytes)
        return Intent(
            ca_id=line.issuer.ca_id,
            serial=serial,
            kind=Kind.PLATFORM_CREDENTIAL,
            subject=due.device_id,
            spki_sha256=due.spki_sha256,
            issued_at=at,
            supplier=line.model.supplier,
            device_id=due.device_id,
            ak_name=due.ak_name,
            crl_partition=line.issuer.crl_partition(serial),
        )

    def _sign(
        self, due: Mapping[str, "_Due"], intents: Mapping[str, Intent], *, line: _Line, issuer: Issuer
    ) -> dict[str, Signed]:
        """What was intended, signed, each with the places of its own CRL."""
        signed: dict[str, Signed] = {}
        presses: dict[int, _Press] = {}
        for name, intent in intents.items():
            press = presses.get(intent.crl_partition)
            if press is None:
                places = self.signing.places(intent.ca_id, partition=intent.crl_partition)
                press = presses[intent.crl_partition] = _Press(
                    replace(issuer, places=places), line=line, random_bytes=self.signing.random_bytes
                )
            der, not_after = press.issue(due[name], intent)
            signed[name] = Signed(ca_id=intent.ca_id, serial=intent.serial, der=der, not_after=not_after)
        return signed


class _Press:
    """Signs what belongs to one CRL of an issuing CA: by a stencil that is made when it is first of use."""

    def __init__(self, issuer: Issuer, *, line: _Line, random_bytes: RandomBytes) -> None:
        self._issuer = issuer
        self._line = line
        self._random_bytes = random_bytes
        self._stencil: Stencil | None = None

    def issue(self, due: "_Due", intent: Intent) -> tuple[bytes, datetime]:
        """The certificate, DER, and its end; over keys that no stencil takes (RSA, P-384) by the usual way."""
        at = intent.issued_at
        spki = p256_spki(due.der, spki_sha256=due.spki_sha256)
        if spki is None:
            made = issue(_template(due, self._line), issuer=self._issuer, serial=intent.serial, at=at)
            return certificate_der(made), made.not_valid_after_utc
        if self._stencil is None:
            template = _template(due, self._line)
            self._stencil = Stencil(template, issuer=self._issuer, at=at, random_bytes=self._random_bytes)
        device_id = bytes.fromhex(due.device_id)
        filling = Filling(serial=intent.serial, spki=spki, device_id=device_id)
        return self._stencil.issue(filling), self._stencil.not_after


@dataclass(frozen=True, slots=True, kw_only=True)
class _Due:
    """A device that gets a new credential over the key of its present one (CA, serial)."""

    device_id: str
    ca_id: str
    serial: int
    ak_name: bytes
    spki_sha256: str
    der: bytes

    def key(self) -> SubjectKey:
        """The key of its present credential, decoded."""
        key = x509.load_der_x509_certificate(self.der).public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
            raise TypeError(f"a credential of {self.device_id} is over a key that no AK here has")
        return key


def _line(records: LineRecords, asked: Reissue, *, at: datetime) -> _Line:
    model = records.model(asked.supplier, asked.model)
    if model is None:
        raise NotFoundError(
            "no-such-model",
            subject=f"model {asked.model[:64]}",
            detail=f"no issuing CA of {asked.supplier!r} certifies this model",
            remedy="name supplier and model as `pva issuing-ca list` shows them",
        )
    issuer = records.authority(model.ca_id)
    if issuer is None or issuer.state is not AuthorityState.ACTIVE:
        raise _not_ready(asked, "no-issuing-ca", "there is no active issuing CA for this model")
    manifest = records.current_manifest(asked.supplier, asked.model)
    if manifest is None or manifest.manifest_id != asked.manifest_id:
        current = "there is none" if manifest is None else f"it is {manifest.manifest_id!r}"
        raise _not_ready(
            asked, "manifest-not-current", f"{asked.manifest_id!r} is not its manifest: {current}"
        )
    early = manifest.not_before is not None and at < manifest.not_before
    late = manifest.not_after is not None and at > manifest.not_after
    if early or late:
        raise _not_ready(asked, "manifest-not-valid", f"{manifest.manifest_id!r} is not valid now")
    return _Line(
        model=model,
        issuer=issuer,
        manifest=manifest,
        counted=records.status_counted(),
        windows=windows_before(records, manifest),
    )


def _renewals(
    signed: Mapping[str, Signed], due: Mapping[str, _Due], *, line: _Line, at: datetime
) -> list[Renewal]:
    """What took the place of what, where the old credential names a manifest that the new one follows."""
    found: list[Renewal] = []
    for device_id, made in signed.items():
        old = due[device_id]
        # a SHA-256 stands in a certificate by no accident
        ends_at = next((until for digest, until in line.windows.items() if digest in old.der), None)
        if ends_at is not None:
            found.append(
                Renewal(
                    ca_id=old.ca_id,
                    serial=old.serial,
                    new_ca_id=made.ca_id,
                    new_serial=made.serial,
                    manifest_digest=line.manifest.digest,
                    ends_at=ends_at,
                    renewed_at=at,
                )
            )
    return found


def _due(page: Sequence[LineDevice], manifest: ManifestRecord) -> tuple[dict[str, _Due], dict[str, int]]:
    """The devices of a page that are due, by id, and how many are not, by the reason."""
    due: dict[str, _Due] = {}
    left_out: Counter[str] = Counter()
    for device in page:
        good = [each for each in device.credentials if _counts(each, device)]
        reason = _why_not(device, good, manifest)
        if reason is not None:
            left_out[reason] += 1
            continue
        due[device.device_id] = _Due(
            device_id=device.device_id,
            ca_id=good[-1].ca_id,
            serial=good[-1].serial,
            ak_name=device.ak_name,
            spki_sha256=good[-1].spki_sha256,
            der=good[-1].der,
        )
    return due, dict(left_out)


def _counts(credential: LineCredential, device: LineDevice) -> bool:
    return credential.status is Status.GOOD and credential.ak_name == device.ak_name


def _why_not(device: LineDevice, good: Sequence[LineCredential], manifest: ManifestRecord) -> str | None:
    reasons = {each.reason for each in device.credentials}
    compromised = {each.ak_name for each in device.credentials if each.reason is Reason.KEY_COMPROMISE}
    if Reason.CERTIFICATE_HOLD in reasons:
        return "on-hold"
    if device.ak_name in compromised:
        return "ak-compromised"
    if not good:
        return "no-good-credential"
    # a SHA-256 stands in a certificate by no accident
    if any(manifest.digest in each.der for each in good):
        return "issued-already"
    # one key never issues and does anything else (R75)
    if good[-1].issuing:
        return "key-of-another-power"
    return None


def _template(due: _Due, line: _Line) -> Template:
    manifest = line.manifest
    return Template(
        kind=Kind.PLATFORM_CREDENTIAL,
        public_key=due.key(),
        tre_level=line.issuer.tre_level,
        hardware_module=HardwareModuleName(
            hw_type=oids.hw_type_of_model(line.model.hw_type), serial=bytes.fromhex(due.device_id)
        ),
        expected_state=ExpectedSystemState(
            manifest_id=manifest.manifest_id, manifest_digest=manifest.digest, svn=manifest.svn
        ),
    )


def _leaves(signed: Mapping[str, Signed], *, line: _Line, caller: Caller) -> list[tuple[str, dict[str, Any]]]:
    common = {
        "certificate_kind": str(Kind.PLATFORM_CREDENTIAL),
        "manifest_digest": line.manifest.digest.hex(),
        "by": caller.name,
    }
    return [
        (
            device_id,
            {
                **common,
                "issuer": each.ca_id,
                "serial": serial_text(each.serial),
                "certificate_sha256": sha256(each.der).hexdigest(),
            },
        )
        for device_id, each in signed.items()
    ]


def _not_ready(asked: Reissue, reason: str, detail: str) -> ConflictError:
    return ConflictError(
        reason,
        subject=f"model {asked.model}",
        detail=detail,
        remedy="have the supplier hand in the manifest, or the CA completed, then ask again; nothing was issued",
    )
