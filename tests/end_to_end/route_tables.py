"""Every route of every listener, and whom it serves: the whole of what the services offer."""

from dataclasses import dataclass

from edge.principals import ROLES
from tests.end_to_end.supplier_routes import SUPPLIERS

Routes = dict[tuple[str, str], tuple[str, ...]]
EVERYBODY = tuple(sorted(ROLES))
PEOPLE = ("admin", "auditor", "dpf", "es", "sho")

LOG: Routes = {
    ("GET", "/v1/log/checkpoint"): EVERYBODY,
    ("GET", "/v1/log/leaves/<leaf_hash>"): ("admin", "auditor"),
    ("GET", "/v1/log/proofs/<leaf_hash>"): EVERYBODY,
    ("GET", "/v1/log/records"): ("admin", "auditor"),
    ("GET", "/v1/log/tile/<int:level>/<path:tile>"): EVERYBODY,
    ("GET", "/v1/log/tile/entries/<path:tile>"): EVERYBODY,
}
"""Of a service that keeps an audit log."""

ADMINISTRATORS: Routes = {
    ("GET", "/v1/administrators"): ("admin", "auditor"),
    ("POST", "/v1/administrators"): ("admin",),
    ("POST", "/v1/administrators/<administrator_digest>/approvals"): ("admin",),
    ("POST", "/v1/administrators/<administrator_digest>/withdrawal"): ("admin",),
    ("POST", "/v1/administrators/<key_digest>/removal"): ("admin",),
}
"""Of a service whose administrators act through it."""

DESCRIPTION: Routes = {
    ("GET", "/docs"): EVERYBODY,
    ("GET", "/openapi.json"): EVERYBODY,
}
"""Of every operator listener."""

