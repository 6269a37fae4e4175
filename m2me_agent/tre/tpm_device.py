"""What the TRE needs of a TPM, in the TRE's own words.

The TRE signs three things and nothing else: a quote, a certificate of its storage key and one of its
generation counter, each over qualifying data that the TRE itself made.

Keys are primaries, so they exist as long as their hierarchy's seed: AK in ENDORSEMENT, storage key in
OWNER. Each has an authValue that only the TRE knows (:class:`Authorization`); each use names the public
areas that were pinned at enrolment (:class:`DeviceKeys`), so a TPM that answers with other keys is refused.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from standards.tpm2.structures import ClockInfo, NvPublic, PcrSelection, Public

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


class UnlockedKeys(Protocol):
    """The device's keys, ready for one exchange. Every method raises TpmDeviceError."""

    def activate(self, *, id_object: bytes, encrypted_secret: bytes) -> bytes:
        """The secret of a credential made for this EK and AK (TPM2_ActivateCredential)."""

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

    def read_clock(self) -> ClockInfo:
        """The TPM's clock; not signed."""

    def unlock(self, access: KeyAccess) -> AbstractContextManager[UnlockedKeys]:
        """The keys under sessions that are salted to a pinned key, closed at the end of the block."""
