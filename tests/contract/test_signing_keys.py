"""Keys of the CAs, in files and in a token: the same tests on both."""

import copy
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pkcs11
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from ca.errors import InvalidInputError
from ca.issuance import certificate_request, issue, name
from ca.key_algorithms import KeyAlgorithm, algorithm_of
from ca.list_building import ListHead, build_revocation_list
from ca.profiles import Kind
from ca.signing_keys import KeyFolder, SigningKeys
from ca.signing_tokens import TokenKeys
from ca.stencils import Filling, Stencil, full_serial
from ca.template import Issuer, Places, Template
from edge.key_token import KeyToken
from edge.keys import KeyFileError, KeyTokenError, create_passphrase, write_private_file
from edge.process import system_random
from standards.pki import oids
from standards.pki.extensions import ExpectedSystemState, HardwareModuleName
from standards.pki.fingerprints import ca_id, spki_der
from tests.contract.softhsm import PIN, SoftToken, soft_token
from tests.fakes.ca import NOW

PLACES = Places(
    crl_url="http://ca.example.net/crl/x.crl",
    certificate_url="http://ca.example.net/ca/x.cer",
    ocsp_url="http://ocsp.example.net/",
)
IN_BOTH = (KeyAlgorithm.P256, KeyAlgorithm.P384, KeyAlgorithm.RSA)
Opened = Callable[[], SigningKeys]


@pytest.fixture(scope="session")
def token(tmp_path_factory: pytest.TempPathFactory) -> SoftToken:
    """One token a process: the module reads its settings once."""
    made = soft_token(tmp_path_factory.mktemp("softhsm"))
    os.environ["SOFTHSM2_CONF"] = str(made.configuration)
    return made


def key_folder(folder: Path) -> KeyFolder:
    passphrase = folder / "keys" / "passphrase"
    if not passphrase.exists():
        create_passphrase(passphrase, random_bytes=system_random)
    return KeyFolder(folder / "keys", passphrase_file=passphrase)


def token_of(made: SoftToken) -> KeyToken:
    return KeyToken(made.module, label=made.label, pin_file=made.pin_file)


