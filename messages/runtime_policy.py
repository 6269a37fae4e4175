"""The runtime policy: which files of a model may be measured by IMA, signed by its supplier as manifests are.

Rule: one policy has one encoding, and is named by the SHA-256 of it; so it is held once, whatever the number of devices,
and what was judged by it can say by which. It counts only when it is signed by a certificate for manifests under an anchor
that the caller chose. NOT checked here: whether the signer may speak for these models.
Content: CBOR map {1: supplier, 2: id, 3: [model], 4: [[path, [SHA-256]]], 5: [SubjectPublicKeyInfo]}, lists ascending, in a
COSE_Sign1 with the content type `application/vnd.openpva.runtime-policy+cbor`.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from messages.encoding import decode_fields, encode_deterministic
from messages.errors import MessageError, refusal
from standards.ima.file_signatures import FileKey, Keyring, keyring_of
from standards.ima.measured import file_data
from standards.pki import oids
from standards.rats import cose
from standards.rats.errors import RatsError
from standards.rats.fields import Fields

RUNTIME_POLICY_TYPE: Final = "application/vnd.openpva.runtime-policy+cbor"
RUNTIME_POLICY_BYTES_MAX: Final = 1 << 23
FILES_MAX: Final = 50_000
DIGESTS_MAX: Final = 64
MODELS_MAX: Final = 64
KEYS_MAX: Final = 64
PATH_SIZE_MAX: Final = 4_096
NAME_MAX: Final = 128
_DIGEST_SIZE: Final = 32
_Member = TypeVar("_Member", bytes, str)
_KEY_SIZE_MAX: Final = 1_024
_RSA_BITS_MIN: Final = 2_048
_SIGNED: Final = cose.Profile(
    content_type=RUNTIME_POLICY_TYPE,
    headers=frozenset(),
    bytes_max=RUNTIME_POLICY_BYTES_MAX,
    eku=oids.EKU_MANIFEST_SIGNING,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimePolicy:
    """What may run on models of a supplier: `files` is path (bytes, as IMA measures it) -> SHA-256 digests of files.

    `keys` are DER SubjectPublicKeyInfo (RSA, ECDSA) whose file signatures vouch for any path.
    """

    supplier: str
    id: str
    models: tuple[str, ...]
    files: Mapping[bytes, frozenset[bytes]]
    keys: tuple[bytes, ...] = ()

    def encode(self) -> bytes:
        """The one encoding. Raises MessageError where the strict decoder would not take it back as it is."""
        data = encode_deterministic(
            {
                1: self.supplier,
                2: self.id,
                3: sorted(set(self.models)),
                4: [[path, sorted(digests)] for path, digests in sorted(self.files.items())],
                5: sorted(set(self.keys)),
            }
        )
        decode_runtime_policy(data)
        return data

    @property
    def digest(self) -> bytes:
        """The policy's name: SHA-256 of its encoding."""
        return hashlib.sha256(self.encode()).digest()

    @property
    def keyring(self) -> Keyring:
        """The keys, by the ids that file signatures name."""
        return keyring_of(_key(each) for each in self.keys)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedRuntimePolicy:
    """A policy whose signer is proven, with its name and its keyring, made once; `root` is the signer's anchor.

    `measurements` is what the kernel measures for the files of the policy, as template data of `ima-ng`: so of the ten
    thousand entries of a list only those that are anything else need to be read.
    """

    policy: RuntimePolicy
    digest: bytes
    keyring: Keyring
    root: x509.Certificate
    measurements: frozenset[bytes] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(
            self,
            "measurements",
            frozenset(
                file_data(path, digest=digest)
                for path, digests in self.policy.files.items()
                for digest in digests
            ),
        )


