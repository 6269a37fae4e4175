"""Enrolment on TPMs that others wrote: swtpm with its own CA's EK certificates, and the software TPM of the lab."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509

from ca.enrollment import Enrollment
from ca.errors import EnrollmentRefusedError
from ca.tpm_makers import TpmMakers, load_tpm_makers
from messages.binding import PVA_KEY, extra_data
from messages.enrollment import (
    ActivationRequest,
    CertifiedStatement,
    EnrollmentChallenge,
    EnrollmentRequest,
)
from standards.pki.extensions import HardwareModuleName
from standards.pki.fingerprints import device_id, spki_der
from standards.tpm2.commands.attestations import Attestation
from standards.tpm2.commands.objects import TpmObject
from standards.tpm2.connection import TpmConnection
from standards.tpm2.constants import Algorithm, EccCurve, Handle, ObjectAttributes, SessionType
from standards.tpm2.credential import Credential
from standards.tpm2.errors import ResponseError
from standards.tpm2.import_blob import ImportBlob
from standards.tpm2.marshal import Writer, tpm2b
from standards.tpm2.outer_wrap import wrap
from standards.tpm2.secret_sharing import LABEL_DUPLICATE, share_secret
from standards.tpm2.sessions import EMPTY_PASSWORD
from standards.tpm2.structures import EccParameters, NvPublic, Public, Scheme, SymmetricDefinition
from standards.tpm2.templates import AK_ECC_P256, AK_RSA_2048, EK_RSA_2048, STORAGE_ECC_P256
from tests.contract.device_keys import AK_HANDLE, EK_HANDLES, counted, storage_of
from tests.contract.tpm_devices import KINDS, make_persistent, manufactured, running
from tests.fakes.attesting_device import p256, with_point
from tests.fakes.ca import CaHouse, FrozenClock, batch_of, manifest_of, supplier

CERTIFICATE_OF = {
    Handle.EK_RSA_2048: Handle.EK_CERTIFICATE_RSA_2048,
    Handle.EK_ECC_P384: Handle.EK_CERTIFICATE_ECC_P384,
}
MAKER_FILES = (
    *("issuercert.pem", "swtpm-localca-rootca-cert.pem"),
    *("root.pem", "intermediate.pem"),
)
_SET = ObjectAttributes


@dataclass(kw_only=True)
class RealDevice:
    """A TPM with the keys of a device; each part may be replaced before it speaks."""

    tpm: TpmConnection
    ek: TpmObject
    ak: TpmObject
    storage: TpmObject
    counter: NvPublic

    @classmethod
    def of(cls, tpm: TpmConnection, *, ek: int, ak: Public = AK_ECC_P256) -> "RealDevice":
        """Keys from the project's templates, EK at a persistent handle."""
        counter, _ = counted(tpm)
        made = make_persistent(tpm, hierarchy=Handle.ENDORSEMENT, template=ak, persistent=AK_HANDLE)
        public = tpm.read_public(ek).public
        return cls(
            tpm=tpm,
            ek=TpmObject(handle=ek, public=public),
            ak=made,
            storage=storage_of(tpm),
            counter=counter,
        )

    @property
    def device_id(self) -> str:
        """Identity, 64 hex digits."""
        return device_id(spki_der(self.ek.public.public_key())).hex()

    def request(self) -> EnrollmentRequest:
        """First message; the EK certificate comes from NV, without the maker's intermediates."""
        index = self.tpm.nv_read_public(CERTIFICATE_OF[Handle(self.ek.handle)])
        padded = self.tpm.nv_read_whole(index, by=Handle.OWNER)
        certificate = padded[: 4 + int.from_bytes(padded[2:4], "big")]
        return EnrollmentRequest(
            ek_chain=(certificate,),
            ek_public=self.ek.public.encode(),
            ak_public=self.ak.public.encode(),
            storage_public=self.storage.public.encode(),
            counter_public=self.counter.encode(),
        )

    def activation(
        self, challenge: EnrollmentChallenge, *, certified: TpmObject | None = None
    ) -> ActivationRequest:
        """Second message; `certified` is what the AK certifies instead of the storage key."""
        data = extra_data(PVA_KEY, nonce=challenge.nonce, body=self.request().key_body())
        storage = self.tpm.certify(certified or self.storage, ak=self.ak, extra_data=data)
        counter = self.tpm.nv_certify(self.counter, ak=self.ak, extra_data=data)
        return ActivationRequest(
            session_id=challenge.session_id,
            secret=self.activate_credential(challenge),
            storage_key=statement(storage),
            generation_counter=statement(counter),
        )

    def activate_credential(self, challenge: EnrollmentChallenge) -> bytes:
        """TPM2_ActivateCredential; the RSA EK asks for PolicySecret(ENDORSEMENT)."""
        credential = Credential(id_object=challenge.id_object, encrypted_secret=challenge.encrypted_secret)
        if self.ek.handle == Handle.EK_ECC_P384:
            auths = (EMPTY_PASSWORD, EMPTY_PASSWORD)
            return self.tpm.activate_credential(self.ak, ek=self.ek, credential=credential, auths=auths)
        policy = self.tpm.start_auth_session(SessionType.POLICY)
        self.tpm.policy_secret(policy)
        try:
            return self.tpm.activate_credential(
                self.ak, ek=self.ek, credential=credential, auths=(EMPTY_PASSWORD, policy.authorize())
            )
        finally:
            self.tpm.flush_context(policy.handle)

    def import_software_key(self) -> TpmObject:
        """A decryption key whose private part somebody outside has, loaded below the storage key."""
        key = p256()
        public = replace(
            with_point(STORAGE_ECC_P256, key),
            attributes=_SET.DECRYPT | _SET.USER_WITH_AUTH | _SET.NO_DA,
            parameters=EccParameters(
                symmetric=SymmetricDefinition(), scheme=Scheme(), curve=EccCurve.NIST_P256, kdf=Scheme()
            ),
        )
        private = key.private_numbers().private_value.to_bytes(32, "big")
        sensitive = Writer().u16(Algorithm.ECC).tpm2b(b"").tpm2b(b"").tpm2b(private).done()
        parent = self.storage.public
        shared = share_secret(parent, label=LABEL_DUPLICATE, seed=b"", ephemeral=p256())
        blob = ImportBlob(
            public=public,
            duplicate=wrap(tpm2b(sensitive), parent=parent, seed=shared.seed, name=public.name),
            encrypted_seed=shared.encrypted,
        )
        return self.tpm.load(self.storage, stored=self.tpm.import_object(self.storage, blob=blob))