@pytest.fixture(params=["files", "token"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Opened:
    """Opens the place of keys anew each time, as another process would."""
    if request.param == "files":
        return lambda: key_folder(tmp_path)
    made: SoftToken = request.getfixturevalue("token")
    return lambda: TokenKeys(token_of(made), before=key_folder(tmp_path))


@pytest.mark.requirement("R103")
@pytest.mark.parametrize("algorithm", IN_BOTH)
def test_a_key_certifies_itself_and_lists_and_asks_after_it_was_opened_anew(
    opened: Opened, algorithm: KeyAlgorithm
) -> None:
    made = opened().create(algorithm)
    key = opened().load(ca_id(made.public_key()))
    assert algorithm_of(key.public_key()) is algorithm
    assert key.public_key() == made.public_key()
    bare = Issuer(kind=Kind.ES_ROOT, certificate=None, key=key, places=PLACES)
    template = Template(kind=Kind.ES_ROOT, public_key=key.public_key(), subject=name(common_name="root"))
    root = issue(template, issuer=bare, serial=7, at=NOW)
    root.verify_directly_issued_by(root)
    head = ListHead(number=1, at=NOW, life=timedelta(hours=1))
    crl = x509.load_der_x509_crl(build_revocation_list([], issuer=replace(bare, certificate=root), head=head))
    assert crl.is_signature_valid(key.public_key())
    assert certificate_request(subject=name(common_name="line"), key=key).is_signature_valid


@pytest.mark.requirement("R82")
@pytest.mark.parametrize("algorithm", IN_BOTH)
def test_a_line_is_signed_from_a_stencil(opened: Opened, algorithm: KeyAlgorithm) -> None:
    keys = opened()
    root, line = keys.create(KeyAlgorithm.P256), keys.create(algorithm)
    bare = Issuer(kind=Kind.ES_ROOT, certificate=None, key=root, places=PLACES)
    above = Template(kind=Kind.ES_ROOT, public_key=root.public_key(), subject=name(common_name="root"))
    issuer = replace(bare, certificate=issue(above, issuer=bare, serial=7, at=NOW))
    below = Template(
        kind=Kind.ISSUING_CA,
        public_key=line.public_key(),
        subject=name(common_name="line"),
        tre_level=2,
    )
    signing = Issuer(
        kind=Kind.ISSUING_CA,
        certificate=issue(below, issuer=issuer, serial=8, at=NOW),
        key=line,
        places=PLACES,
    )
    spki = spki_der(ec.generate_private_key(ec.SECP256R1()).public_key())
    credential = Template(
        kind=Kind.PLATFORM_CREDENTIAL,
        public_key=ec.generate_private_key(ec.SECP256R1()).public_key(),
        tre_level=2,
        hardware_module=HardwareModuleName(hw_type=oids.hw_type_of_model(1), serial=bytes(32)),
        expected_state=ExpectedSystemState(manifest_id="gw/2", manifest_digest=b"\x07" * 32, svn=2),
    )
    stencil = Stencil(credential, issuer=signing, at=NOW, random_bytes=os.urandom)
    filling = Filling(serial=full_serial(os.urandom), spki=spki, device_id=os.urandom(32))
    made = x509.load_der_x509_certificate(stencil.issue(filling))
    assert signing.certificate is not None
    made.verify_directly_issued_by(signing.certificate)
    assert spki_der(made) == spki


@pytest.mark.negative
def test_a_key_that_nobody_made_is_not_there(opened: Opened) -> None:
    with pytest.raises(KeyFileError):
        opened().load("0" * 32)


def test_many_threads_sign_with_one_key(opened: Opened) -> None:
    keys = opened()
    name_of = ca_id(keys.create(KeyAlgorithm.P256).public_key())
    wrong: list[BaseException] = []

    def work() -> None:
        try:
            for number in range(20):
                key = keys.load(name_of)
                assert isinstance(key, ec.EllipticCurvePrivateKey)
                message = number.to_bytes(4, "big")
                signature = key.sign(message, ec.ECDSA(hashes.SHA256()))
                key.public_key().verify(signature, message, ec.ECDSA(hashes.SHA256()))
        except BaseException as error:  # noqa: BLE001, a thread's failure is the test's
            wrong.append(error)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []


def test_ml_dsa_is_in_files(tmp_path: Path) -> None:
    keys = key_folder(tmp_path)
    made = keys.create(KeyAlgorithm.ML_DSA_65)
    assert algorithm_of(key_folder(tmp_path).load(ca_id(made.public_key())).public_key()) is (
        KeyAlgorithm.ML_DSA_65
    )


@pytest.mark.negative
@pytest.mark.parametrize("algorithm", [KeyAlgorithm.ML_DSA_65, KeyAlgorithm.ED25519])
def test_what_the_token_has_not_is_refused_with_what_it_has(
    token: SoftToken, tmp_path: Path, algorithm: KeyAlgorithm
) -> None:
    with pytest.raises(InvalidInputError) as caught:
        TokenKeys(token_of(token), before=key_folder(tmp_path)).create(algorithm)
    assert "p256" in caught.value.remedy


@pytest.mark.negative
def test_a_key_file_of_another_ca_is_not_taken_for_its_own(tmp_path: Path) -> None:
    keys = key_folder(tmp_path)
    names = [ca_id(keys.create(KeyAlgorithm.P256).public_key()) for _ in range(2)]
    (tmp_path / "keys" / f"{names[0]}.pem").write_bytes((tmp_path / "keys" / f"{names[1]}.pem").read_bytes())
    with pytest.raises(KeyFileError, match="another CA"):
        key_folder(tmp_path).load(names[0])


@pytest.mark.requirement("R103")
@pytest.mark.negative
def test_a_key_in_a_token_gives_nothing_but_signatures(token: SoftToken) -> None:
    key = token_of(token).create_ec(ec.SECP256R1(), named=ca_id)
    other = token_of(token).create_rsa(2048, named=ca_id)
    for refused in (
        key.private_numbers,
        other.private_numbers,
        lambda: key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        lambda: other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        lambda: key.exchange(ec.ECDH(), key.public_key()),
        lambda: other.decrypt(b"x" * 256, padding.PKCS1v15()),
        lambda: other.sign(b"x", padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256()),
        lambda: other.sign(b"x", padding.PKCS1v15(), hashes.SHA1()),  # noqa: S303, that it is refused
    ):
        with pytest.raises(KeyTokenError):
            refused()
    assert copy.copy(key) is key
    assert copy.deepcopy(other) is other
    digest = b"d" * 32
    key.public_key().verify(
        key.sign(digest, ec.ECDSA(Prehashed(hashes.SHA256()))), digest, ec.ECDSA(Prehashed(hashes.SHA256()))
    )
    assert isinstance(other.public_key(), rsa.RSAPublicKey)
    session = token_of(token)._opened()  # noqa: SLF001, asks the token itself
    private = session.get_key(object_class=pkcs11.ObjectClass.PRIVATE_KEY, label=ca_id(key.public_key()))
    assert private[pkcs11.Attribute.SENSITIVE]
    assert not private[pkcs11.Attribute.EXTRACTABLE]
    with pytest.raises(pkcs11.PKCS11Error):
        _ = private[pkcs11.Attribute.VALUE]


@pytest.mark.negative
def test_a_pin_that_others_can_read_is_not_used(token: SoftToken, tmp_path: Path) -> None:
    pin = tmp_path / "pins" / "pin"
    write_private_file(pin, PIN.encode())
    pin.chmod(0o640)
    with pytest.raises(KeyFileError, match="0600"):
        KeyToken(token.module, label=token.label, pin_file=pin).find("0" * 32)


@pytest.mark.negative
def test_a_token_that_is_not_there_is_named_and_the_pin_is_not(token: SoftToken, tmp_path: Path) -> None:
    for wrong in (
        KeyToken(token.module, label="nowhere", pin_file=token.pin_file),
        KeyToken(tmp_path / "no.so", label=token.label, pin_file=token.pin_file),
    ):
        with pytest.raises(KeyTokenError) as caught:
            wrong.find("0" * 32)
        assert "token" in str(caught.value)
        assert PIN not in str(caught.value)


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # the search that fails says so
def test_a_session_that_the_token_closed_is_opened_again(token: SoftToken) -> None:
    opened = token_of(token)
    key = opened.create_ec(ec.SECP256R1(), named=ca_id)
    opened._opened().close()  # noqa: SLF001, as a token that was unplugged does
    signature = key.sign(b"x", ec.ECDSA(hashes.SHA256()))
    key.public_key().verify(signature, b"x", ec.ECDSA(hashes.SHA256()))


def test_keys_of_the_time_before_the_token_stay_usable(token: SoftToken, tmp_path: Path) -> None:
    before = key_folder(tmp_path).create(KeyAlgorithm.P256)
    keys = TokenKeys(token_of(token), before=key_folder(tmp_path))
    assert keys.load(ca_id(before.public_key())).public_key() == before.public_key()
    assert keys.load(ca_id(before.public_key())) is keys.load(ca_id(before.public_key()))
