"""A TpmDevice in memory: real structures, real signatures, real activation; everything may be made wrong."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from hashlib import sha256

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding

from m2me_agent.tre.errors import SealedObjectError, StateRefusedError, TpmDeviceError, keys_changed
from m2me_agent.tre.tpm_device import (
    Authorization,
    DeviceKeys,
    Endorsement,
    KeyAccess,
    Permit,
    Quote,
    SignedStatement,
)
from messages.approval import Use
from messages.pcr import PcrSelections
from standards.tpm2 import templates
from standards.tpm2.constants import Algorithm, CommandCode, Handle, StructureTag
from standards.tpm2.hashing import hmac_digest
from standards.tpm2.import_blob import ImportBlob
from standards.tpm2.kdf import kdfa, kdfe
from standards.tpm2.marshal import Reader
from standards.tpm2.names import qualified_name
from standards.tpm2.outer_wrap import aes_cfb
from standards.tpm2.policy import EMPTY_POLICY, policy_command_code
from standards.tpm2.structures import (
    Attest,
    CertifyInfo,
    ClockInfo,
    EccPoint,
    NvCertifyInfo,
    PcrSelection,
    Public,
    QuoteInfo,
    Signature,
)
from tests.fakes.pki import Authority, p256

Attested = QuoteInfo | CertifyInfo | NvCertifyInfo
FIRST_CLOCK = ClockInfo(clock=1000, reset_count=1, restart_count=0, safe=True)


@dataclass(kw_only=True)
class FakeTpmDevice:
    """One TPM; `maker` issues its EK certificate. `signatures` counts what it signed."""

    maker: Authority
    clock: ClockInfo = field(default_factory=lambda: FIRST_CLOCK)
    counter_value: int = 7
    signatures: int = 0
    ek: ec.EllipticCurvePrivateKey = field(default_factory=p256)
    ak: ec.EllipticCurvePrivateKey = field(default_factory=p256)
    storage: ec.EllipticCurvePrivateKey = field(default_factory=p256)
    certificate: x509.Certificate | None = None
    authorization: Authorization | None = None
    registers: bytes = b"approved"
    vault_keys: dict[int, tuple[bytes, bytes]] = field(default_factory=dict)
    vault_counters: dict[int, int] = field(default_factory=dict)
    imported: dict[bytes, bytes] = field(default_factory=dict)
    recalled: dict[bytes, tuple[bytes, ...]] = field(default_factory=dict)

    @property
    def keys(self) -> DeviceKeys:
        """Public areas of what it holds."""
        return DeviceKeys(
            ek=_public(templates.EK_ECC_P256, self.ek),
            ak=_public(templates.AK_ECC_P256, self.ak),
            storage=_public(templates.STORAGE_ECC_P256, self.storage),
            counter=templates.GENERATION_COUNTER.written(),
        )

    def read_endorsement(self) -> Endorsement:
        """EK certificate and EK."""
        if self.certificate is None:
            self.certificate = self.maker.issue("EK", key=self.ek.public_key())
        der = self.certificate.public_bytes(Encoding.DER)
        return Endorsement(chain=(der,), public=self.keys.ek)

    def make_keys(self, ek: Public, authorization: Authorization) -> DeviceKeys:
        """Take the authValues over."""
        assert ek == self.keys.ek
        self.authorization = authorization
        return self.keys

    def read_keys(self, ek: Public) -> DeviceKeys | None:
        """None before make_keys."""
        return None if self.authorization is None else replace(self.keys, ek=ek)

    def holds(self, keys: DeviceKeys) -> bool:
        """Whether they are its own, once they were made."""
        return self.authorization is not None and keys == self.keys

    def read_clock(self) -> ClockInfo:
        """What a test set."""
        return self.clock

    def activate(self, *, id_object: bytes, encrypted_secret: bytes) -> bytes:
        """The secret, decrypted for real."""
        seed = self._shared_seed(encrypted_secret, of=self.ek, label=b"IDENTITY")
        try:
            content = self._unwrap(id_object, seed=seed, name=self.keys.ak.name)
        except SealedObjectError:
            raise refusal("the credential is for other keys") from None
        return content

    def _unwrap(self, wrapped: bytes, *, seed: bytes, name: bytes) -> bytes:
        reader = Reader(wrapped)
        integrity = reader.tpm2b(32, "integrity")
        encrypted = reader.rest()
        mac_key = kdfa(Algorithm.SHA256, key=seed, label=b"INTEGRITY", bits=256)
        if hmac_digest(Algorithm.SHA256, mac_key, encrypted + name) != integrity:
            raise SealedObjectError(subject="blob", reason="integrity", remedy="make it for this key")
        key = kdfa(Algorithm.SHA256, key=seed, label=b"STORAGE", context_u=name, bits=128)
        content = Reader(aes_cfb(key, iv=bytes(16)).decryptor().update(encrypted))
        return content.tpm2b(256, "content")

    def recall_tickets(self, use: Use, rows: Sequence[bytes]) -> None:
        """Kept and given back; it verifies everything each time."""
        self.recalled[use.ref] = tuple(rows)

    def tickets(self, use: Use) -> tuple[bytes, ...]:
        """What was recalled."""
        return self.recalled.get(use.ref, ())

    def verify_permits(self, permits: Sequence[Permit]) -> None:
        """Both signatures of each."""
        for permit in permits:
            _verify(permit.day_key, permit.signature, permit.approval.digest)
            delegation = permit.approval.use.delegation_digest(permit.day_key)
            _verify(permit.policy_root, permit.delegation, delegation)

    def sign(self, *, extra_data: bytes, selections: tuple[PcrSelection, ...]) -> SignedStatement:
        """A quote without the values."""
        return self.quote(extra_data=extra_data, selections=selections).statement

    def quote(self, *, extra_data: bytes, selections: tuple[PcrSelection, ...]) -> Quote:
        """A quote over made-up PCR values, which follow from `registers`."""
        values = {
            selection.bank: {
                index: sha256(self.registers + bytes([index])).digest() for index in selection.indices
            }
            for selection in selections
        }
        joined = b"".join(value for of_bank in values.values() for value in of_bank.values())
        quoted = QuoteInfo(pcr_selections=selections, pcr_digest=sha256(joined).digest())
        statement = self._sign(StructureTag.ATTEST_QUOTE, quoted, extra_data)
        return Quote(statement=statement, pcr_values=values)

    def certify_storage_key(self, *, extra_data: bytes) -> SignedStatement:
        """Certify the storage key."""
        name = self.keys.storage.name
        certified = CertifyInfo(name=name, qualified_name=qualified_name(Handle.OWNER, name))
        return self._sign(StructureTag.ATTEST_CERTIFY, certified, extra_data)

    def certify_generation_counter(self, *, extra_data: bytes) -> SignedStatement:
        """Certify the counter."""
        contents = self.counter_value.to_bytes(8, "big")
        certified = NvCertifyInfo(index_name=self.keys.counter.name, offset=0, contents=contents)
        return self._sign(StructureTag.ATTEST_NV, certified, extra_data)

    def read_generation_counter(self) -> int:
        """What it counts."""
        return self.counter_value

    def raise_generation_counter(self) -> None:
        """One more."""
        self.counter_value += 1

    def import_sealed(self, blob: ImportBlob) -> bytes:
        """The secret, decrypted for real; the private part is a name for it."""
        seed = self._shared_seed(blob.encrypted_seed, of=self.storage, label=b"DUPLICATE")
        sensitive = Reader(self._unwrap(blob.duplicate, seed=seed, name=blob.public.name))
        sensitive.u16("type")
        sensitive.tpm2b(32, "authValue")
        sensitive.tpm2b(32, "obfuscation")
        private = sha256(blob.public.name).digest()
        self.imported[private] = sensitive.tpm2b(128, "secret")
        return private

    def unseal_connectivity(self, public: Public, private: bytes) -> bytes:
        """What was imported."""
        assert public.auth_policy == policy_command_code(EMPTY_POLICY, code=CommandCode.UNSEAL)
        return self.imported[private]

    def unseal_package(self, public: Public, private: bytes, *, permit: Permit) -> bytes:
        """What was imported, in the approved state."""
        self._judge(permit, auth_policy=public.auth_policy)
        return self.imported[private]

    def open_vault_key(self, slot: int, *, permit: Permit, fresh: bytes | None = None) -> bytes | None:
        """The key of the slot, in the approved state."""
        policy = permit.approval.use.sealed_policy(permit.policy_root)
        if slot not in self.vault_keys:
            if fresh is None:
                return None
            self._judge(permit, auth_policy=policy)
            self.vault_keys[slot] = policy, fresh
        auth_policy, key = self.vault_keys[slot]
        self._judge(permit, auth_policy=auth_policy)
        return key

    def change_vault_key(self, slot: int, *, permit: Permit, fresh: bytes) -> None:
        """Another key in the slot, in the approved state."""
        auth_policy, _ = self.vault_keys[slot]
        self._judge(permit, auth_policy=auth_policy)
        self.vault_keys[slot] = auth_policy, fresh

    def forget_vault_key(self, slot: int, *, auth_policy: bytes) -> None:
        """No key in the slot."""
        held = self.vault_keys.pop(slot, None)
        assert held is None or held[0] == auth_policy

    def read_vault_counter(self, slot: int, *, is_new: bool = False) -> int:
        """What the slot counts."""
        if is_new:
            self.vault_counters.setdefault(slot, 40)
        return self.vault_counters.setdefault(slot, 40)

    def raise_vault_counter(self, slot: int) -> None:
        """One more."""
        self.vault_counters[slot] += 1

    def pcr_digest(self, selections: PcrSelections) -> bytes:
        """Of the registers as they are."""
        wanted = tuple(PcrSelection(bank=bank, indices=each) for bank, each in sorted(selections.items()))
        joined = b"".join(
            sha256(self.registers + bytes([index])).digest() for each in wanted for index in each.indices
        )
        return sha256(joined).digest()

    def _judge(self, permit: Permit, *, auth_policy: bytes) -> None:
        """What a TPM judges: both signatures, registers, counter, and the policy of the secret."""
        use, state = permit.approval.use, permit.approval.state
        _verify(permit.day_key, permit.signature, permit.approval.digest)
        _verify(permit.policy_root, permit.delegation, use.delegation_digest(permit.day_key))
        holds = (
            state.pcr_digest == self.pcr_digest(state.pcr_selections),
            state.counter == self.counter_value,
            use.sealed_policy(permit.policy_root) == auth_policy,
        )
        if not all(holds):
            raise StateRefusedError(subject="state", reason=f"holds: {holds}", remedy="approve it")

    def _sign(self, kind: StructureTag, attested: Attested, extra_data: bytes) -> SignedStatement:
        self.signatures += 1
        attest = Attest(
            type=kind,
            qualified_signer=qualified_name(Handle.ENDORSEMENT, self.keys.ak.name),
            extra_data=extra_data,
            clock_info=self.clock,
            firmware_version=1,
            attested=attested,
        ).encode()
        der = self.ak.sign(attest, ec.ECDSA(hashes.SHA256()))
        signature = Signature.from_der(der, hash_algorithm=Algorithm.SHA256, coordinate_bytes=32)
        return SignedStatement(attest=attest, signature=signature.encode())

    @contextmanager
    def unlock(self, access: KeyAccess) -> Iterator["FakeTpmDevice"]:
        """Itself, for whoever knows keys and authValues."""
        if access.keys != self.keys:
            raise keys_changed()
        if access.authorization != self.authorization:
            raise refusal("wrong authValue")
        yield self

    def _shared_seed(self, encrypted: bytes, *, of: ec.EllipticCurvePrivateKey, label: bytes) -> bytes:
        point = EccPoint.read(Reader(encrypted))
        x, y = (int.from_bytes(each, "big") for each in (point.x, point.y))
        theirs = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
        return kdfe(
            Algorithm.SHA256,
            secret=of.exchange(ec.ECDH(), theirs),
            label=label,
            party_u=point.x,
            party_v=_point(of).x,
            bits=256,
        )


def refusal(reason: str) -> TpmDeviceError:
    """What this device raises."""
    return TpmDeviceError(subject="TPM", reason=reason, remedy="use the right one")


def _verify(key: Public, signature: Signature, digest: bytes) -> None:
    public = key.public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)
    der = encode_dss_signature(int.from_bytes(signature.r, "big"), int.from_bytes(signature.s, "big"))
    try:
        public.verify(der, digest, ec.ECDSA(Prehashed(hashes.SHA256())))
    except InvalidSignature:
        raise SealedObjectError(subject="approval", reason="signature", remedy="sign it") from None


def _public(template: Public, key: ec.EllipticCurvePrivateKey) -> Public:
    return replace(template, unique=_point(key))


def _point(key: ec.EllipticCurvePrivateKey) -> EccPoint:
    numbers = key.public_key().public_numbers()
    return EccPoint(x=numbers.x.to_bytes(32, "big"), y=numbers.y.to_bytes(32, "big"))
