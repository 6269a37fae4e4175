"""One device's connectivity credential: PCID and key, handed over to the ICF and sealed for the device (R84-R85, R105-R106).

Rule: one PCID for one storage key of one device, whatever is repeated. The states of a row:

    (none) --allot--> allotted --hand over, sign--> issued

`allotted` holds the key, sealed under the role's own key file; `issued` holds the token for the device and no key. A
process that is killed between the two finds the row and goes on with the same key: the ICF takes it twice as once.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from edge.http_client import HttpError, UnreachableError
from edge.process import RandomBytes
from messages.attachment import MCC_DIGITS, PCID_DIGITS_MAX
from messages.connectivity import CONNECTIVITY_KIND, Connectivity, sealed_policy
from messages.mid_package import SealedKey
from messages.operator_token import OperatorSigner
from operators.ccif.refusals import RefusalCode, refuse
from operators.ccif.sealing import fresh_material
from standards.aka.milenage import KEY_SIZE, MilenageKey, derive_opc
from standards.tpm2.errors import Tpm2Error
from standards.tpm2.import_blob import make_import_blob
from standards.tpm2.key_checks import check_storage_key
from standards.tpm2.structures import Public

ALLOTMENT_TRIES = 8
_NUMBER_BYTES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberRange:
    """The network that PCIDs belong to: MCC, MNC (2 or 3 digits), and how many digits follow."""

    mcc: str
    mnc: str
    msin_digits: int

    def pcid(self, drawn: int) -> str:
        """The PCID of a drawn number: at most 15 digits in all (TS 23.003, 2.2)."""
        return f"{self.mcc}{self.mnc}{drawn % 10**self.msin_digits:0{self.msin_digits}d}"

    def __post_init__(self) -> None:
        digits = MCC_DIGITS + len(self.mnc) + self.msin_digits
        if not self.msin_digits or digits > PCID_DIGITS_MAX:
            raise ValueError(f"a PCID has at most {PCID_DIGITS_MAX} digits, got {digits}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """One row: `key` while it is allotted, `token` once it is issued."""

    pcid: str
    tenant: str
    device_id: str
    storage_key_name: bytes
    key: MilenageKey | None = field(repr=False)
    token: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedConnectivity:
    """The signed token for the device, and the PCID in it."""

    token: str
    pcid: str


class CredentialStore(Protocol):
    """What issuing needs of the store."""

    def owner(self, device_id: str) -> str | None:
        """Tenant that a device was allotted a PCID for."""

    def credential(self, device_id: str, *, storage_key_name: bytes) -> Credential | None:
        """The row of a device's storage key."""

    def allot(self, credential: Credential, *, by: str, at: datetime) -> bool:
        """Store an allotted row with its audit leaf; False where PCID or storage key are taken."""

    def issue(self, pcid: str, *, token: str, by: str, at: datetime) -> None:
        """Replace the key of an allotted row by the token, with an audit leaf; a row that is issued stays."""


class HomeNetwork(Protocol):
    """The ICF, as far as the CCIF talks to it."""

    def take_subscriber(self, pcid: str, *, key: MilenageKey) -> None:
        """Hand over a subscriber; the same again is the same. Raises HttpError, UnreachableError."""


class ConnectivityDesk:
    """Issues connectivity credentials."""

    def __init__(
        self,
        store: CredentialStore,
        *,
        home: HomeNetwork,
        numbers: NumberRange,
        signer: OperatorSigner,
        random_bytes: RandomBytes,
        op: bytes,
    ) -> None:
        """`op`: 16 bytes, common to all networks that serve these devices (R85)."""
        self._store = store
        self._home = home
        self._numbers = numbers
        self._signer = signer
        self._random_bytes = random_bytes
        self._op = op

    def issue(
        self, device_id: str, *, storage_public: bytes, tenant: str, caller: str, at: datetime
    ) -> IssuedConnectivity:
        """The credential of a device's storage key. Raises RefusedError. The same again gives the same."""
        # 1 a key that import blobs may be made for (A30); that it is in a TPM, the caller's factory knows
        storage_key = _storage_key(storage_public)
        # 2 a device of the caller's
        if self._store.owner(device_id) not in {None, tenant}:
            raise refuse(
                RefusalCode.FOREIGN_DEVICE,
                subject="device",
                reason="another supplier has a PCID for this device",
            )
        # 3 its PCID and key, allotted once
        credential = self._store.credential(device_id, storage_key_name=storage_key.name)
        if credential is None:
            credential = self._allotted(device_id, storage_key, tenant=tenant, caller=caller, at=at)
        # 4 the ICF knows the subscriber before the device can use it
        if credential.key is not None:
            self._hand_over(credential.pcid, credential.key)
            token = self._token(credential.pcid, credential.key, device_id=device_id, to=storage_key, at=at)
            # 5 the token takes the key's place
            self._store.issue(credential.pcid, token=token, by=caller, at=at)
            credential = self._store.credential(device_id, storage_key_name=storage_key.name)
        if credential is None or credential.token is None:
            raise LookupError("an issued credential without its token")  # a broken store, no refusal
        return IssuedConnectivity(token=credential.token, pcid=credential.pcid)

    def _allotted(
        self, device_id: str, storage_key: Public, *, tenant: str, caller: str, at: datetime
    ) -> Credential:
        for _ in range(ALLOTMENT_TRIES):
            k = self._random_bytes(KEY_SIZE)
            fresh = Credential(
                pcid=self._numbers.pcid(int.from_bytes(self._random_bytes(_NUMBER_BYTES))),
                tenant=tenant,
                device_id=device_id,
                storage_key_name=storage_key.name,
                key=MilenageKey(k=k, opc=derive_opc(k=k, op=self._op)),
            )
            if self._store.allot(fresh, by=caller, at=at):
                return fresh
            meanwhile = self._store.credential(device_id, storage_key_name=storage_key.name)
            if meanwhile is not None:
                return meanwhile  # asked for twice at the same time
        raise refuse(
            RefusalCode.PCIDS_USED_UP, subject="PCID", reason="no free number was found in the CCIF's range"
        )

    def _hand_over(self, pcid: str, key: MilenageKey) -> None:
        try:
            self._home.take_subscriber(pcid, key=key)
        except UnreachableError as error:
            raise refuse(
                RefusalCode.ICF_UNREACHABLE, subject="ICF", reason="the ICF did not answer"
            ) from error
        except HttpError as error:
            raise refuse(
                RefusalCode.ICF_REFUSED, subject="ICF", reason=f"the ICF answered {error.status}"
            ) from error

    def _token(self, pcid: str, key: MilenageKey, *, device_id: str, to: Public, at: datetime) -> str:
        fresh = fresh_material(to, random_bytes=self._random_bytes)
        blob = make_import_blob(to, secret=key.k + key.opc, auth_policy=sealed_policy(), fresh=fresh)
        connectivity = Connectivity(
            ccif=self._signer.issuer,
            device_id=device_id,
            storage_key_name=to.name,
            pcid=pcid,
            mnc_digits=len(self._numbers.mnc),
            sealed_key=SealedKey(
                public=blob.public.encode(), duplicate=blob.duplicate, encrypted_seed=blob.encrypted_seed
            ),
            issued_at=at,
        )
        return self._signer.sign(connectivity.claims(), typ=CONNECTIVITY_KIND.typ)


def _storage_key(encoded: bytes) -> Public:
    try:
        public = Public.decode(encoded)
        check_storage_key(public)
    except Tpm2Error as error:
        raise refuse(
            RefusalCode.STORAGE_KEY_UNACCEPTABLE, subject="storage_public", reason=str(error)
        ) from error
    return public
