"""Settings of the SHO's process (TOML and `PVA_*`); relative paths are taken from the file's folder.

Rule: read once, in `operators.sho.app`; an unknown key is an error that names it. Which PVAs are asked, and in which
order, which suppliers are recognised, and what is offered, are settings; what is checked is not.
"""

from typing import Annotated, Literal, Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from pydantic import Field, StringConstraints, field_validator, model_validator

from edge.audit_log import AuditLogSettings
from edge.database_faults import DatabaseUrl
from edge.keys import load_private_key, read_passphrase
from edge.listener_settings import OperatorListenerSettings, TlsListenerSettings
from edge.management import ManagementSettings
from edge.settings import Settings, SettingsPath
from edge.signing_keys import SigningKeyError, SigningKeySettings
from edge.upstream_settings import UpstreamSettings
from messages.switch import WINDOW_MS_MAX, WINDOW_MS_MIN
from operators.sho.bundles import Bundle
from operators.sho.credential import RecognisedSupplier
from operators.sho.releases import ReleasePolicy
from operators.sho.sealed_results import ResultOpener
from operators.sho.subscriber_secrets import KEY_SIZE
from operators.sho.subscriptions import VECTORS_MAX
from standards.aka.functions import RES_SIZE_MAX, RES_SIZE_MIN
from standards.pki import oids
from standards.pki.fingerprints import decode_pem_certificates, spki_der

Id = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[!-~]+$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$")]
HwType = Annotated[str, StringConstraints(max_length=255, pattern=r"^[0-2](\.(0|[1-9][0-9]*))+$")]

Destination = Annotated[str, StringConstraints(max_length=260, pattern=r"^[A-Za-z0-9.\[\]:-]+:[0-9]{1,5}$")]


class PvaSettings(Settings):
    """One PVA: its id under the operators' root, and whether it is asked directly or through the DRF's relay.

    `operator` is its operator listener: approvals come from there in either case.
    """

    id: Id
    route: Literal["direct", "relay"] = "direct"
    operator: UpstreamSettings


class PriorSettings(Settings):
    """An operator that subscriptions are taken over from: its id under the operators' root, and its operator listener."""

    id: Id
    operator: UpstreamSettings


class SupplierSettings(Settings):
    """A recognised equipment supplier: its ES root (PEM), and the hwTypes taken, all where none are named."""

    name: Text
    root: SettingsPath
    models: Annotated[tuple[HwType, ...], Field(max_length=200)] | None = None

    def load(self) -> RecognisedSupplier:
        """The supplier. Raises OSError, PkiError, SigningKeyError."""
        certificates = decode_pem_certificates(self.root.read_bytes())
        if len(certificates) != 1:
            raise SigningKeyError(f"{self.root}: expected one ES root, got {len(certificates)} certificates")
        models = None if self.models is None else frozenset(self.models)
        return RecognisedSupplier(name=self.name, root=certificates[0], models=models)


class KeySettings(Settings):
    """An encrypted key without a certificate."""

    key: SettingsPath
    passphrase_file: SettingsPath

    def load(self) -> EllipticCurvePrivateKey:
        """The key. Raises KeyFileError."""
        return load_private_key(self.key, passphrase_file=self.passphrase_file)


class ResultKeySettings(KeySettings):
    """The key that relayed results are sealed for, with its certificate (PEM, the leaf first)."""

    certificate: SettingsPath

    def opener(self) -> ResultOpener:
        """Key and certificate, which must belong together. Raises KeyFileError, PkiError, SigningKeyError."""
        key = self.load()
        certificate = decode_pem_certificates(self.certificate.read_bytes())[0]
        if spki_der(certificate) != spki_der(key.public_key()):
            raise SigningKeyError(f"{self.certificate} is not the certificate of {self.key}")
        try:
            purposes = list(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
        except x509.ExtensionNotFound:
            purposes = []
        if oids.EKU_RESULT_ENCRYPTION not in purposes:
            raise SigningKeyError(f"{self.certificate} is not for the encryption of results")
        return ResultOpener(certificate=certificate, key=key)


class BundleSettings(Settings):
    """What the MID of one product holds: algorithm, a USIM for each access, names of IMS users, rules of its policy."""

    product: Text
    algorithm: Literal["milenage", "tuak"] = "milenage"
    res_bytes: Literal[4, 8, 16] = 8
    accesses: Annotated[tuple[Literal["cellular", "wlan"], ...], Field(min_length=1, max_length=2)] = (
        "cellular",
    )
    ims_users: Annotated[
        tuple[Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,32}$")], ...], Field(max_length=63)
    ] = ()
    res_bytes_min: Annotated[int, Field(ge=RES_SIZE_MIN, le=RES_SIZE_MAX)] | None = None
    checked_each_session: bool | None = None

    @model_validator(mode="after")
    def _accesses_once(self) -> Self:
        if len(set(self.accesses)) != len(self.accesses) or len(set(self.ims_users)) != len(self.ims_users):
            raise ValueError("accesses and ims_users: expected each once")
        return self

    def bundle(self, *, ims_domain: str | None) -> Bundle:
        """The bundle. Raises ValueError where the parts do not go together."""
        return Bundle(
            algorithm=self.algorithm,
            res_bytes=self.res_bytes,
            accesses=self.accesses,
            ims_domain=ims_domain,
            ims_users=self.ims_users,
            res_bytes_min=self.res_bytes_min,
            is_checked_each_session=self.checked_each_session,
        )


class SubscriberSettings(Settings):
    """Where IMSIs come from, the key of K and OPc at rest, and what a subscriber's bearer may do.

    `key_file` holds 64 hexadecimal digits on its first line. `ims_domain` puts an ISIM into every package. A product
    without a bundle has one USIM with MILENAGE.
    """

    mcc: Annotated[str, StringConstraints(pattern=r"^[0-9]{3}$")]
    mnc: Annotated[str, StringConstraints(pattern=r"^[0-9]{2,3}$")]
    key_file: SettingsPath
    amf: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{4}$")] = "0000"
    vectors: Annotated[int, Field(ge=1, le=VECTORS_MAX)] = 2
    ims_domain: (
        Annotated[str, StringConstraints(max_length=200, pattern=r"^[a-z0-9-]+(\.[a-z0-9-]+)+$")] | None
    ) = None
    bundles: Annotated[tuple[BundleSettings, ...], Field(max_length=50)] = ()
    apn: Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[a-z0-9.-]+$")] = (
        "internet"
    )
    destinations: Annotated[tuple[Destination, ...], Field(min_length=1, max_length=100)]
    quota_bytes: Annotated[int, Field(ge=1)] = 1 << 30
    life_s: Annotated[int, Field(ge=1)] = 86_400

    @model_validator(mode="after")
    def _bundles_fit(self) -> Self:
        if len({each.product for each in self.bundles}) != len(self.bundles):
            raise ValueError("bundles: expected each product once")
        for each in self.bundles:
            each.bundle(ims_domain=self.ims_domain)
        return self

    def key(self) -> bytes:
        """The key of K and OPc at rest. Raises KeyFileError, SigningKeyError."""
        try:
            key = bytes.fromhex(read_passphrase(self.key_file).decode("ascii"))
        except ValueError:
            key = b""
        if len(key) != KEY_SIZE:
            raise SigningKeyError(
                f"{self.key_file}: expected {2 * KEY_SIZE} hexadecimal digits on the first line"
            )
        return key


