"""Routes of the hierarchies: ES roots and issuing CAs."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from flask import Blueprint

from ca.hierarchy import Hierarchy
from ca.key_algorithms import KeyAlgorithm
from ca.profiles import Kind
from ca.records import Authority, Model
from ca.revocation_lists import RevocationLists
from ca.rollover import Rollover
from ca.template import Places
from ca.web import bodies
from ca.web.answers import Answer, caller
from edge.bodies import json_body
from edge.principals import ROLES, require

ROOT_KINDS = (Kind.ES_ROOT, Kind.OPERATORS_ROOT, Kind.TLS_ROOT)


class CatalogueRecords(Protocol):
    """Port to what the lists show."""

    def authority(self, ca_id: str) -> Authority | None:
        """The CA with this id."""

    def authorities(self, *kinds: Kind) -> list[Authority]:
        """All CAs of these kinds."""

    def models_of(self, *, supplier: str | None = None, ca_id: str | None = None) -> list[Model]:
        """Models of a supplier or of an issuing CA."""


class CatalogueStore(Protocol):
    """Port to transactions over them."""

    def reading(self) -> AbstractContextManager[CatalogueRecords]:
        """A transaction that cannot change anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """Says of an issuing CA what its callers need; `places` gives the URLs of a CA."""

    catalogue: CatalogueStore
    places: Callable[[str], Places]

    def issuing_ca(self, authority: Authority) -> dict[str, Any]:
        """The issuing CA with its root and models."""
        with self.catalogue.reading() as records:
            root = records.authority(authority.parent or "")
            models = records.models_of(ca_id=authority.ca_id)
        if root is None:
            raise LookupError(f"the issuing CA {authority.ca_id} has no root on record")
        where = self.places(authority.ca_id)
        return bodies.issuing_ca_body(
            authority, root=root, models=models, crl_url=where.crl_url, ocsp_url=where.ocsp_url
        )


def root_routes(hierarchy: Hierarchy, *, rollover: Rollover, catalogue: CatalogueStore) -> Blueprint:
    """ES roots, and every root with its generations of keys."""
    routes = Blueprint("roots", __name__)

    @routes.post("/v1/es-roots")
    @require("admin")
    def create_es_root() -> Answer:
        body = json_body(bodies.NewEsRoot)
        if body.certificate is None:
            algorithm = KeyAlgorithm(body.algorithm)
            root = hierarchy.create_es_root(body.supplier, caller=caller(), algorithm=algorithm)
        else:
            root = hierarchy.import_es_root(body.supplier, certificate=body.certificate, caller=caller())
        return bodies.es_root_body(root), 201

    @routes.get("/v1/es-roots")
    @require(*sorted(ROLES))
    def list_es_roots() -> Answer:
        with catalogue.reading() as records:
            roots = records.authorities(Kind.ES_ROOT)
        return {"es_roots": [bodies.es_root_body(each) for each in roots if each.successor is None]}, 200

    @routes.get("/v1/roots")
    @require(*sorted(ROLES))
    def list_roots() -> Answer:
        with catalogue.reading() as records:
            found = records.authorities(*ROOT_KINDS)
        return {"roots": [bodies.root_body(each) for each in found]}, 200

    @routes.post("/v1/roots/<ca_id>/rollover")
    @require("admin")
    def roll_root(ca_id: str) -> Answer:
        body = json_body(bodies.NextKey)
        rollover.roll_root(ca_id, algorithm=KeyAlgorithm(body.algorithm), caller=caller())
        with catalogue.reading() as records:
            before = records.authority(ca_id)
            after = None if before is None else records.authority(before.successor or "")
        if before is None or after is None:
            raise LookupError(f"the root {ca_id} has no successor on record")
        return {"before": bodies.root_body(before), "after": bodies.root_body(after)}, 201

    return routes


def issuing_ca_routes(
    hierarchy: Hierarchy,
    *,
    rollover: Rollover,
    lists: RevocationLists,
    catalogue: CatalogueStore,
    places: Callable[[str], Places],
) -> Blueprint:
    """Issuing CAs; a supplier sees his own only."""
    routes = Blueprint("issuing-cas", __name__)
    described = Described(catalogue=catalogue, places=places).issuing_ca

    @routes.post("/v1/issuing-cas")
    @require("admin")
    def create_issuing_ca() -> Answer:
        body = json_body(bodies.NewIssuingCa)
        made = hierarchy.create_issuing_ca(
            body.supplier,
            title=body.name,
            models=body.models,
            tre_level=body.tre_level,
            caller=caller(),
            algorithm=KeyAlgorithm(body.algorithm),
        )
        return described(made), 201

    @routes.post("/v1/issuing-cas/<ca_id>/certificate")
    @require("admin")
    def complete_issuing_ca(ca_id: str) -> Answer:
        body = json_body(bodies.IssuingCertificate)
        made = hierarchy.complete_issuing_ca(ca_id, certificate=body.certificate, caller=caller())
        return described(made), 200

    @routes.post("/v1/issuing-cas/<ca_id>/rollover")
    @require("admin")
    def roll_issuing_ca(ca_id: str) -> Answer:
        body = json_body(bodies.NextKey)
        algorithm = KeyAlgorithm(body.algorithm)
        return described(rollover.roll_issuing_ca(ca_id, algorithm=algorithm, caller=caller())), 201

    @routes.post("/v1/issuing-cas/<ca_id>/crl-partitions")
    @require("admin")
    def divide(ca_id: str) -> Answer:
        body = json_body(bodies.Division)
        return described(lists.divide(ca_id, count=body.count, caller=caller())), 200

    @routes.get("/v1/issuing-cas")
    @require("ocsp", "pva", "admin", "es")
    def list_issuing_cas() -> Answer:
        who = caller()
        with catalogue.reading() as records:
            found = records.authorities(Kind.ISSUING_CA)
        mine = [each for each in found if who.role != "es" or each.supplier == who.tenant]
        return {"issuing_cas": [described(each) for each in mine]}, 200

    return routes
