"""For every route with mutual TLS: what its caller's tenant decides, and the test that shows it with another tenant.

`tests.authorization_document` writes docs/AUTHORIZATION.md from this and from `route_tables`; a route that is missing here
fails tests/house/test_authorization.py. The rule everywhere: the tenant is that of the certificate, whatever a body says.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantRule:
    """`says` is a sentence; `shown` names a test as FILE::FUNCTION below tests, or is None where no tenant owns anything."""

    says: str
    shown: str | None = None


Rules = dict[tuple[str, str], TenantRule]

EVERYBODYS: Final = TenantRule(says="the same for all whom it serves")
WHOLE: Final = TenantRule(says="for those who act for the whole service")
SIGNED: Final = TenantRule(says="believed for its signature, not for who brings it")
LOG: Final = "digests for all, records for administrators and auditors"

TLS: Final = "end_to_end/test_route_tables.py::"
_CA: Final = f"{TLS}test_another_supplier_gets_nothing_at_the_ca"
_PVA: Final = "end_to_end/test_authorization_matrix.py::test_another_tenant_cannot_tell_a_thing_from_none"
_PVA_LISTS: Final = "end_to_end/test_authorization_matrix.py::test_a_list_holds_nothing_of_another_tenant"
_UPDATES: Final = "contract/test_pva_updates.py::test_what_cannot_be_announced_is_not"
_DASHBOARD: Final = "contract/test_dashboard.py::"
_FEEDS: Final = "unit/ca/test_batch_feeds.py::"


def own(says: str, shown: str) -> TenantRule:
    """A rule that tells tenants apart."""
    return TenantRule(says=says, shown=shown)


LOG_RULES: Final[Rules] = {
    ("GET", "/v1/log/checkpoint"): TenantRule(says=LOG),
    ("GET", "/v1/log/leaves/<leaf_hash>"): WHOLE,
    ("GET", "/v1/log/proofs/<leaf_hash>"): TenantRule(says=LOG),
    ("GET", "/v1/log/records"): WHOLE,
    ("GET", "/v1/log/tile/<int:level>/<path:tile>"): TenantRule(says=LOG),
    ("GET", "/v1/log/tile/entries/<path:tile>"): TenantRule(says=LOG),
}
_ADMINISTRATORS: Final = own(
    "an administrator's own tenant; an auditor reads all",
    "contract/test_administrators.py::test_another_tenants_administrators_are_nobodys_business",
)
ADMINISTRATOR_RULES: Final[Rules] = {
    ("GET", "/v1/administrators"): _ADMINISTRATORS,
    ("POST", "/v1/administrators"): _ADMINISTRATORS,
    ("POST", "/v1/administrators/<administrator_digest>/approvals"): _ADMINISTRATORS,
    ("POST", "/v1/administrators/<administrator_digest>/withdrawal"): _ADMINISTRATORS,
    ("POST", "/v1/administrators/<key_digest>/removal"): _ADMINISTRATORS,
}
DESCRIPTION_RULES: Final[Rules] = {("GET", "/docs"): EVERYBODYS, ("GET", "/openapi.json"): EVERYBODYS}

CA_RULES: Final[Rules] = {
    ("GET", "/v1/es-roots"): EVERYBODYS,
    ("GET", "/v1/roots"): EVERYBODYS,
    ("GET", "/v1/issuing-cas"): own("a supplier sees its own", _CA),
    ("GET", "/v1/platform-credentials/<ca_id>/<serial>"): own(
        "a supplier sees its own", "unit/ca/test_web.py::test_another_supplier_sees_and_moves_nothing"
    ),
    ("GET", "/v1/status-changes"): WHOLE,
    ("GET", "/v1/suspensions"): own("a supplier sees its own", _CA),
    ("POST", "/v1/suspensions"): own("a supplier suspends what is its own", _CA),
    ("POST", "/v1/trust-lists"): own(
        "an overseer's list counts for its issuer alone",
        "unit/ca/test_accreditations.py::test_lists_of_strangers_are_refused",
    ),
    ("POST", "/v1/suspensions/<suspension_id>/lifting"): WHOLE,
    ("GET", "/v1/batch-feeds/<feed>"): own(
        "another supplier's is not found", f"{_FEEDS}test_another_supplier_sees_nothing_of_a_feed"
    ),
    ("POST", "/v1/batch-feeds"): own(
        "for the caller's supplier", f"{_FEEDS}test_a_head_signed_by_another_supplier_is_refused"
    ),
    ("POST", "/v1/batch-feeds/<feed>/chunks/<number>"): own(
        "another supplier's is not found", f"{_FEEDS}test_another_supplier_sees_nothing_of_a_feed"
    ),
    ("POST", "/v1/batch-feeds/<feed>/import"): own(
        "another supplier's is not found", f"{_FEEDS}test_another_supplier_sees_nothing_of_a_feed"
    ),
    ("POST", "/v1/batches"): own(
        "for the caller's supplier",
        "unit/ca/test_batches.py::test_a_list_signed_by_another_supplier_is_refused",
    ),
    ("POST", "/v1/certificates/<serial>/revocation"): own("a supplier revokes its own", _CA),
    ("POST", "/v1/devices/<device_id>/reopening"): own("a supplier reopens its own", _CA),
    ("POST", "/v1/es-roots"): WHOLE,
    ("POST", "/v1/issuing-cas"): WHOLE,
    ("POST", "/v1/issuing-cas/<ca_id>/certificate"): WHOLE,
    ("POST", "/v1/issuing-cas/<ca_id>/crl-partitions"): WHOLE,
    ("POST", "/v1/issuing-cas/<ca_id>/rollover"): WHOLE,
    ("GET", "/v1/est-enrollments"): WHOLE,
    ("POST", "/v1/issuing-ca-certificates"): WHOLE,
    ("POST", "/v1/est-enrollments"): WHOLE,
    ("POST", "/v1/roots/<ca_id>/rollover"): WHOLE,
    ("POST", "/v1/manifests"): own(
        "for the caller's supplier",
        "unit/ca/test_manifests.py::test_a_manifest_of_another_supplier_is_refused",
    ),
    ("POST", "/v1/ocsp-delegates"): own(
        "a responder's registered key alone",
        "unit/ca/test_certification.py::test_any_other_responder_key_is_refused",
    ),
    ("POST", "/v1/operator-certificates"): WHOLE,
    ("GET", "/v1/key-proposals"): WHOLE,
    ("POST", "/v1/key-proposals/<digest>/approvals"): WHOLE,
    ("POST", "/v1/key-proposals/<digest>/withdrawal"): WHOLE,
    **ADMINISTRATOR_RULES,
    ("POST", "/v1/platform-credentials/<serial>/hold"): WHOLE,
    ("POST", "/v1/platform-credentials/<serial>/hold-lifting"): WHOLE,
    ("POST", "/v1/platform-credentials/<serial>/recovery"): WHOLE,
    ("POST", "/v1/platform-credentials/<serial>/release"): own(
        "a supplier releases its own", "unit/ca/test_holds.py::test_another_supplier_releases_nothing"
    ),
    ("POST", "/v1/reissues"): own("a supplier reissues its own; a PVA acts for the whole service", _CA),
    ("POST", "/v1/station-exchanges"): own(
        "another supplier's device is answered like one that nobody listed",
        "unit/ca/test_stations.py::test_another_suppliers_device_is_answered_like_an_unlisted_one",
    ),
    ("POST", "/v1/platform-credentials/<serial>/renewal"): WHOLE,
    ("POST", "/v1/platform-credentials/<serial>/revocation"): own(
        "a supplier revokes its own", "unit/ca/test_web.py::test_another_supplier_sees_and_moves_nothing"
    ),
    ("POST", "/v1/supplier-certificates"): own("a supplier has its own keys certified", _CA),
    ("POST", "/v1/tls-certificates"): WHOLE,
    **LOG_RULES,
}

_MANIFEST: Final = "a supplier sees its own; relying parties, whom all are offered, see all"
_UPDATE: Final = "a supplier's own; another's is refused"
_RELYING: Final = "what the caller asked for itself; another's is not found"
_SUPPLIER_SENDS: Final = "contract/test_pva_web_supply.py::test_a_supplier_speaks_only_for_itself"
_REQUESTS: Final = (
    "end_to_end/test_pva_relying_parties.py::test_a_relay_learns_pass_or_fail_and_nobody_hands_in_anothers"
)

PVA_RULES: Final[Rules] = {
    **ADMINISTRATOR_RULES,
    ("GET", "/v1/proposals"): WHOLE,
    ("GET", "/v1/suspensions"): EVERYBODYS,
    ("GET", "/v1/suppliers"): EVERYBODYS,
    ("GET", "/v1/trust-lists"): EVERYBODYS,
    ("GET", "/v1/trust-lists/<issuer>"): EVERYBODYS,
    ("POST", "/v1/proposals/<digest>/approvals"): WHOLE,
    ("POST", "/v1/proposals/<digest>/withdrawal"): WHOLE,
    ("POST", "/v1/suspensions"): WHOLE,
    ("POST", "/v1/suspensions/<suspension_id>/lifting"): WHOLE,
    ("POST", "/v1/trust-list-checks"): SIGNED,
    ("POST", "/v1/trust-lists"): own(
        "who is no administrator imports its own",
        "contract/test_pva_suppliers.py::test_lists_of_strangers_and_of_other_times",
    ),
    ("GET", "/v1/manifests"): own(_MANIFEST, _PVA_LISTS),
    ("GET", "/v1/manifests/<digest>"): own(_MANIFEST, _PVA),
    ("GET", "/v1/updates"): own(
        "a supplier sees its own",
        "contract/test_pva_updates.py::test_an_announcement_is_made_once_and_each_change_is_on_record",
    ),
    ("GET", "/v1/validation-requests/<request_id>"): own(
        "signer and relay see their own; another's is not found", _REQUESTS
    ),
    ("GET", "/v1/validations/<request_id>"): own(_RELYING, _PVA),
    ("GET", "/v1/watches"): own("an operator sees its own", _PVA_LISTS),
    ("GET", "/v1/results/<result_id>"): own(f"{_RELYING}; an auditor reads all", _PVA),
    ("GET", "/v1/results/<result_id>/bundle"): own(f"{_RELYING}; an auditor reads all", _PVA),
    ("GET", "/v1/results/<result_id>/explanation"): own(f"{_RELYING}; an auditor reads all", _PVA),
    ("GET", "/v1/policies"): own("an owner sees its own; an auditor reads all", _PVA_LISTS),
    ("GET", "/v1/policies/<digest>"): own("an owner's own; an auditor reads all", _PVA),
    ("POST", "/v1/policies"): own("for the caller as owner", _PVA_LISTS),
    ("POST", "/v1/policies/check"): EVERYBODYS,
    ("POST", "/v1/policies/dry-run"): own(
        "tried on results that the caller asked for",
        "contract/test_pva_policy_web.py::test_a_dry_run_tells_an_operator_which_verdicts_and_nobody_else",
    ),
    ("POST", "/v1/policies/<digest>/activate"): own("an owner's own; another's is not found", _PVA),
    ("POST", "/v1/policies/<digest>/retire"): own("an owner's own; another's is not found", _PVA),
    ("POST", "/v1/approvals"): own(
        "for the caller's own result",
        "unit/pva/updates/test_approvals.py::test_nobody_else_has_a_result_approved",
    ),
    ("POST", "/v1/manifest-checks"): own("a supplier sends its own", _SUPPLIER_SENDS),
    ("POST", "/v1/manifests"): own("a supplier sends its own", _SUPPLIER_SENDS),
    ("POST", "/v1/manifests/<digest>/approvals"): WHOLE,
    ("POST", "/v1/manifests/<digest>/retirement"): WHOLE,
    ("POST", "/v1/suppliers"): WHOLE,
    ("POST", "/v1/update-approvals"): own(
        "for the caller's own result and order",
        "contract/test_pva_updates.py::test_nobody_elses_result_or_order_gets_approvals",
    ),
    ("POST", "/v1/updates"): own(_UPDATE, _UPDATES),
    ("POST", "/v1/updates/<digest>/pause"): own(_UPDATE, _UPDATES),
    ("POST", "/v1/updates/<digest>/resume"): own(_UPDATE, _UPDATES),
    ("POST", "/v1/updates/<digest>/share"): own(_UPDATE, _UPDATES),
    ("POST", "/v1/validation-requests"): own("signed by the caller, or handed in by a relay", _REQUESTS),
    ("POST", "/v1/validations"): own("for the caller", _PVA),
    ("POST", "/v1/watches"): own("for the caller, with a passing result of its own", _PVA_LISTS),
    ("POST", "/v1/watches/<watch_id>/end"): own("an operator's own; another's is not found", _PVA),
    **LOG_RULES,
}

_ROWS: Final = f"{_DASHBOARD}test_a_relying_party_sees_what_it_asked_for_itself"
_SUPPLIERS_OWN: Final = f"{_DASHBOARD}test_a_supplier_sees_its_own_manifests_updates_and_policies"
_FORMS: Final = "contract/test_dashboard_forms.py::"

DASHBOARD_RULES: Final[Rules] = {
    ("GET", "/"): own("numbers of what the reader may count", _ROWS),
    ("GET", "/approvals"): WHOLE,
    ("GET", "/assets/<path:name>"): EVERYBODYS,
    ("GET", "/devices"): own("devices that the reader asked about, or its own", _ROWS),
    ("GET", "/devices/<device_id>"): own("devices that the reader asked about, or its own", _ROWS),
    ("GET", "/log"): EVERYBODYS,
    ("GET", "/log/records"): WHOLE,
    ("GET", "/log/records/<leaf_hash>"): WHOLE,
    ("GET", "/manifests"): own("a supplier sees its own", _SUPPLIERS_OWN),
    ("GET", "/manifests/<digest>"): own("a supplier sees its own", _SUPPLIERS_OWN),
    ("GET", "/policies"): own("an owner sees its own; an auditor reads all", _SUPPLIERS_OWN),
    ("GET", "/policies/<digest>"): own("an owner's own; an auditor reads all", _SUPPLIERS_OWN),
    ("GET", "/suppliers"): EVERYBODYS,
    ("GET", "/updates"): own("a supplier sees its own", _SUPPLIERS_OWN),
    ("GET", "/validations/<some_id>"): own(f"{_RELYING}; an auditor reads all", _ROWS),
    ("POST", "/administrators/<administrator_digest>/approvals"): _ADMINISTRATORS,
    ("POST", "/administrators/<administrator_digest>/withdrawal"): _ADMINISTRATORS,
    ("POST", "/manifests/<digest>/approvals"): WHOLE,
    ("POST", "/manifests/<digest>/retirement"): WHOLE,
    ("POST", "/proposals/<digest>/approvals"): WHOLE,
    ("POST", "/proposals/<digest>/withdrawal"): WHOLE,
    ("POST", "/policies/<digest>/activate"): own(
        "an owner's own", f"{_FORMS}test_a_policy_is_read_retired_and_put_in_force_by_its_owner"
    ),
    ("POST", "/policies/<digest>/retire"): own(
        "an owner's own", f"{_FORMS}test_a_policy_is_read_retired_and_put_in_force_by_its_owner"
    ),
    **{
        ("POST", f"/updates/<digest>{step}"): own(
            _UPDATE, f"{_FORMS}test_an_update_is_widened_paused_and_resumed_by_its_supplier"
        )
        for step in ("", "/pause", "/resume", "/share")
    },
}

_ACCESS: Final = "end_to_end/test_access.py::"
_VECTORS: Final = f"{_ACCESS}test_a_network_gets_vectors_for_itself_only"
_DRF: Final = "end_to_end/test_drf_process.py::"
_DPF_OF_SHO: Final = own(
    "this operator's own DPF alone", f"{TLS}test_the_dpf_of_another_operator_learns_nothing"
)

TENANT_RULES: Final[dict[tuple[str, str], Rules]] = {
    ("ca", "operator"): CA_RULES | DESCRIPTION_RULES,
    ("pva", "operator"): PVA_RULES | DESCRIPTION_RULES,
    ("pva", "dashboard"): DASHBOARD_RULES,
    ("ocsp", "operator"): {
        ("POST", "/v1/ocsp"): own(
            "the state only of who is in the result's audience; an auditor reads all",
            "end_to_end/test_states_by_ocsp.py::test_who_asked_for_a_validation_finds_it_beside_the_status",
        ),
        ("POST", "/v1/results"): SIGNED,
        **DESCRIPTION_RULES,
    },
    ("vno-1", "operator"): LOG_RULES | DESCRIPTION_RULES,
    ("icf-1", "operator"): {
        ("POST", "/v1/attachments"): own("a network speaks for itself", _VECTORS),
        ("POST", "/v1/authentication-vectors"): own("a network gets them for itself", _VECTORS),
        ("PUT", "/v1/subscribers/<pcid>"): own(
            "a PCID keeps the key that it came with",
            "unit/operators/icf/test_icf.py::test_another_key_under_a_known_pcid_is_refused",
        ),
        **LOG_RULES,
        **DESCRIPTION_RULES,
    },
    ("ccif-1", "operator"): {
        ("POST", "/v1/connectivity"): own(
            "a device keeps the factory that asked first",
            f"{_ACCESS}test_a_device_of_another_factory_gets_nothing",
        ),
        **LOG_RULES,
        **DESCRIPTION_RULES,
    },
    ("drf-1", "operator"): {
        ("GET", "/v1/validation-relay/<request_id>"): own(
            "an operator's own; another's is not found",
            f"{_DRF}test_a_relayed_request_reaches_the_pva_unchanged_and_its_answer_the_operator",
        ),
        ("POST", "/v1/attachments"): own(
            "an ICF's own", "unit/operators/drf/test_drf.py::test_one_icf_cannot_take_anothers_attachment"
        ),
        ("POST", "/v1/validation-relay"): own(
            "an operator that this DRF carries for",
            f"{_DRF}test_a_relayed_request_reaches_the_pva_unchanged_and_its_answer_the_operator",
        ),
        ("PUT", "/v1/orders/<order_id>"): own(
            "an order is its operator's",
            "unit/operators/drf/test_drf.py::test_orders_of_one_number_of_two_operators_are_two",
        ),
        **LOG_RULES,
        **DESCRIPTION_RULES,
    },
    ("sho-1", "operator"): {
        ("POST", "/v1/authentication-vectors"): own(
            "a network gets them for itself", f"{TLS}test_a_network_gets_vectors_of_an_operator_for_itself"
        ),
        ("POST", "/v1/attachments"): own(
            "a network tells of its own subscribers",
            "contract/test_sho_change_web.py::test_a_network_tells_of_its_own_attachments_alone",
        ),
        **ADMINISTRATOR_RULES,
        ("GET", "/v1/orders/<order_id>/mid"): WHOLE,
        ("POST", "/v1/orders/<order_id>/mid"): WHOLE,
        ("GET", "/v1/orders/<order_id>/migrations"): WHOLE,
        ("POST", "/v1/orders/<order_id>/migrations"): WHOLE,
        ("POST", "/v1/migrations/<migration_id>/abort"): WHOLE,
        ("GET", "/v1/orders/<order_id>/updates"): WHOLE,
        ("POST", "/v1/orders/<order_id>/updates"): WHOLE,
        ("GET", "/v1/orders/<order_id>/releases"): WHOLE,
        ("POST", "/v1/orders/<order_id>/releases"): WHOLE,
        ("POST", "/v1/mid-steps"): _DPF_OF_SHO,
        ("POST", "/v1/receipts"): own(
            "this operator's own DPF alone; believed for the TRE's signature",
            "contract/test_sho_web.py::test_the_dpf_of_another_operator_learns_and_moves_nothing",
        ),
        ("POST", "/v1/registrations"): TenantRule(says="the device proves itself, by whichever DRF it comes"),
        ("POST", "/v1/releases"): own(
            "a successor asks for itself, and its settings name it",
            "contract/test_sho_change_web.py::test_nobody_else_is_answered",
        ),
        ("POST", "/v1/results"): SIGNED,
        ("POST", "/v1/state-events"): SIGNED,
        ("POST", "/v1/update-approvals"): _DPF_OF_SHO,
        **LOG_RULES,
        **DESCRIPTION_RULES,
    },
    ("dpf-1", "operator"): {
        ("GET", "/v1/authorizations/<authorization_id>"): own(
            "an operator's own; another's is not found",
            "end_to_end/test_dpf_process.py::test_an_authorisation_needs_its_own_operators_certificate",
        ),
        ("POST", "/v1/authorizations"): own(
            "signed by the caller",
            "end_to_end/test_dpf_process.py::test_an_authorisation_needs_its_own_operators_certificate",
        ),
        ("POST", "/v1/results"): SIGNED,
        ("POST", "/v1/state-events"): SIGNED,
        **LOG_RULES,
        **DESCRIPTION_RULES,
    },
}