class PublicListenerSettings(TlsListenerSettings):
    """The listener for everybody; what an address may send is limited, `orders_burst` at once and `orders_per_s` on.

    Behind a proxy that hides addresses all callers are one: set the limits to what is for all of them.
    """

    orders_per_s: Annotated[float, Field(gt=0, le=10_000)] = 5
    orders_burst: Annotated[int, Field(ge=1, le=100_000)] = 60


class ShoSettings(Settings):
    """The whole of the SHO's settings."""

    profile: Literal["production", "lab"] = "production"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    management: ManagementSettings | None = None
    id: Id
    name: Text
    dpf_id: Id
    products: Annotated[tuple[Text, ...], Field(min_length=1, max_length=50)]
    database: DatabaseUrl
    public: PublicListenerSettings
    operator: OperatorListenerSettings
    operators_root: SettingsPath
    audit_log: AuditLogSettings | None = None
    subscription_key: SigningKeySettings
    policy_root: KeySettings
    result_key: ResultKeySettings | None = None
    subscribers: SubscriberSettings
    suppliers: tuple[SupplierSettings, ...]
    pvas: Annotated[tuple[PvaSettings, ...], Field(min_length=1, max_length=16)]
    drf: UpstreamSettings
    dpf: UpstreamSettings
    successors: Annotated[dict[Id, ReleasePolicy], Field(max_length=100)] = Field(default_factory=dict)
    """Operators that this one's subscriptions may go to, each with what it takes; nothing is released to any other."""
    priors: Annotated[tuple[PriorSettings, ...], Field(max_length=100)] = ()
    switch_window_s: Annotated[int, Field(ge=WINDOW_MS_MIN // 1000, le=WINDOW_MS_MAX // 1000)] = 600
    """How long a change of operator may stand unconfirmed before the TRE goes back."""
    poll_s: Annotated[float, Field(ge=0.02, le=60)] = 0.1
    workers: Annotated[int, Field(ge=1, le=32)] = 4
    order_wait_s: Annotated[int, Field(ge=60, le=31_536_000)] = 2_592_000
    order_life_s: Annotated[int, Field(ge=60, le=2_592_000)] = 86_400
    request_life_s: Annotated[int, Field(ge=10, le=86_400)] = 900
    authorization_life_s: Annotated[int, Field(ge=10, le=86_400)] = 900
    receipt_late_s: Annotated[int, Field(ge=0, le=2_592_000)] = 86_400

    @field_validator("pvas")
    @classmethod
    def _each_once(cls, value: tuple[PvaSettings, ...]) -> tuple[PvaSettings, ...]:
        if len({each.id for each in value}) != len(value):
            raise ValueError("expected each PVA once")
        return value

    @field_validator("priors")
    @classmethod
    def _each_prior_once(cls, value: tuple[PriorSettings, ...]) -> tuple[PriorSettings, ...]:
        if len({each.id for each in value}) != len(value):
            raise ValueError("expected each operator once")
        return value

    @model_validator(mode="after")
    def _nobody_succeeds_itself(self) -> Self:
        if self.id in {*self.successors, *(each.id for each in self.priors)}:
            raise ValueError("successors and priors: expected other operators")
        return self

    @model_validator(mode="after")
    def _bundles_are_offered(self) -> Self:
        unknown = {each.product for each in self.subscribers.bundles} - set(self.products)
        if unknown:
            raise ValueError(f"bundles of products that are not offered: {', '.join(sorted(unknown))}")
        return self

    @model_validator(mode="after")
    def _relay_needs_a_key(self) -> Self:
        if self.result_key is None and any(each.route == "relay" for each in self.pvas):
            raise ValueError("a PVA that is asked by relay needs result_key: its answers come sealed")
        return self
