"""The PVA as administrators, overseers and operators call it about suppliers: trust lists, suspensions, proposals."""

from dataclasses import dataclass
from urllib.parse import quote

from clients.pages import every_page
from clients.pva_answers import LIST_MAX, PvaAnswerError, decoded, fields_of
from clients.suspensions import SuspensionEntry, optional_text, read_suspension, read_suspensions
from edge.http_client import HttpClient
from edge.repeating import named
from messages.errors import MessageError
from messages.trust_list import TrustedSupplier, read_supplier
from standards.pki.fingerprints import certificate_sha256

JOSE = "application/jose"


@dataclass(frozen=True, slots=True, kw_only=True)
class CrlEntry:
    """A CRL that the status of credentials is read in; `state` is current, stale or missing."""

    url: str
    state: str
    next_update: str | None
    fault: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SupplierEntry:
    """A recognised supplier; `listed` is what it may vouch for, as a trust list would name it.

    `source` is the issuer of the trust list that names it until `listed_until`; both are empty where administrators
    recognised it by itself. `suspensions` is (model or None, since, reason) of what is suspended now;
    """

    listed: TrustedSupplier
    source: str
    listed_until: str | None
    recognised_by: str
    recognised_at: str
    suspensions: tuple[tuple[str | None, str, str], ...]
    crls: tuple[CrlEntry, ...]

    @property
    def supplier(self) -> str:
        """Its name."""
        return self.listed.name

    @property
    def root_sha256(self) -> str:
        """SHA-256 of its ES root, in hexadecimal."""
        return certificate_sha256(self.listed.root)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposalEntry:
    """What administrators agree on; `approvals` names who approved it so far, `done_at` is None while it waits."""

    digest: str
    kind: str
    subject: str
    approvals: tuple[str, ...]
    done_at: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustListEntry:
    """A trust list on record; `proposal` is there where its import waits for administrators."""

    issuer: str
    role: str
    sequence: int
    expires_at: str
    suppliers: tuple[str, ...]
    digest: str
    imported_by: str
    proposal: ProposalEntry | None


class PvaSupplierClient:
    """The operator listener, with the caller's certificate in `http`."""

    def __init__(self, http: HttpClient) -> None:
        """Talk to the operator listener that `http` points at."""
        self._http = http

    def recognise(
        self,
        *,
        supplier: str,
        root_pem: str,
        models: dict[str, str],
        ocsp_url: str | None = None,
        crls: tuple[tuple[str, str], ...] = (),
        tre_level_min: int | None = None,
    ) -> ProposalEntry:
        """Propose, or approve, that a supplier's ES root be recognised for models (name -> hwType) (admin).

        `crls` is (issuing CA as PEM, URL), in the place of `ocsp_url`.
        """
        body: dict[str, object] = {"supplier": supplier, "root": root_pem, "models": models}
        if crls:
            body["crls"] = [{"issuing_ca": pem, "url": url} for pem, url in crls]
        else:
            body["ocsp_url"] = ocsp_url
        if tre_level_min is not None:
            body["tre_level_min"] = tre_level_min
        return _proposal(self._http.post_json("/v1/suppliers", body))

    def suppliers(self) -> tuple[SupplierEntry, ...]:
        """Every recognised supplier."""
        answer = fields_of(every_page(self._http, "/v1/suppliers", "suppliers"), "suppliers")
        return tuple(_supplier(each) for each in answer.items("suppliers", size_max=LIST_MAX))

    def suspend(
        self, supplier: str, *, reason: str, model: str | None = None, key: str | None = None
    ) -> SuspensionEntry:
        """Suspend a supplier or one of its models at this PVA (admin); the same again changes nothing."""
        body = {"supplier": supplier, "model": model, "reason": reason}
        made = self._http.post_json("/v1/suspensions", body, headers=named(key))
        return read_suspension(made, refusal=PvaAnswerError)

    def suspensions(self) -> tuple[SuspensionEntry, ...]:
        """Every suspension at this PVA, oldest first."""
        return read_suspensions(
            every_page(self._http, "/v1/suspensions", "suspensions"), refusal=PvaAnswerError
        )

    def lift(self, suspension_id: str) -> ProposalEntry:
        """Approve the lifting of a suspension (admin)."""
        return _proposal(self._http.post_json(f"/v1/suspensions/{quote(suspension_id, safe='')}/lifting", {}))

    def import_trust_list(self, token: str) -> TrustListEntry:
        """Import a trust list (admin, or its own issuer); a list of the administrators becomes a proposal."""
        response = self._http.post(
            "/v1/trust-lists", token.encode(), content_type=JOSE, accept="application/json"
        )
        return _trust_list(decoded(response.body))

    def check_trust_list(self, token: str) -> TrustListEntry:
        """All that an import checks, and nothing is stored."""
        path = "/v1/trust-list-checks"
        response = self._http.post(path, token.encode(), content_type=JOSE, accept="application/json")
        return _trust_list(decoded(response.body))

    def trust_lists(self) -> tuple[TrustListEntry, ...]:
        """The newest list of each issuer."""
        answer = fields_of(every_page(self._http, "/v1/trust-lists", "trust_lists"), "trust lists")
        return tuple(_trust_list(each) for each in answer.items("trust_lists", size_max=LIST_MAX))

    def trust_list(self, issuer: str) -> str:
        """The newest list of an issuer, as it was signed."""
        response = self._http.get(f"/v1/trust-lists/{quote(issuer, safe='')}", accept=JOSE)
        return response.body.decode("ascii", errors="replace")

    def proposals(self) -> tuple[ProposalEntry, ...]:
        """What administrators agreed on, or are to agree on, newest first (admin, auditor)."""
        answer = fields_of(every_page(self._http, "/v1/proposals", "proposals"), "proposals")
        return tuple(_proposal(each) for each in answer.items("proposals", size_max=LIST_MAX))

    def approve(self, digest: str) -> ProposalEntry:
        """Approve what another administrator proposed (admin)."""
        return _proposal(self._http.post_json(f"/v1/proposals/{quote(digest, safe='')}/approvals", {}))

    def withdraw(self, digest: str) -> None:
        """Take back a proposal that waits (admin)."""
        self._http.post_json(f"/v1/proposals/{quote(digest, safe='')}/withdrawal", {})


