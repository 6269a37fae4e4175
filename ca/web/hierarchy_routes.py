"""Routes of the hierarchies: ES roots and issuing CAs."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from http import HTTPStatus
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
from ca.web.answer_models import (
    EsRootAnswer,
    EsRootsAnswer,
    IssuingCaAnswer,
    IssuingCasAnswer,
    RolledRootAnswer,
    RootsAnswer,
)
from ca.web.answers import caller
from edge.operations import Told, answers, takes, takes_query
from edge.pages import Key, PageQuery, page_of
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
    @takes(bodies.NewEsRoot)
    @answers(EsRootAnswer, HTTPStatus.CREATED)
    def create_es_root(body: bodies.NewEsRoot) -> Told:
        """Make an ES root here, or import one that the supplier holds."""
        if body.certificate is None:
            algorithm = KeyAlgorithm(body.algorithm)
            root = hierarchy.create_es_root(body.supplier, caller=caller(), algorithm=algorithm)
        else:
            root = hierarchy.import_es_root(body.supplier, certificate=body.certificate, caller=caller())
        return bodies.es_root_body(root)

    @routes.get("/v1/es-roots")
    @require(*sorted(ROLES))
    @takes_query(PageQuery)
    @answers(EsRootsAnswer)
    def list_es_roots(query: PageQuery) -> Told:
        """List the present ES roots, oldest first."""
        with catalogue.reading() as records:
            roots = records.authorities(Kind.ES_ROOT)
        present = [each for each in roots if each.successor is None]
        return page_of("es_roots", present, query, key=_age, shown=bodies.es_root_body)

    @routes.get("/v1/roots")
    @require(*sorted(ROLES))
    @takes_query(PageQuery)
    @answers(RootsAnswer)
    def list_roots(query: PageQuery) -> Told:
        """List every root with its generations of keys, oldest first."""
        with catalogue.reading() as records:
            found = records.authorities(*ROOT_KINDS)
        return page_of("roots", found, query, key=_age, shown=bodies.root_body)

    @routes.post("/v1/roots/<ca_id>/rollover")
    @require("admin")
    @takes(bodies.NextKey)
    @answers(RolledRootAnswer, HTTPStatus.CREATED)
    def roll_root(body: bodies.NextKey, ca_id: str) -> Told:
        """Give a root its next key; both certify each other."""
        rollover.roll_root(ca_id, algorithm=KeyAlgorithm(body.algorithm), caller=caller())
        with catalogue.reading() as records:
            before = records.authority(ca_id)
            after = None if before is None else records.authority(before.successor or "")
        if before is None or after is None:
            raise LookupError(f"the root {ca_id} has no successor on record")
        return {"before": bodies.root_body(before), "after": bodies.root_body(after)}

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
    @takes(bodies.NewIssuingCa)
    @answers(IssuingCaAnswer, HTTPStatus.CREATED)
    def create_issuing_ca(body: bodies.NewIssuingCa) -> Told:
        """Make the issuing CA of a product line."""
        made = hierarchy.create_issuing_ca(
            body.supplier,
            title=body.name,
            models=body.models,
            tre_level=body.tre_level,
            caller=caller(),
            algorithm=KeyAlgorithm(body.algorithm),
        )
        return described(made)

    @routes.post("/v1/issuing-cas/<ca_id>/certificate")
    @require("admin")
    @takes(bodies.IssuingCertificate)
    @answers(IssuingCaAnswer)
    def complete_issuing_ca(body: bodies.IssuingCertificate, ca_id: str) -> Told:
        """Hand in the certificate that an imported root signed for an issuing CA."""
        made = hierarchy.complete_issuing_ca(ca_id, certificate=body.certificate, caller=caller())
        return described(made)

    @routes.post("/v1/issuing-cas/<ca_id>/rollover")
    @require("admin")
    @takes(bodies.NextKey)
    @answers(IssuingCaAnswer, HTTPStatus.CREATED)
    def roll_issuing_ca(body: bodies.NextKey, ca_id: str) -> Told:
        """Give an issuing CA its next key."""
        algorithm = KeyAlgorithm(body.algorithm)
        return described(rollover.roll_issuing_ca(ca_id, algorithm=algorithm, caller=caller()))

    @routes.post("/v1/issuing-cas/<ca_id>/crl-partitions")
    @require("admin")
    @takes(bodies.Division)
    @answers(IssuingCaAnswer)
    def divide(body: bodies.Division, ca_id: str) -> Told:
        """Spread the certificates of an issuing CA over several CRLs."""
        return described(lists.divide(ca_id, count=body.count, caller=caller()))

    @routes.get("/v1/issuing-cas")
    @require("ocsp", "pva", "admin", "es")
    @takes_query(PageQuery)
    @answers(IssuingCasAnswer)
    def list_issuing_cas(query: PageQuery) -> Told:
        """List issuing CAs, oldest first; a supplier sees its own."""
        who = caller()
        with catalogue.reading() as records:
            found = records.authorities(Kind.ISSUING_CA)
        mine = [each for each in found if who.role != "es" or each.supplier == who.tenant]
        return page_of("issuing_cas", mine, query, key=_age, shown=described)

    return routes


def _age(authority: Authority) -> Key:
    return (authority.created_at, authority.ca_id)
