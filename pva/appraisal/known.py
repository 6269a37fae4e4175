"""What this process computed before from the same bytes: bounded, content-addressed, pure.

Rule: only results that depend on nothing but the bytes of their key are kept, and never a verdict: what a log replays
to, what a public area says, that a chain leads to an anchor. What can change (validity at a time, status, recognition,
the quote) is judged at each use. Nothing here grows with the number of devices: what was used least recently goes.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509

from messages.challenge import Challenge
from messages.evidence import EvidenceMessage
from messages.evidence_layout import EvidenceLayout
from pva.appraisal.credential import PlatformCredential, Supplier, validate_credential
from pva.appraisal.kept import Kept
from pva.appraisal.known_logs import KnownLogs
from standards.pki.ocsp_answer import CertStatus
from standards.rats.corim import VerifiedManifest, verify_manifest
from standards.tpm2.key_checks import AttestationKey, StorageKey, accept_ak, accept_storage_key
from standards.tpm2.structures import Public

MANIFEST_BYTES_MAX = 1 << 23
"""Bytes of signed manifests whose content is kept, together."""
CREDENTIALS_MAX = 4096
KEYS_MAX = 4096
CHALLENGES_MAX = 16_384
PATHS_MAX = 64
SIZES_MAX = 256
"""Sizes of evidence of which layouts are kept; a layout takes some 10 kB at most."""
LAYOUTS_MAX = 4
"""Layouts of one size."""
_LENGTH = 8


class KnownLayouts:
    """How evidence was laid out that was accepted, by its size: devices of one model send messages that differ in their strings.

    A size that came once is no habit: a layout is taken of the second message of a size. No two messages with an IMA list are
    alike.
    """

    def __init__(self) -> None:
        """Know nothing yet."""
        self._kept: Kept[int, tuple[EvidenceLayout, ...]] = Kept(weight_max=SIZES_MAX)

    def read(self, encoded: bytes) -> EvidenceMessage | None:
        """See `messages.evidence.Layouts`."""
        for layout in self._kept.get(len(encoded)) or ():
            message = layout.read(encoded)
            if message is not None:
                return message
        return None

    def note(self, encoded: bytes, message: EvidenceMessage) -> None:
        """See `messages.evidence.Layouts`."""
        if message.ima is not None:
            return
        known = self._kept.get(len(encoded))
        new = () if known is None else (EvidenceLayout.of(encoded, message), *known[: LAYOUTS_MAX - 1])
        self._kept.put(len(encoded), new)


@dataclass(frozen=True, slots=True, kw_only=True)
class _KnownCredential:
    """`status` is that under which the path was proven, None until it is told; both ends of the window belong to it."""

    credential: PlatformCredential
    suppliers: tuple[Supplier, ...]
    valid_from: datetime
    valid_to: datetime
    status: tuple[object, object] | None = None


class KnownCredentials:
    """Platform Credentials whose path is proven, by the digest of their chain.

    A path is proven again when the recognised suppliers are others, a certificate of it is out of its time, the
    credential is wanted for another device, or its status is another one than when it was proven.
    """

    def __init__(self) -> None:
        """Know nothing yet."""
        self._kept: Kept[bytes, _KnownCredential] = Kept(weight_max=CREDENTIALS_MAX)

    def validate(
        self, chain: Sequence[bytes], *, suppliers: Sequence[Supplier], device_id: str, at: datetime
    ) -> PlatformCredential:
        """As `validate_credential`."""
        key, now = _chain_digest(chain), tuple(suppliers)
        known = self._kept.get(key)
        if (
            known is not None
            and known.valid_from <= at <= known.valid_to
            and known.credential.device_id == device_id
            and known.suppliers == now
        ):
            return known.credential
        credential = validate_credential(chain, suppliers=now, device_id=device_id, at=at)
        valid_from, valid_to = _window(credential.path)
        self._kept.put(
            key,
            _KnownCredential(credential=credential, suppliers=now, valid_from=valid_from, valid_to=valid_to),
        )
        return credential

    def note_status(self, chain: Sequence[bytes], status: CertStatus) -> None:
        """Forget the path where its status changed since it was proven."""
        key, now = _chain_digest(chain), (status.kind, status.revocation)
        known = self._kept.get(key)
        if known is None or known.status == now:
            return
        if known.status is not None:
            self._kept.drop(key)
            return
        self._kept.put(
            key,
            _KnownCredential(
                credential=known.credential,
                suppliers=known.suppliers,
                valid_from=known.valid_from,
                valid_to=known.valid_to,
                status=now,
            ),
        )


class KnownKeys:
    """AKs and storage keys that passed their checks, by TPMT_PUBLIC.

    Whose an AK is is for the Platform Credential to say, and whether a storage key is in its TPM for the AK's statement.
    """

    def __init__(self) -> None:
        """Know nothing yet."""
        self._kept: Kept[bytes, AttestationKey] = Kept(weight_max=KEYS_MAX)
        self._storage: Kept[bytes, StorageKey] = Kept(weight_max=KEYS_MAX)

    def accepted(self, public: bytes) -> AttestationKey:
        """The AK of this public area. Raises Tpm2Error, also for one that was refused before."""
        known = self._kept.get(public)
        if known is None:
            known = accept_ak(Public.decode(public))
            self._kept.put(public, known)
        return known

    def accepted_storage(self, public: bytes) -> StorageKey:
        """The storage key of this public area. Raises Tpm2Error, also for one that was refused before."""
        known = self._storage.get(public)
        if known is None:
            known = accept_storage_key(Public.decode(public))
            self._storage.put(public, known)
        return known


class KnownManifests:
    """Signed manifests that were verified, by their bytes, the root that they were verified under, and the time of that."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._kept: Kept[tuple[bytes, bytes, datetime], VerifiedManifest] = Kept(
            weight_max=MANIFEST_BYTES_MAX
        )

    def verified(self, signed: bytes, *, root: bytes, at: datetime) -> VerifiedManifest:
        """As `verify_manifest` with the one anchor `root` (DER)."""
        key = (hashlib.sha256(signed).digest(), root, at)
        known = self._kept.get(key)
        if known is None:
            known = verify_manifest(signed, anchors=[x509.load_der_x509_certificate(root)], at=at)
            self._kept.put(key, known, weight=len(signed))
        return known