def _supplier(value: object) -> SupplierEntry:
    fields = fields_of(value, "supplier")
    parts = [fields_of(each, "suspension") for each in fields.items("suspensions", size_max=LIST_MAX)]
    try:
        listed = read_supplier(fields.raw("listed"), what="supplier.listed")
    except MessageError as error:
        raise PvaAnswerError("supplier", "a supplier as a trust list names it", str(error)) from error
    source = fields.raw("source")
    return SupplierEntry(
        listed=listed,
        source=source if isinstance(source, str) else "",
        listed_until=optional_text(fields, "listed_until"),
        recognised_by=fields.text("recognised_by"),
        recognised_at=fields.text("recognised_at"),
        suspensions=tuple(
            (optional_text(each, "model"), each.text("since"), each.text("reason")) for each in parts
        ),
        crls=tuple(_crl(each) for each in fields.items("crls", size_max=LIST_MAX)),
    )


def _crl(value: object) -> CrlEntry:
    fields = fields_of(value, "crl")
    return CrlEntry(
        url=fields.text("url"),
        state=fields.text("state"),
        next_update=optional_text(fields, "next_update"),
        fault=optional_text(fields, "fault"),
    )


def _proposal(value: object) -> ProposalEntry:
    fields = fields_of(value, "proposal")
    given = fields.items("approvals", size_max=16)
    return ProposalEntry(
        digest=fields.hex("digest", size_min=32, size_max=32).hex(),
        kind=fields.text("kind"),
        subject=fields.text("subject"),
        approvals=tuple(fields_of(each, "approval").text("by") for each in given),
        done_at=optional_text(fields, "done_at"),
    )


def _trust_list(value: object) -> TrustListEntry:
    fields = fields_of(value, "trust list")
    proposed = "proposal" in fields and fields.raw("proposal") is not None
    return TrustListEntry(
        issuer=fields.text("issuer"),
        role=fields.text("role"),
        sequence=fields.integer("sequence"),
        expires_at=fields.text("expires_at"),
        suppliers=fields.texts("suppliers", size_max=LIST_MAX),
        digest=fields.hex("digest", size_min=32, size_max=32).hex(),
        imported_by=fields.text("imported_by"),
        proposal=_proposal(fields.raw("proposal")) if proposed else None,
    )
