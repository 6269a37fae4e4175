"""The TpmDevice over a TPM 2.0 that answers commands: hardware, swtpm, the software TPM.

Handles and templates are the project's (D8; docs/PROTOCOL.md, section 1): AK, a primary of ENDORSEMENT; storage key, a
primary of OWNER, so that TPM2_Clear ends it; generation counter, an NV index of type COUNTER. All three are
used through HMAC sessions: their authValues never cross the bus after they were set, and were set under
parameter encryption. Sessions are salted to a public key that the caller pinned, never to one that the TPM
has just named.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from m2me_agent.tre.errors import StateRefusedError, TpmDeviceError, keys_changed
from m2me_agent.tre.tickets import Tickets
from m2me_agent.tre.tpm_device import (
    Authorization,
    DeviceKeys,
    Endorsement,
    KeyAccess,
)
from m2me_agent.tre.tpm_failures import flushed, occupied, reported
from m2me_agent.tre.tpm_sessions import KeptSessions
from m2me_agent.tre.unlocked_keys import KeyPlaces, SessionKeys
from standards.pki.errors import DecodeError
from standards.pki.lenient_certificate import decode_lenient
from standards.tpm2 import templates
from standards.tpm2.commands.objects import TpmObject
from standards.tpm2.connection import TpmConnection
from standards.tpm2.constants import Handle, NvAttributes
from standards.tpm2.errors import ResponseError
from standards.tpm2.return_codes import ReturnCode, base
from standards.tpm2.sessions import Session
from standards.tpm2.structures import ClockInfo, NvPublic, Public

AK_HANDLE = 0x81010050
"""Persistent AK, in the range of the ENDORSEMENT hierarchy (TCG registry of reserved handles)."""

STORAGE_HANDLE = 0x81000050
"""Persistent storage key, in the range of the OWNER hierarchy."""

_LEFT_OPEN = (0x02000000, 0x80000000)
"""First handles of loaded sessions and of transient objects (Part 2, 7.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EkProfile:
    """One EK of the TCG EK Credential Profile: where it stands, where its certificate is, its template."""

    handle: int
    certificate_index: int
    template: Public


EK_PROFILES = {
    "rsa-2048": EkProfile(
        handle=Handle.EK_RSA_2048,
        certificate_index=Handle.EK_CERTIFICATE_RSA_2048,
        template=templates.EK_RSA_2048,
    ),
    "ecc-p384": EkProfile(
        handle=Handle.EK_ECC_P384,
        certificate_index=Handle.EK_CERTIFICATE_ECC_P384,
        template=templates.EK_ECC_P384,
    ),
}
"""The EKs that a device model can be built on."""


class ConnectedTpm:
    """A TpmDevice; see the Protocol for what each method promises."""

    def __init__(self, tpm: TpmConnection, *, profile: EkProfile) -> None:
        self._tpm = tpm
        self._profile = profile
        self._sessions = KeptSessions(tpm)
        self._tickets = Tickets()

    def take_over(self) -> None:
        """Flush what a TRE that was killed left open: nobody else uses this TPM, and slots are few.

        Behind the kernel's resource manager there is nothing to flush: each connection sees its own.
        """
        with reported("TPM"):
            for first in _LEFT_OPEN:
                for handle in self._tpm.handles(first):
                    self._tpm.flush_context(handle)

    def read_endorsement(self) -> Endorsement:
        """EK certificate from its NV index, EK from its persistent handle, made there if it is not yet."""
        with reported("EK"):
            public = self._read_public(self._profile.handle)
            if public is None:
                public = self._make_persistent(
                    Handle.ENDORSEMENT, self._profile.template, persistent=self._profile.handle
                )
        if templates.without_unique(public) != templates.without_unique(self._profile.template):
            raise occupied("EK", self._profile.handle)
        return Endorsement(chain=(self._read_certificate(),), public=public)

    def make_keys(self, ek: Public, authorization: Authorization) -> DeviceKeys:
        """Make or take over; see the Protocol."""
        with reported("keys of this device"), self._salted(self._profile.handle, ek) as session:
            ak = self._make_key(
                Handle.ENDORSEMENT,
                templates.AK_ECC_P256,
                persistent=AK_HANDLE,
                auth_value=authorization.ak,
                protect=session,
            )
            storage = self._make_key(
                Handle.OWNER,
                templates.STORAGE_ECC_P256,
                persistent=STORAGE_HANDLE,
                auth_value=authorization.storage,
                protect=session,
            )
            counter = self._make_counter(authorization.counter, session=session)
        return DeviceKeys(ek=ek, ak=ak, storage=storage, counter=counter)

    def read_keys(self, ek: Public) -> DeviceKeys | None:
        """What stands at the handles now."""
        with reported("keys of this device"):
            ak, storage = self._read_public(AK_HANDLE), self._read_public(STORAGE_HANDLE)
            counter = self._read_nv_public(templates.GENERATION_COUNTER.index)
        if ak is None or storage is None or counter is None:
            return None
        return DeviceKeys(ek=ek, ak=ak, storage=storage, counter=counter)

    def read_clock(self) -> ClockInfo:
        """The TPM's clock."""
        with reported("TPM clock"):
            clock = self._tpm.read_clock().clock_info
        self._sessions.see(clock)
        return clock

    def holds(self, keys: DeviceKeys) -> bool:
        """TPM2_ReadPublic of the storage key, which goes with TPM2_Clear and is in no other TPM."""
        with reported("keys of this device"):
            return self._read_public(STORAGE_HANDLE) == keys.storage

    @contextmanager
    def unlock(self, access: KeyAccess) -> Iterator[SessionKeys]:
        """Under sessions that are kept; where the TPM has refused, what stands in it is looked at, to say why."""
        places = KeyPlaces(
            ak=TpmObject(handle=AK_HANDLE, public=access.keys.ak),
            storage=TpmObject(handle=STORAGE_HANDLE, public=access.keys.storage),
            ek=TpmObject(handle=self._profile.handle, public=access.keys.ek),
        )
        try:
            with ExitStack() as until_end:
                yield SessionKeys(
                    self._tpm,
                    access=access,
                    places=places,
                    sessions=self._sessions,
                    tickets=self._tickets,
                    until_end=until_end,
                )
        except StateRefusedError:  # an answer, and the sessions are as they were
            raise
        except TpmDeviceError as error:
            if self._has_other_keys(access.keys):
                raise keys_changed() from error
            raise

    def _has_other_keys(self, keys: DeviceKeys) -> bool:
        try:
            return self.read_keys(keys.ek) != keys
        except TpmDeviceError:
            return False  # nothing is known; the first refusal is the one to tell

    @contextmanager
    def _salted(self, handle: int, public: Public) -> Iterator[Session]:
        with reported("session with the TPM"):
            session = self._tpm.start_auth_session(salt_key=TpmObject(handle=handle, public=public))
        with flushed(self._tpm, session.handle):
            yield session

    def _make_key(
        self, hierarchy: int, template: Public, *, persistent: int, auth_value: bytes, protect: Session
    ) -> Public:
        """A primary of ours at its handle, with this authValue, in place of the same key with another."""
        standing = self._read_public(persistent)
        made = self._tpm.create_primary(hierarchy, template=template, auth_value=auth_value, protect=protect)
        with flushed(self._tpm, made.handle):
            if standing is not None:
                if standing != made.public:
                    raise occupied("key of this device", persistent)
                old = TpmObject(handle=persistent, public=standing)
                self._tpm.evict_control(Handle.OWNER, subject=old, persistent=persistent)
            self._tpm.evict_control(Handle.OWNER, subject=made, persistent=persistent)
        return made.public

    def _make_persistent(self, hierarchy: int, template: Public, *, persistent: int) -> Public:
        made = self._tpm.create_primary(hierarchy, template=template)
        with flushed(self._tpm, made.handle):
            self._tpm.evict_control(Handle.OWNER, subject=made, persistent=persistent)
        return made.public

    def _make_counter(self, auth_value: bytes, *, session: Session) -> NvPublic:
        """The counter, counted once at least: before that nothing can be certified or compared."""
        template = templates.GENERATION_COUNTER
        standing = self._read_nv_public(template.index)
        if standing is not None and standing.written() != template.written():
            raise occupied("generation counter", template.index)
        if standing is not None and not self._opens(standing, auth_value, session=session):
            self._tpm.nv_undefine_space(Handle.OWNER, index=standing)
            standing = None
        if standing is None:
            self._tpm.nv_define_space(Handle.OWNER, public=template, auth_value=auth_value, protect=session)
            standing = template
        if not standing.attributes & NvAttributes.WRITTEN:
            self._tpm.nv_increment(standing, auth=session.authorize(auth_value))
        return template.written()

    def _opens(self, counter: NvPublic, auth_value: bytes, *, session: Session) -> bool:
        """Whether this authValue is the counter's; asked by a read, which changes nothing."""
        try:
            self._tpm.nv_read_counter(counter, auth=session.authorize(auth_value))
        except ResponseError as error:
            if base(error.rc) == ReturnCode.NV_UNINITIALIZED:
                return False  # it is cheaper to define it anew than to find out
            if base(error.rc) in (ReturnCode.AUTH_FAIL, ReturnCode.BAD_AUTH):
                return False
            raise
        return True

    def _read_public(self, handle: int) -> Public | None:
        try:
            return self._tpm.read_public(handle).public
        except ResponseError as error:
            if base(error.rc) == ReturnCode.HANDLE:
                return None
            raise

    def _read_nv_public(self, index: int) -> NvPublic | None:
        try:
            return self._tpm.nv_read_public(index)
        except ResponseError as error:
            if base(error.rc) == ReturnCode.HANDLE:
                return None
            raise

    def _read_certificate(self) -> bytes:
        index = self._profile.certificate_index
        with reported("EK certificate"):
            public = self._read_nv_public(index)
            if public is None:
                raise TpmDeviceError(
                    subject="EK certificate",
                    reason=f"the TPM has none at its NV index 0x{index:08x}",
                    remedy="set the EK that this TPM's maker certified, or have the TPM provisioned",
                )
            content = self._tpm.nv_read_whole(public)
        try:
            return decode_lenient(content).der  # an index may be larger than its certificate
        except DecodeError as error:
            raise TpmDeviceError(
                subject="EK certificate",
                reason=f"NV index 0x{index:08x} holds no certificate: {error}",
                remedy="have the TPM provisioned by its maker",
            ) from error
