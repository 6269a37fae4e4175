"""The CCIF's use case: one PCID a storage key, a key that only its TPM opens, and a hand-over that can be resumed."""

from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from edge.http_client import HttpError, UnreachableError
from edge.process import RandomBytes, system_random
from edge.refused import RefusedError
from messages.connectivity import CONNECTIVITY_KIND, Connectivity, read_claims, sealed_policy
from messages.operator_token import OperatorSigner, verify_operator_token
from operators.ccif.connectivity import ConnectivityDesk, IssuedConnectivity, NumberRange
from operators.ccif.refusals import REFUSALS, RefusalCode
from operators.ccif.sealing import fresh_material
from standards.aka.milenage import MilenageKey, derive_opc
from standards.pki import oids
from standards.pki.extensions import OperatorRole
from standards.tpm2.constants import ObjectAttributes
from standards.tpm2.import_blob import check_import_public
from standards.tpm2.structures import Public
from standards.tpm2.templates import STORAGE_RSA_2048
from tests.fakes.access_memory import CcifMemory
from tests.fakes.pki import LEAF_USAGE, NOW, Authority, p256
from tests.fakes.usim import opened_key, storage_public

OP = bytes(range(16))
DEVICE, OTHER_DEVICE = "a" * 64, "b" * 64
ROOT = Authority.root()
SIGNING_KEY = p256()
CERTIFICATE = ROOT.issue(
    "ccif-1",
    key=SIGNING_KEY.public_key(),
    eku=oids.EKU_CONNECTIVITY,
    extensions=[(LEAF_USAGE, True), (OperatorRole(role="ccif", id="ccif-1").to_extension(), False)],
)
SIGNER = OperatorSigner(key=SIGNING_KEY, chain=(CERTIFICATE,), issuer="ccif-1")
STORAGE_KEY, OTHER_STORAGE_KEY = p256(), p256()
PUBLIC = storage_public(STORAGE_KEY)