TABLES: dict[tuple[str, str], Routes] = {
    ("ca", "public"): {
        ("GET", "/ca/<ca_id>.cer"): ("public",),
        ("GET", "/crl/<ca_id>.crl"): ("public",),
    },
    ("ca", "device"): {
        ("GET", "/v1/devices/<device_id>/credential"): ("device",),
        ("POST", "/v1/enrolments"): ("device",),
        ("POST", "/v1/enrolments/activation"): ("device",),
    },
    ("ca", "est"): {
        (method, f"/.well-known/est/{label}{operation}"): ("enrolling",)
        for method, operation in (
            ("GET", "cacerts"),
            ("GET", "csrattrs"),
            ("POST", "simpleenroll"),
            ("POST", "simplereenroll"),
        )
        for label in ("", "<label>/")
    },
    ("ca", "operator"): {
        **DESCRIPTION,
        ("GET", "/v1/es-roots"): EVERYBODY,
        ("GET", "/v1/issuing-cas"): ("admin", "es", "ocsp", "pva"),
        ("GET", "/v1/platform-credentials/<ca_id>/<serial>"): ("admin", "es"),
        ("GET", "/v1/status-changes"): ("ocsp",),
        ("GET", "/v1/suspensions"): ("admin", "auditor", "es"),
        ("POST", "/v1/suspensions"): ("admin", "es"),
        ("POST", "/v1/trust-lists"): ("admin", "overseer"),
        ("POST", "/v1/suspensions/<suspension_id>/lifting"): ("admin",),
        ("GET", "/v1/batch-feeds/<feed>"): ("es",),
        ("POST", "/v1/batch-feeds"): ("es",),
        ("POST", "/v1/batch-feeds/<feed>/chunks/<number>"): ("es",),
        ("POST", "/v1/batch-feeds/<feed>/import"): ("es",),
        ("POST", "/v1/batches"): ("es",),
        ("POST", "/v1/certificates/<serial>/revocation"): ("admin", "es"),
        ("POST", "/v1/devices/<device_id>/reopening"): ("es",),
        ("POST", "/v1/es-roots"): ("admin",),
        ("POST", "/v1/issuing-cas"): ("admin",),
        ("POST", "/v1/issuing-cas/<ca_id>/certificate"): ("admin",),
        ("POST", "/v1/issuing-cas/<ca_id>/crl-partitions"): ("admin",),
        ("POST", "/v1/issuing-cas/<ca_id>/rollover"): ("admin",),
        ("GET", "/v1/roots"): EVERYBODY,
        ("GET", "/v1/est-enrollments"): ("admin",),
        ("POST", "/v1/issuing-ca-certificates"): ("admin",),
        ("POST", "/v1/est-enrollments"): ("admin",),
        ("POST", "/v1/roots/<ca_id>/rollover"): ("admin",),
        ("POST", "/v1/manifests"): ("es",),
        ("POST", "/v1/ocsp-delegates"): ("ocsp",),
        ("POST", "/v1/operator-certificates"): ("admin",),
        ("GET", "/v1/key-proposals"): ("admin", "auditor"),
        ("POST", "/v1/key-proposals/<digest>/approvals"): ("admin",),
        ("POST", "/v1/key-proposals/<digest>/withdrawal"): ("admin",),
        **ADMINISTRATORS,
        ("POST", "/v1/platform-credentials/<serial>/hold"): ("pva",),
        ("POST", "/v1/platform-credentials/<serial>/hold-lifting"): ("admin",),
        ("POST", "/v1/platform-credentials/<serial>/recovery"): ("pva",),
        ("POST", "/v1/platform-credentials/<serial>/release"): ("es",),
        ("POST", "/v1/reissues"): ("admin", "es", "pva"),
        ("POST", "/v1/station-exchanges"): ("es",),
        ("POST", "/v1/platform-credentials/<serial>/renewal"): ("pva",),
        ("POST", "/v1/platform-credentials/<serial>/revocation"): ("admin", "es"),
        ("POST", "/v1/supplier-certificates"): ("admin", "es"),
        ("POST", "/v1/tls-certificates"): ("admin",),
        **LOG,
    },
    ("pva", "device"): {
        ("POST", "/v1/challenges"): ("device",),
        ("POST", "/v1/evidence"): ("device",),
    },
    ("pva", "operator"): {
        **SUPPLIERS,
        **ADMINISTRATORS,
        **DESCRIPTION,
        ("GET", "/v1/manifests"): ("admin", "auditor", "dpf", "es", "sho"),
        ("GET", "/v1/manifests/<digest>"): ("admin", "auditor", "dpf", "es", "sho"),
        ("GET", "/v1/suppliers"): ("admin", "auditor", "dpf", "es", "sho"),
        ("GET", "/v1/updates"): ("admin", "auditor", "dpf", "es", "sho"),
        ("GET", "/v1/validation-requests/<request_id>"): ("dpf", "ro-relay", "sho"),
        ("GET", "/v1/validations/<request_id>"): ("sho",),
        ("GET", "/v1/watches"): ("sho",),
        ("GET", "/v1/results/<result_id>"): ("auditor", "dpf", "sho"),
        ("GET", "/v1/results/<result_id>/bundle"): ("auditor", "dpf", "sho"),
        ("GET", "/v1/results/<result_id>/explanation"): ("auditor", "dpf", "sho"),
        ("GET", "/v1/policies"): ("auditor", "es", "sho"),
        ("GET", "/v1/policies/<digest>"): ("auditor", "es", "sho"),
        ("POST", "/v1/policies"): ("es", "sho"),
        ("POST", "/v1/policies/check"): ("es", "sho"),
        ("POST", "/v1/policies/dry-run"): ("es", "sho"),
        ("POST", "/v1/policies/<digest>/activate"): ("es", "sho"),
        ("POST", "/v1/policies/<digest>/retire"): ("es", "sho"),
        ("POST", "/v1/approvals"): ("sho",),
        ("POST", "/v1/manifest-checks"): ("admin", "es"),
        ("POST", "/v1/manifests"): ("admin", "es"),
        ("POST", "/v1/manifests/<digest>/approvals"): ("admin",),
        ("POST", "/v1/manifests/<digest>/retirement"): ("admin",),
        ("POST", "/v1/suppliers"): ("admin",),
        ("POST", "/v1/update-approvals"): ("sho",),
        ("POST", "/v1/updates"): ("admin", "es"),
        ("POST", "/v1/updates/<digest>/pause"): ("admin", "es"),
        ("POST", "/v1/updates/<digest>/resume"): ("admin", "es"),
        ("POST", "/v1/updates/<digest>/share"): ("admin", "es"),
        ("POST", "/v1/validation-requests"): ("dpf", "ro-relay", "sho"),
        ("POST", "/v1/validations"): ("sho",),
        ("POST", "/v1/watches"): ("sho",),
        ("POST", "/v1/watches/<watch_id>/end"): ("sho",),
        **LOG,
    },
    ("pva", "dashboard"): {
        ("GET", "/"): PEOPLE,
        ("GET", "/approvals"): ("admin",),
        ("GET", "/assets/<path:name>"): PEOPLE,
        ("GET", "/devices"): ("auditor", "dpf", "es", "sho"),
        ("GET", "/devices/<device_id>"): ("auditor", "dpf", "es", "sho"),
        ("GET", "/log"): PEOPLE,
        ("GET", "/log/records"): ("admin", "auditor"),
        ("GET", "/log/records/<leaf_hash>"): ("admin", "auditor"),
        ("GET", "/manifests"): PEOPLE,
        ("GET", "/manifests/<digest>"): PEOPLE,
        ("GET", "/policies"): ("auditor", "es", "sho"),
        ("GET", "/policies/<digest>"): ("auditor", "es", "sho"),
        ("GET", "/suppliers"): PEOPLE,
        ("GET", "/updates"): PEOPLE,
        ("GET", "/validations/<some_id>"): ("auditor", "dpf", "sho"),
        ("POST", "/administrators/<administrator_digest>/approvals"): ("admin",),
        ("POST", "/manifests/<digest>/approvals"): ("admin",),
        ("POST", "/manifests/<digest>/retirement"): ("admin",),
        ("POST", "/proposals/<digest>/approvals"): ("admin",),
        ("POST", "/proposals/<digest>/withdrawal"): ("admin",),
        ("POST", "/administrators/<administrator_digest>/withdrawal"): ("admin",),
        ("POST", "/policies/<digest>/activate"): ("es", "sho"),
        ("POST", "/policies/<digest>/retire"): ("es", "sho"),
        ("POST", "/updates/<digest>"): ("admin", "es"),
        ("POST", "/updates/<digest>/pause"): ("admin", "es"),
        ("POST", "/updates/<digest>/resume"): ("admin", "es"),
        ("POST", "/updates/<digest>/share"): ("admin", "es"),
    },
    ("ocsp", "operator"): {
        **DESCRIPTION,
        ("POST", "/v1/ocsp"): ("auditor", "dpf", "sho"),
        ("POST", "/v1/results"): ("pva",),
    },
    ("vno-1", "device"): {
        ("POST", "/v1/attach"): ("device",),
        ("POST", "/v1/attach/<session>"): ("device",),
    },
    ("vno-1", "operator"): {**DESCRIPTION, **LOG},
    ("icf-1", "operator"): {
        **DESCRIPTION,
        **LOG,
        ("POST", "/v1/attachments"): ("vno",),
        ("POST", "/v1/authentication-vectors"): ("vno",),
        ("PUT", "/v1/subscribers/<pcid>"): ("ccif",),
    },
    ("ccif-1", "operator"): {
        **DESCRIPTION,
        **LOG,
        ("POST", "/v1/connectivity"): ("es",),
    },
    ("drf-1", "device"): {
        ("POST", "/v1/discovery"): ("device",),
        ("POST", "/v1/registrations"): ("device",),
    },
    ("drf-1", "operator"): {
        **DESCRIPTION,
        **LOG,
        ("GET", "/v1/validation-relay/<request_id>"): ("sho",),
        ("POST", "/v1/attachments"): ("icf",),
        ("POST", "/v1/validation-relay"): ("sho",),
        ("PUT", "/v1/orders/<order_id>"): ("sho",),
    },
    ("sho-1", "public"): {
        ("POST", "/v1/orders/<order_id>/release-decisions"): ("public",),
        ("GET", "/register"): ("public",),
        ("GET", "/v1/orders/<order_id>"): ("public",),
        ("POST", "/register"): ("public",),
        ("POST", "/v1/orders"): ("public",),
    },
    ("sho-1", "operator"): {
        ("GET", "/v1/orders/<order_id>/releases"): ("admin",),
        ("POST", "/v1/attachments"): ("vno",),
        ("POST", "/v1/orders/<order_id>/releases"): ("admin",),
        ("POST", "/v1/releases"): ("sho",),
        **ADMINISTRATORS,
        **DESCRIPTION,
        ("POST", "/v1/authentication-vectors"): ("vno",),
        ("GET", "/v1/orders/<order_id>/mid"): ("admin",),
        ("POST", "/v1/orders/<order_id>/mid"): ("admin",),
        ("GET", "/v1/orders/<order_id>/migrations"): ("admin",),
        ("POST", "/v1/orders/<order_id>/migrations"): ("admin",),
        ("POST", "/v1/migrations/<migration_id>/abort"): ("admin",),
        ("GET", "/v1/orders/<order_id>/updates"): ("admin",),
        ("POST", "/v1/orders/<order_id>/updates"): ("admin",),
        ("POST", "/v1/mid-steps"): ("dpf",),
        ("POST", "/v1/receipts"): ("dpf",),
        ("POST", "/v1/registrations"): ("drf",),
        ("POST", "/v1/results"): ("pva",),
        **LOG,
        ("POST", "/v1/state-events"): ("pva",),
        ("POST", "/v1/update-approvals"): ("dpf",),
    },
    ("dpf-1", "device"): {
        ("GET", "/v1/deliveries/<delivery_id>"): ("device",),
        ("GET", "/v1/deliveries/<delivery_id>/content"): ("device",),
        ("POST", "/v1/deliveries"): ("device",),
        ("POST", "/v1/deliveries/<delivery_id>/receipt"): ("device",),
        ("POST", "/v1/mid-steps"): ("device",),
        ("POST", "/v1/update-approvals"): ("device",),
    },
    ("dpf-1", "operator"): {
        **DESCRIPTION,
        ("GET", "/v1/authorizations/<authorization_id>"): ("sho",),
        ("POST", "/v1/authorizations"): ("sho",),
        ("POST", "/v1/results"): ("pva",),
        **LOG,
        ("POST", "/v1/state-events"): ("pva",),
    },
}


@dataclass(frozen=True, kw_only=True)
class Route:
    """One route of one listener."""

    service: str
    listener: str
    method: str
    rule: str
    roles: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.service}-{self.listener}-{self.method}-{self.rule}"


ROUTES = [
    Route(service=service, listener=listener, method=method, rule=rule, roles=roles)
    for (service, listener), routes in TABLES.items()
    for (method, rule), roles in routes.items()
]