@dataclass(frozen=True, slots=True, kw_only=True)
class _KnownPath:
    """Both ends of the window belong to it."""

    path: tuple[x509.Certificate, ...]
    valid_from: datetime
    valid_to: datetime


class IssuedChallenges:
    """Challenges that this process signed itself: the very same token needs no signature to be believed.

    Nothing depends on it: a token that is not found here, of another process or from before a restart, is verified.
    """

    def __init__(self) -> None:
        """Know nothing yet."""
        self._tokens: Kept[bytes, Challenge] = Kept(weight_max=CHALLENGES_MAX)
        self._paths: Kept[str, _KnownPath] = Kept(weight_max=PATHS_MAX)

    def note_token(self, token: str, challenge: Challenge) -> None:
        """Remember a token of this process's own."""
        self._tokens.put(_token_digest(token), challenge)

    def note_path(self, token: str, path: Sequence[x509.Certificate]) -> None:
        """Remember the path of the signer of such tokens, whom their header names."""
        first, last = _window(path)
        self._paths.put(
            token.partition(".")[0], _KnownPath(path=tuple(path), valid_from=first, valid_to=last)
        )

    def path_of(self, token: str, *, at: datetime) -> tuple[x509.Certificate, ...] | None:
        """The path that was proven for the signer whom this token's header names, where it is in time."""
        known = self._paths.get(token.partition(".")[0])
        return known.path if known is not None and known.valid_from <= at <= known.valid_to else None

    def find(self, token: str, *, at: datetime) -> Challenge | None:
        """The challenge of a token that was signed here, by a signer whose path is proven and in time."""
        return None if self.path_of(token, at=at) is None else self._tokens.get(_token_digest(token))


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """Everything that a verifier may know already."""

    layouts: KnownLayouts = field(default_factory=KnownLayouts)
    logs: KnownLogs = field(default_factory=KnownLogs)
    credentials: KnownCredentials = field(default_factory=KnownCredentials)
    keys: KnownKeys = field(default_factory=KnownKeys)
    challenges: IssuedChallenges = field(default_factory=IssuedChallenges)


def _window(path: Sequence[x509.Certificate]) -> tuple[datetime, datetime]:
    """When every certificate of a path is in its time."""
    return max(each.not_valid_before_utc for each in path), min(each.not_valid_after_utc for each in path)


def _chain_digest(chain: Sequence[bytes]) -> bytes:
    digest = hashlib.sha256()
    for each in chain:
        digest.update(len(each).to_bytes(_LENGTH, "big"))
        digest.update(each)
    return digest.digest()


def _token_digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