class Icf:
    """Keeps what it is handed, or fails."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, MilenageKey]] = []
        self.error: Exception | None = None
        self.hears = True

    def take_subscriber(self, pcid: str, *, key: MilenageKey) -> None:
        if self.hears:
            self.taken.append((pcid, key))
        if self.error is not None:
            raise self.error


class World:
    """A CCIF and its ICF."""

    def __init__(self, *, random_bytes: RandomBytes = system_random, digits: int = 9) -> None:
        self.store, self.icf = CcifMemory(), Icf()
        self.desk = ConnectivityDesk(
            self.store,
            home=self.icf,
            numbers=NumberRange(mcc="999", mnc="70", msin_digits=digits),
            signer=SIGNER,
            random_bytes=random_bytes,
            op=OP,
        )

    def issue(
        self, device: str = DEVICE, public: Public = PUBLIC, *, tenant: str = "es-1"
    ) -> IssuedConnectivity:
        return self.desk.issue(device, storage_public=public.encode(), tenant=tenant, caller="es", at=NOW)


def verified(issued: IssuedConnectivity) -> Connectivity:
    signed = verify_operator_token(
        issued.token, CONNECTIVITY_KIND, anchors=[ROOT.certificate], at=NOW + timedelta(seconds=1)
    )
    return read_claims(signed.claims)


def code_of(caught: pytest.ExceptionInfo[RefusedError]) -> str:
    return caught.value.code


@pytest.mark.requirement("R84")
@pytest.mark.requirement("R85")
@pytest.mark.requirement("R106")
def test_device_and_icf_get_the_same_key_and_the_ccif_keeps_none() -> None:
    world = World()
    issued = world.issue()
    found = verified(issued)
    assert (found.ccif, found.device_id, found.pcid) == ("ccif-1", DEVICE, issued.pcid)
    assert (found.storage_key_name, found.mnc_digits) == (PUBLIC.name, 2)
    check_import_public(Public.decode(found.sealed_key.public), auth_policy=sealed_policy())
    key = opened_key(found.sealed_key, storage_key=STORAGE_KEY)
    assert world.icf.taken == [(issued.pcid, key)]
    assert key.opc == derive_opc(k=key.k, op=OP)
    assert world.store.rows[issued.pcid].key is None


@pytest.mark.requirement("R105")
def test_a_pcid_has_the_form_of_an_imsi() -> None:
    pcid = World(digits=10).issue().pcid
    assert pcid.startswith("99970")
    assert pcid.isdecimal()
    assert len(pcid) == 15
    with pytest.raises(ValueError, match="15 digits"):
        NumberRange(mcc="999", mnc="070", msin_digits=10)


def test_the_same_again_is_the_same() -> None:
    world = World()
    assert world.issue() == world.issue()
    assert len(world.icf.taken) == 1


def test_another_device_or_storage_key_has_another_pcid() -> None:
    world = World()
    pcids = {
        world.issue().pcid,
        world.issue(OTHER_DEVICE, storage_public(OTHER_STORAGE_KEY)).pcid,
        world.issue(DEVICE, storage_public(OTHER_STORAGE_KEY)).pcid,
    }
    assert len(pcids) == 3


@pytest.mark.requirement("R106")
@pytest.mark.parametrize("hears", [False, True])
def test_a_hand_over_that_was_cut_off_goes_on_with_the_same_key(hears: bool) -> None:  # noqa: FBT001 - a parameter
    world = World()
    world.icf.error, world.icf.hears = UnreachableError("https://icf.example", reason="cut off"), hears
    with pytest.raises(RefusedError) as caught:
        world.issue()
    assert code_of(caught) == RefusalCode.ICF_UNREACHABLE
    (allotted,) = world.store.rows.values()
    world.icf.error, world.icf.hears = None, True
    issued = world.issue()
    assert world.icf.taken == [(allotted.pcid, allotted.key)] * (2 if hears else 1)
    assert opened_key(verified(issued).sealed_key, storage_key=STORAGE_KEY) == allotted.key


@pytest.mark.negative
def test_an_icf_that_refuses_leaves_the_row_open() -> None:
    world = World()
    world.icf.error = HttpError("https://icf.example", status=409, problem=None)
    with pytest.raises(RefusedError) as caught:
        world.issue()
    assert code_of(caught) == RefusalCode.ICF_REFUSED
    (row,) = world.store.rows.values()
    assert row.token is None


@pytest.mark.negative
def test_a_device_of_another_supplier_is_refused() -> None:
    world = World()
    world.issue()
    for public in (PUBLIC, storage_public(OTHER_STORAGE_KEY)):
        with pytest.raises(RefusedError) as caught:
            world.issue(public=public, tenant="es-2")
        assert code_of(caught) == RefusalCode.FOREIGN_DEVICE
    assert len(world.icf.taken) == 1


@pytest.mark.negative
def test_a_key_that_is_no_storage_key_is_refused() -> None:
    world = World()
    exportable = replace(PUBLIC, attributes=PUBLIC.attributes & ~ObjectAttributes.FIXED_TPM)
    for encoded in (exportable.encode(), PUBLIC.encode()[:-1], b""):
        with pytest.raises(RefusedError) as caught:
            world.desk.issue(DEVICE, storage_public=encoded, tenant="es-1", caller="es", at=NOW)
        assert code_of(caught) == RefusalCode.STORAGE_KEY_UNACCEPTABLE
    assert world.store.rows == {}


@pytest.mark.negative
@pytest.mark.requirement("R105")
def test_a_taken_number_is_not_given_twice() -> None:
    world = World(random_bytes=lambda count: (7).to_bytes(count, "big"))
    world.issue()
    with pytest.raises(RefusedError) as caught:
        world.issue(OTHER_DEVICE)
    assert code_of(caught) == RefusalCode.PCIDS_USED_UP


def test_material_fits_the_kind_of_key() -> None:
    ecc = fresh_material(PUBLIC, random_bytes=system_random)
    assert ecc.ephemeral is not None
    assert isinstance(ecc.ephemeral.curve, ec.SECP256R1)
    modulus = ((1 << 2047) + 1).to_bytes(256, "big")
    seeded = fresh_material(replace(STORAGE_RSA_2048, unique=modulus), random_bytes=system_random)
    assert seeded.ephemeral is None
    assert len(seeded.seed) == 32


def test_every_code_has_a_remedy() -> None:
    assert set(REFUSALS) == set(RefusalCode)
    assert all(rule.remedy for rule in REFUSALS.values())
