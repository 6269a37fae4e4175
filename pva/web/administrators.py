"""The administrator of the present request, as dual control knows him: by name, by key, and by who is behind his certificate.

Rule: what is known of him comes from the TLS handshake and the table of principals, never from the request.
"""

from edge.principals import current_key_sha256, current_principal
from pva.manifests.approvals import Administrator


def current_administrator() -> Administrator:
    """Who approves, in a view that requires a role."""
    principal = current_principal()
    return Administrator(
        name=principal.name,
        key_sha256=current_key_sha256(),
        issued_at_request_of=principal.issued_at_request_of,
    )
