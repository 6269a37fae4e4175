"""Provisional connectivity: the PCID and its key, from the factory into the TPM, and attaching with them (R06, R85).

The rule: K and OPc exist in clear in this process, for one authentication, and nowhere else; what is stored is an
object that only this TPM opens. CK and IK do not leave: the agent gets RES and the attachment key derived from them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from m2me_agent.tre.anchors import Anchors
from m2me_agent.tre.enrollment import identity, key_access
from m2me_agent.tre.errors import ConnectivityError, SealedObjectError
from m2me_agent.tre.exchanges import ExchangeGuard
from m2me_agent.tre.operator_tokens import OperatorTokens
from m2me_agent.tre.sequence_numbers import SequenceNumbers
from m2me_agent.tre.state import Storage, TreState
from m2me_agent.tre.stored_rows import not_understood
from m2me_agent.tre.tpm_device import KeyAccess, TpmDevice
from m2me_agent.tre.usim import NetworkChallenge, answer
from messages.attachment import attachment_key, check_pcid, nai_of
from messages.connectivity import SECRET_SIZE, Connectivity, sealed_policy
from messages.encoding import decode_fields, encode_deterministic
from messages.errors import MessageError
from standards.aka.milenage import MilenageKey
from standards.aka.vectors import Resynchronisation
from standards.rats.fields import numeric_date
from standards.tpm2.errors import Tpm2Error
from standards.tpm2.import_blob import ImportBlob, check_import_public
from standards.tpm2.structures import Public

_RECORD = "connectivity"
_RECORD_BYTES_MAX = 1 << 14
_KEY_SIZE = SECRET_SIZE // 2


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledConnectivity:
    """What is stored: `public` and `private` are an object below the storage key of this Name."""

    pcid: str
    mnc_digits: int
    storage_key_name: bytes
    issued_at: datetime
    public: bytes
    private: bytes

    @property
    def identity(self) -> str:
        """NAI to attach with."""
        return nai_of(self.pcid, mnc_digits=self.mnc_digits)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectivityUse:
    """The use cases with everything that they need."""

    device: TpmDevice
    state: TreState
    storage: Storage
    guard: ExchangeGuard
    anchors: Anchors
    numbers: SequenceNumbers

    def installed(self) -> InstalledConnectivity | None:
        """What is stored, None before. Raises StateError."""
        content = self.storage.read(_RECORD)
        if content is None:
            return None
        try:
            fields = decode_fields(content, what=_RECORD, bytes_max=_RECORD_BYTES_MAX)
            found = InstalledConnectivity(
                pcid=check_pcid(fields.text(1)),
                mnc_digits=fields.integer(2, low=2, high=3),
                storage_key_name=fields.octets(3, size_max=66),
                issued_at=fields.time(4),
                public=fields.octets(5, size_max=1024),
                private=fields.octets(6, size_max=4096),
            )
            fields.close()
        except MessageError as error:
            raise not_understood(_RECORD, error, remedy="have connectivity installed again") from error
        return found

    def install(self, token: str) -> InstalledConnectivity:
        """Take a CCIF's connectivity into the TPM.

        Raises:
            AnchorError, MalformedError: it is no CCIF's. ConnectivityError: it is for another device or key, older
            than what is installed, or opens otherwise than under its policy. What was installed before stands.
        """
        # 1 a CCIF under the anchors
        clock = self.device.read_clock()
        tokens = OperatorTokens(anchors=self.anchors, known_time=self.guard.known_time(clock=clock))
        connectivity = tokens.connectivity(token)
        # 2 for this device and for its storage key
        access = key_access(self.state, self.device)
        self._check_addressed(connectivity, access)
        # 3 not older than what is there
        before = self.installed()
        if before is not None and connectivity.issued_at < before.issued_at:
            raise _refused("connectivity", "is older than what is installed")
        # 4 A31: it opens under its policy, and in no other way
        blob = _checked_blob(connectivity)
        # 5 import
        with self.device.unlock(access) as keys:
            try:
                private = keys.import_sealed(blob)
            except SealedObjectError as error:
                raise _refused(error.subject, error.reason) from error
        # 6 keep what only this TPM opens
        installed = InstalledConnectivity(
            pcid=connectivity.pcid,
            mnc_digits=connectivity.mnc_digits,
            storage_key_name=connectivity.storage_key_name,
            issued_at=connectivity.issued_at,
            public=blob.public.encode(),
            private=private,
        )
        self.storage.write(_RECORD, _encode(installed))
        return installed

    def attach(self, challenge: NetworkChallenge) -> Mapping[str, bytes]:
        """`res` and `attachment_key`, or `auts`.

        Raises:
            ConnectivityError: none is installed for this storage key. NetworkError: the network does not know K.
            TpmDeviceError, StateError: nothing was answered.
        """
        # 1 what is installed, under the storage key that there is
        access = key_access(self.state, self.device)
        installed = self.installed()
        if installed is None or installed.storage_key_name != access.keys.storage.name:
            raise _refused("connectivity", "none is installed for the storage key of this device")
        # 2 K and OPc, encrypted on the bus
        with self.device.unlock(access) as keys:
            secret = keys.unseal_connectivity(Public.decode(installed.public), installed.private)
        if len(secret) != SECRET_SIZE:
            raise _refused("connectivity", f"expected {SECRET_SIZE} bytes, got {len(secret)}")
        # 3 the network first; the number is remembered before the answer
        found = answer(
            challenge,
            key=MilenageKey(k=secret[:_KEY_SIZE], opc=secret[_KEY_SIZE:]),
            subject=f"pcid/{installed.pcid}",
            numbers=self.numbers,
        )
        if isinstance(found, Resynchronisation):
            return {"auts": found.auts}
        # 4 CK and IK stay: what leaves is good for the DRF only
        key = attachment_key(ck=found.ck, ik=found.ik, pcid=installed.pcid)
        return {"res": found.res, "attachment_key": key}

    def _check_addressed(self, connectivity: Connectivity, access: KeyAccess) -> None:
        if connectivity.device_id != identity(access.keys.ek).hex():
            raise _refused("device of the connectivity", "is another one")
        if connectivity.storage_key_name != access.keys.storage.name:
            raise _refused("storage key of the connectivity", "is another one")


def _checked_blob(connectivity: Connectivity) -> ImportBlob:
    sealed = connectivity.sealed_key
    try:
        public = Public.decode(sealed.public)
        check_import_public(public, auth_policy=sealed_policy())
    except Tpm2Error as error:
        raise _refused("sealed key of the connectivity", str(error)) from error
    return ImportBlob(public=public, duplicate=sealed.duplicate, encrypted_seed=sealed.encrypted_seed)


def _encode(installed: InstalledConnectivity) -> bytes:
    return encode_deterministic(
        {
            1: installed.pcid,
            2: installed.mnc_digits,
            3: installed.storage_key_name,
            4: numeric_date(installed.issued_at),
            5: installed.public,
            6: installed.private,
        }
    )


def _refused(subject: str, reason: str) -> ConnectivityError:
    return ConnectivityError(
        subject=subject,
        reason=reason,
        remedy="have the CCIF make connectivity for this device and its storage key, and install it",
    )