def decode_runtime_policy(data: bytes) -> RuntimePolicy:
    """Read the encoding of a policy. Raises MessageError for any other bytes."""
    fields = decode_fields(data, what="runtime policy", bytes_max=RUNTIME_POLICY_BYTES_MAX)
    policy = RuntimePolicy(
        supplier=fields.text(1, size_max=NAME_MAX),
        id=fields.text(2, size_max=NAME_MAX),
        models=fields.texts(3, size_min=1, size_max=MODELS_MAX),
        files=_read_files(fields),
        keys=_octets(fields.items(5, size_max=KEYS_MAX), what="runtime policy.5", size_max=_KEY_SIZE_MAX),
    )
    fields.close()
    _ascending(policy.models, what="runtime policy.3")
    for key in policy.keys:
        _key(key)
    return policy


def sign_runtime_policy(
    policy: RuntimePolicy, *, key: EllipticCurvePrivateKey, chain: Sequence[x509.Certificate]
) -> bytes:
    """Sign as COSE_Sign1 (ES256); `chain` is leaf first, without the root. Raises MessageError, RatsError."""
    return cose.sign(policy.encode(), profile=_SIGNED, headers={}, key=key, chain=chain)


def verify_runtime_policy(
    data: bytes, *, anchors: Sequence[x509.Certificate], at: datetime
) -> VerifiedRuntimePolicy:
    """Verify the signer's path to `anchors` with the purpose manifest-signing, then read the content.

    Raises:
        MessageError: unsigned, malformed, wrongly signed.
        PathError: the signer's certificate is not valid for this purpose under these anchors.
    """
    try:
        signed = cose.verify(data, profile=_SIGNED, anchors=anchors, at=at)
    except RatsError as error:
        raise MessageError(what=error.what, expected=error.expected, got=error.got) from error
    policy = decode_runtime_policy(signed.payload)
    return VerifiedRuntimePolicy(
        policy=policy,
        digest=hashlib.sha256(signed.payload).digest(),
        keyring=policy.keyring,
        root=signed.path[-1],
    )


def read_unverified_policy(data: bytes) -> RuntimePolicy:
    """What a signed policy says, whoever signed it: to be shown, never to be judged by. Raises MessageError."""
    try:
        payload = cose.unverified_payload(data, bytes_max=_SIGNED.bytes_max)
    except RatsError as error:
        raise MessageError(what=error.what, expected=error.expected, got=error.got) from error
    return decode_runtime_policy(payload)


def _read_files(fields: Fields) -> dict[bytes, frozenset[bytes]]:
    what, files = "runtime policy.4", {}
    rows = fields.items(4, size_max=FILES_MAX)
    for row in rows:
        if not isinstance(row, list):
            raise MessageError(what=what, expected="pairs of a path and its digests", got="another type")
        pair = Fields(dict(enumerate(row)), what=what, refusal=refusal)
        path = pair.octets(0, size_min=1, size_max=PATH_SIZE_MAX)
        digests = pair.items(1, size_min=1, size_max=DIGESTS_MAX)
        pair.close()
        files[path] = frozenset(_octets(digests, what=what, size_min=_DIGEST_SIZE, size_max=_DIGEST_SIZE))
    _ascending(list(files), what=what, count=len(rows))
    return files


def _octets(values: list[object], *, what: str, size_min: int = 1, size_max: int) -> tuple[bytes, ...]:
    """Byte strings of a list, ascending and each once."""
    found = tuple(each for each in values if isinstance(each, bytes) and size_min <= len(each) <= size_max)
    _ascending(found, what=what, count=len(values))
    return found


def _ascending(values: Sequence[_Member], *, what: str, count: int | None = None) -> None:
    if sorted(set(values)) != list(values) or count not in (None, len(values)):
        raise MessageError(
            what=what, expected="its members ascending, each once and of its type", got="others"
        )


def _key(data: bytes) -> FileKey:
    what = "runtime policy.5"
    try:
        key = load_der_public_key(data)
    except (ValueError, UnsupportedAlgorithm):
        raise MessageError(what=what, expected="SubjectPublicKeyInfo", got="other bytes") from None
    strong = isinstance(key, rsa.RSAPublicKey) and key.key_size >= _RSA_BITS_MIN
    if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey) or not (
        strong or isinstance(key, ec.EllipticCurvePublicKey)
    ):
        raise MessageError(what=what, expected="RSA of 2048 bits or more, or ECDSA", got="another key")
    return key
