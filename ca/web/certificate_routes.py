"""Routes that certify keys of suppliers, services, people and responders."""

from http import HTTPStatus

from flask import Blueprint

from ca.certification import Certification, operator_purpose
from ca.key_registrations import KeyProposal, KeyRegistrations
from ca.profiles import BY_TWO
from ca.web import bodies
from ca.web.answer_models import CertificateAnswer, OperatorCertificateAnswer
from ca.web.answers import caller
from ca.web.est_routes import proposal_body
from edge.operations import Told, answers, takes
from edge.principals import require


def certificate_routes(certification: Certification, registrations: KeyRegistrations) -> Blueprint:
    """Each takes a CSR and answers with a certificate; the chain above it is known to the caller."""
    routes = Blueprint("certificates", __name__)

    @routes.post("/v1/supplier-certificates")
    @require("es", "admin")
    @takes(bodies.NewSupplierCertificate)
    @answers(CertificateAnswer, HTTPStatus.CREATED)
    def certify_supplier(body: bodies.NewSupplierCertificate) -> Told:
        """Certify a signing key of a supplier."""
        made = certification.certify_supplier(
            body.supplier, purpose=body.purpose, csr=body.csr, caller=caller()
        )
        return {"certificate": bodies.certificate_pem(made)}

    @routes.post("/v1/operator-certificates")
    @require("admin")
    @takes(bodies.NewOperatorCertificate)
    @answers(OperatorCertificateAnswer, HTTPStatus.ACCEPTED, HTTPStatus.CREATED)
    def certify_operator(body: bodies.NewOperatorCertificate) -> Told:
        """Certify a signing key of an operator's service; of some purposes, once two administrators have registered it."""
        kind = operator_purpose(body.purpose)
        if kind not in BY_TWO:
            made = certification.certify_operator(
                body.role, service=body.id, purpose=body.purpose, csr=body.csr
            )
            return {"certificate": bodies.certificate_pem(made)}, HTTPStatus.CREATED
        outcome = registrations.certify(kind, role=body.role, service=body.id, csr=body.csr, caller=caller())
        if isinstance(outcome, KeyProposal):
            return {"certificate": None, "proposal": proposal_body(outcome)}, HTTPStatus.ACCEPTED
        return {"certificate": bodies.certificate_pem(outcome)}, HTTPStatus.CREATED

    @routes.post("/v1/issuing-ca-certificates")
    @require("admin")
    @takes(bodies.NewSubordinate)
    @answers(CertificateAnswer, HTTPStatus.CREATED)
    def certify_issuing_ca(body: bodies.NewSubordinate) -> Told:
        """Certify an issuing CA whose key is elsewhere, below a hosted root."""
        made = certification.certify_issuing_ca(
            body.supplier, title=body.name, tre_level=body.tre_level, csr=body.csr, caller=caller()
        )
        return {"certificate": bodies.certificate_pem(made)}

    @routes.post("/v1/tls-certificates")
    @require("admin")
    @takes(bodies.NewTlsCertificate)
    @answers(CertificateAnswer, HTTPStatus.CREATED)
    def certify_tls(body: bodies.NewTlsCertificate) -> Told:
        """Certify a TLS key of a service or a person."""
        made = certification.certify_tls(
            body.kind, holder=body.name, csr=body.csr, caller=caller(), dns=body.dns, addresses=body.ip
        )
        return {"certificate": bodies.certificate_pem(made)}

    @routes.post("/v1/ocsp-delegates")
    @require("ocsp")
    @takes(bodies.NewDelegate)
    @answers(CertificateAnswer, HTTPStatus.CREATED)
    def certify_responder(body: bodies.NewDelegate) -> Told:
        """Certify the registered key of an OCSP responder, for one issuing CA."""
        made = certification.certify_responder(body.issuer, csr=body.csr, caller=caller())
        return {"certificate": bodies.certificate_pem(made)}

    return routes
