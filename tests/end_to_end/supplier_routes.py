"""Routes of a PVA about suppliers, with who may call them; part of the tables of `test_route_tables`."""

SUPPLIERS: dict[tuple[str, str], tuple[str, ...]] = {
    ("GET", "/v1/proposals"): ("admin", "auditor"),
    ("GET", "/v1/suspensions"): ("admin", "auditor", "dpf", "es", "sho"),
    ("GET", "/v1/trust-lists"): ("admin", "auditor", "dpf", "es", "overseer", "sho"),
    ("GET", "/v1/trust-lists/<issuer>"): ("admin", "auditor", "dpf", "es", "overseer", "sho"),
    ("POST", "/v1/proposals/<digest>/approvals"): ("admin",),
    ("POST", "/v1/proposals/<digest>/withdrawal"): ("admin",),
    ("POST", "/v1/suspensions"): ("admin",),
    ("POST", "/v1/suspensions/<suspension_id>/lifting"): ("admin",),
    ("POST", "/v1/trust-list-checks"): ("admin", "dpf", "overseer", "sho"),
    ("POST", "/v1/trust-lists"): ("admin", "dpf", "overseer", "sho"),
}
