"""What the TRE needs of a TPM, in the TRE's own words.

The TRE signs three things and nothing else: a quote, a certificate of its storage key and one of its
generation counter, each over qualifying data that the TRE itself made. It opens three kinds of secrets: its
connectivity, which opens wherever it was imported; and a package's content key and a compartment's vault key,
which open only with an approval of the state that the machine is in (:class:`Permit`). No secret crosses the
bus in clear.

Keys are primaries, so they exist as long as their hierarchy's seed: AK in ENDORSEMENT, storage key in
OWNER. Each has an authValue that only the TRE knows (:class:`Authorization`); each use names the public
areas that were pinned at enrolment (:class:`DeviceKeys`), so a TPM that answers with other keys is refused.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from messages.approval import StateApproval, Use
from standards.tpm2.import_blob import ImportBlob
from standards.tpm2.structures import ClockInfo, NvPublic, PcrSelection, Public, Signature

AUTHORIZATION_BYTES = 32
"""Size of each authValue."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endorsement:
    """The EK as the TPM's maker left it: certificates in DER, EK certificate first, and TPMT_PUBLIC.

    Nothing of it is verified; whether certificate and key belong together is the caller's check.
    """

    chain: tuple[bytes, ...]
    public: Public


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorization:
    """AuthValues of the TRE's objects, 32 bytes each; never shown."""

    ak: bytes = field(repr=False)
    storage: bytes = field(repr=False)
    counter: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceKeys:
    """Public areas of the device's keys and of its generation counter (with WRITTEN set)."""

    ek: Public
    ak: Public
    storage: Public
    counter: NvPublic


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyAccess:
    """What a use of the keys takes: the pinned public areas and the authValues."""

    keys: DeviceKeys
    authorization: Authorization


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedStatement:
    """TPMS_ATTEST and TPMT_SIGNATURE, as the TPM produced them."""

    attest: bytes
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """A quote and the PCR values (bank -> index -> value) that its digest was made of."""

    statement: SignedStatement
    pcr_values: Mapping[int, Mapping[int, bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Permit:
    """An approval with everything that the TPM wants to see: who approved, and who lets him.

    Attributes:
        approval: for which use, in which state.
        day_key: the approving key; `signature` is its over the approval.
        policy_root: the operator's key that the secret's policy names; `delegation` is its over the day key.
    """

    approval: StateApproval
    day_key: Public
    signature: Signature
    policy_root: Public
    delegation: Signature


class UnlockedKeys(Protocol):
    """The device's keys, ready for one exchange. Every method raises TpmDeviceError."""

    def read_generation_counter(self) -> int:
        """Value of the generation counter, authenticated by the session."""

    def raise_generation_counter(self) -> None:
        """Count: every approval for the value before opens nothing from now on."""

    def recall_tickets(self, use: Use, rows: Sequence[bytes]) -> None:
        """Take back what `tickets` gave, from wherever it was kept: the TPM judges it when it is shown."""

    def tickets(self, use: Use) -> tuple[bytes, ...]:
        """What the TPM has given for signatures that it verified for this use; no secret, of worth in this TPM alone."""

    def verify_permits(self, permits: Sequence[Permit]) -> None:
        """Have the TPM verify the signatures that it has not verified yet, each key loaded once.

        SealedObjectError for a permit that nobody signed. What is opened with a permit does this by itself.
        """

    def import_sealed(self, blob: ImportBlob) -> bytes:
        """Take an import blob below the storage key: the private part, encrypted for this TPM.

        Authenticates nobody: the caller has checked the blob's public area (A31). SealedObjectError for a blob
        that was altered or made for another key.
        """

    def unseal_connectivity(self, public: Public, private: bytes) -> bytes:
        """The secret of an imported object whose policy is PolicyCommandCode(Unseal)."""

    def unseal_package(self, public: Public, private: bytes, *, permit: Permit) -> bytes:
        """The secret of an imported object that opens in an approved state.

        StateRefusedError where the state is another one; SealedObjectError for a permit that nobody signed.
        """

    def open_vault_key(self, slot: int, *, permit: Permit, fresh: bytes | None = None) -> bytes | None:
        """The vault key (32 bytes) of a compartment; `fresh` becomes it where there is none yet.

        None where there is none and `fresh` is not given. StateRefusedError, SealedObjectError as above.
        """

    def change_vault_key(self, slot: int, *, permit: Permit, fresh: bytes) -> None:
        """Write another key over a compartment's; the one before is nowhere in the TPM from now on.

        StateRefusedError, SealedObjectError as above; SealedObjectError too where there is no key.
        """

    def forget_vault_key(self, slot: int, *, auth_policy: bytes) -> None:
        """Take a compartment's key, and the place that it had, out of the TPM; done already is no error.

        `auth_policy` is that of the key. PlaceTakenError where something else stands there.
        """

    def read_vault_counter(self, slot: int, *, is_new: bool = False) -> int:
        """Value of a compartment's counter; made, and counted once, where there is none yet.

        `is_new` expects that there is none, which spares a look; it changes nothing else.
        """

    def raise_vault_counter(self, slot: int) -> None:
        """Count: what was written before is old from now on."""

    def activate(self, *, id_object: bytes, encrypted_secret: bytes) -> bytes:
        """The secret of a credential made for this EK and AK (TPM2_ActivateCredential)."""

    def sign(self, *, extra_data: bytes, selections: tuple[PcrSelection, ...]) -> SignedStatement:
        """Quote by the AK of the registers as they are, for a reader who knows their values."""

    def quote(self, *, extra_data: bytes, selections: tuple[PcrSelection, ...]) -> Quote:
        """Quote by the AK, with PCR values that reproduce its pcrDigest."""

    def certify_storage_key(self, *, extra_data: bytes) -> SignedStatement:
        """Certify the storage key by the AK."""

    def certify_generation_counter(self, *, extra_data: bytes) -> SignedStatement:
        """Certify value and Name of the generation counter by the AK."""


class TpmDevice(Protocol):
    """A TPM 2.0 of which this TRE is the only user. Every method raises TpmDeviceError."""

    def read_endorsement(self) -> Endorsement:
        """EK certificate and EK public area."""

    def make_keys(self, ek: Public, authorization: Authorization) -> DeviceKeys:
        """Make AK, storage key and generation counter, or take over those that this TPM made before.

        Args:
            ek: the pinned EK; secrets travel to the TPM under sessions salted to it.
            authorization: authValues that the objects have afterwards.

        What stands at the handles and is not this TPM's own primary of the right template is not touched:
        TpmDeviceError.
        """

    def read_keys(self, ek: Public) -> DeviceKeys | None:
        """Public areas that stand in the TPM now, beside the pinned EK; None when one of them is absent."""

    def holds(self, keys: DeviceKeys) -> bool:
        """Whether this is the TPM with the pinned storage key, not cleared since."""

    def read_clock(self) -> ClockInfo:
        """The TPM's clock; not signed."""

    def unlock(self, access: KeyAccess) -> AbstractContextManager[UnlockedKeys]:
        """The keys under sessions that are salted to a pinned key, started when one is needed.

        KeysChangedError, where something was refused because the TPM holds other keys (TPM2_Clear, another TPM).
        """