def statement(made: Attestation) -> CertifiedStatement:
    """As the message carries it."""
    return CertifiedStatement(attest=made.attest, signature=made.signature)


@pytest.fixture(scope="module", params=KINDS)
def factory(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A kind of TPM and its state as it leaves the factory; its maker's CA lies beside it."""
    kind = str(request.param)
    return kind, manufactured(kind, tmp_path_factory)


@pytest.fixture(scope="module")
def makers(factory: tuple[str, Path], tmp_path_factory: pytest.TempPathFactory) -> TpmMakers:
    """What an administrator puts into the CA's folder."""
    folder = tmp_path_factory.mktemp("makers")
    for name in MAKER_FILES:
        file = factory[1].parent / "authority" / name
        if file.exists():
            (folder / name).write_bytes(file.read_bytes())
    return load_tpm_makers(folder, lab=True)


@pytest.fixture
def tpm(factory: tuple[str, Path]) -> Iterator[TpmConnection]:
    kind, state = factory
    with running(kind, state) as device:
        yield device.start()


@pytest.fixture
def house() -> CaHouse:
    made = CaHouse(clock=FrozenClock(datetime.now(UTC).replace(microsecond=0)))
    made.product_line()
    return made


@pytest.fixture
def enrollment(house: CaHouse, makers: TpmMakers) -> Enrollment:
    signed = house.signer("manifest-signing").sign_manifest(
        replace(manifest_of(), valid_from=None, valid_to=None)
    )
    house.manifests.accept(signed, caller=supplier("acme"))
    return replace(house.enrollment, makers=makers)


def listed(house: CaHouse, device: RealDevice) -> None:
    token = house.signer("batch-signing").sign_batch(batch_of("acme", device.device_id, at=house.clock()))
    house.batches.import_batch(token, caller=supplier("acme"))


@pytest.mark.requirement("R80")
@pytest.mark.check("A12")
@pytest.mark.check("A13")
@pytest.mark.check("A30")
@pytest.mark.parametrize("ek", EK_HANDLES)
@pytest.mark.parametrize("ak", [AK_ECC_P256, AK_RSA_2048], ids=["P-256", "RSA"])
def test_a_listed_device_gets_its_platform_credential(
    house: CaHouse, enrollment: Enrollment, tpm: TpmConnection, ek: int, ak: Public
) -> None:
    device = RealDevice.of(tpm, ek=ek, ak=ak)
    listed(house, device)
    challenge = enrollment.begin(device.request().encode())
    chain = enrollment.activate(device.activation(challenge).encode()).pfc_chain
    pfc = x509.load_der_x509_certificate(chain[0])
    assert pfc.public_key() == device.ak.public.public_key()
    named = HardwareModuleName.of(pfc)
    assert named is not None
    assert named.serial.hex() == device.device_id


@pytest.mark.negative
@pytest.mark.requirement("R80")
@pytest.mark.parametrize("ek", EK_HANDLES)
def test_a_genuine_tpm_of_no_batch_is_refused(enrollment: Enrollment, tpm: TpmConnection, ek: int) -> None:
    device = RealDevice.of(tpm, ek=ek)
    with pytest.raises(EnrollmentRefusedError) as caught:
        enrollment.begin(device.request().encode())
    assert caught.value.reason == "ek-not-listed"


@pytest.mark.negative
@pytest.mark.check("A12")
def test_without_the_makers_root_its_tpms_are_refused(
    house: CaHouse, enrollment: Enrollment, tpm: TpmConnection
) -> None:
    device = RealDevice.of(tpm, ek=Handle.EK_RSA_2048)
    listed(house, device)
    with pytest.raises(EnrollmentRefusedError) as caught:
        replace(enrollment, makers=TpmMakers(certificates=())).begin(device.request().encode())
    assert caught.value.reason == "ek-certificate"


@pytest.mark.negative
@pytest.mark.check("A11")
def test_an_ak_that_signs_anything_is_refused(
    house: CaHouse, enrollment: Enrollment, tpm: TpmConnection
) -> None:
    """The TPM makes such a key without a murmur: without `restricted` it would sign forged quotes."""
    loose = replace(AK_ECC_P256, attributes=AK_ECC_P256.attributes & ~_SET.RESTRICTED)
    device = RealDevice.of(tpm, ek=Handle.EK_RSA_2048, ak=loose)
    listed(house, device)
    with pytest.raises(EnrollmentRefusedError) as caught:
        enrollment.begin(device.request().encode())
    assert caught.value.reason == "ak-attributes"


@pytest.mark.negative
@pytest.mark.check("A30")
def test_a_storage_key_imported_from_software_is_refused(
    house: CaHouse, enrollment: Enrollment, tpm: TpmConnection
) -> None:
    """The AK certifies it, as it would any loaded key: shown openly or hidden behind the true one."""
    device = RealDevice.of(tpm, ek=Handle.EK_RSA_2048)
    listed(house, device)
    imported = device.import_software_key()
    with pytest.raises(EnrollmentRefusedError) as caught:
        enrollment.begin(replace(device.request(), storage_public=imported.public.encode()).encode())
    assert caught.value.reason == "storage-key-attributes"
    challenge = enrollment.begin(device.request().encode())
    hidden = device.activation(challenge, certified=imported)
    with pytest.raises(EnrollmentRefusedError) as caught:
        enrollment.activate(hidden.encode())
    assert caught.value.reason == "storage-key-statement"


@pytest.mark.negative
@pytest.mark.check("A10")
@pytest.mark.check("A13")
def test_a_lie_about_the_ak_is_found_by_the_tpm(
    house: CaHouse, enrollment: Enrollment, tpm: TpmConnection
) -> None:
    """A software key dressed up as an AK: the TPM gives the secret out for objects that it holds only."""
    device = RealDevice.of(tpm, ek=Handle.EK_RSA_2048)
    listed(house, device)
    lie = replace(device.request(), ak_public=with_point(AK_ECC_P256, p256()).encode())
    challenge = enrollment.begin(lie.encode())
    with pytest.raises(ResponseError):
        device.activate_credential(challenge)


@pytest.mark.check("A26")
def test_a_cleared_tpm_needs_its_suppliers_release(
    house: CaHouse, enrollment: Enrollment, tpm: TpmConnection
) -> None:
    device = RealDevice.of(tpm, ek=Handle.EK_RSA_2048)
    listed(house, device)
    first = enrollment.activate(device.activation(enrollment.begin(device.request().encode())).encode())
    tpm.clear(Handle.LOCKOUT)
    # the endorsement seed outlives TPM2_Clear, what was persistent does not: the same EK is made again
    make_persistent(tpm, hierarchy=Handle.ENDORSEMENT, template=EK_RSA_2048, persistent=Handle.EK_RSA_2048)
    after = RealDevice.of(tpm, ek=Handle.EK_RSA_2048)
    assert after.ak.name == device.ak.name
    assert after.storage.name != device.storage.name
    with pytest.raises(EnrollmentRefusedError) as caught:
        enrollment.begin(after.request().encode())
    assert caught.value.reason == "storage-key-changed"
    house.revocation.reopen(device.device_id, caller=supplier("acme"))
    second = enrollment.activate(after.activation(enrollment.begin(after.request().encode())).encode())
    serials = [x509.load_der_x509_certificate(each.pfc_chain[0]).serial_number for each in (first, second)]
    issuer = house.changes(after=0, limit=1)[0][0].ca_id
    states = [house.revocation.find(issuer, serial, caller=supplier("acme")).reason for serial in serials]
    assert states == ["superseded", None]
