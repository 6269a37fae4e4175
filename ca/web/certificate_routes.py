"""Routes that certify keys of suppliers, services, people and responders."""

from flask import Blueprint

from ca.certification import Certification
from ca.web import bodies
from ca.web.answers import Answer, caller
from edge.bodies import json_body
from edge.principals import require


def certificate_routes(certification: Certification) -> Blueprint:
    """Each takes a CSR and answers with a certificate; the chain above it is known to the caller."""
    routes = Blueprint("certificates", __name__)

    @routes.post("/v1/supplier-certificates")
    @require("es", "admin")
    def certify_supplier() -> Answer:
        body = json_body(bodies.NewSupplierCertificate)
        made = certification.certify_supplier(
            body.supplier, purpose=body.purpose, csr=body.csr, caller=caller()
        )
        return {"certificate": bodies.certificate_pem(made)}, 201

    @routes.post("/v1/operator-certificates")
    @require("admin")
    def certify_operator() -> Answer:
        body = json_body(bodies.NewOperatorCertificate)
        made = certification.certify_operator(body.role, service=body.id, purpose=body.purpose, csr=body.csr)
        return {"certificate": bodies.certificate_pem(made)}, 201

    @routes.post("/v1/issuing-ca-certificates")
    @require("admin")
    def certify_issuing_ca() -> Answer:
        body = json_body(bodies.NewSubordinate)
        made = certification.certify_issuing_ca(
            body.supplier, title=body.name, tre_level=body.tre_level, csr=body.csr, caller=caller()
        )
        return {"certificate": bodies.certificate_pem(made)}, 201

    @routes.post("/v1/tls-certificates")
    @require("admin")
    def certify_tls() -> Answer:
        body = json_body(bodies.NewTlsCertificate)
        made = certification.certify_tls(
            body.kind, holder=body.name, csr=body.csr, dns=body.dns, addresses=body.ip
        )
        return {"certificate": bodies.certificate_pem(made)}, 201

    @routes.post("/v1/ocsp-delegates")
    @require("ocsp")
    def certify_responder() -> Answer:
        body = json_body(bodies.NewDelegate)
        made = certification.certify_responder(body.issuer, csr=body.csr, caller=caller())
        return {"certificate": bodies.certificate_pem(made)}, 201

    return routes
