"""The certification authority as a PVA calls it: Platform Credentials are held for results, recoveries are noted.

The one rule: what is asked again changes nothing, so a caller that got no answer may ask until it has one.
"""

from collections.abc import Sequence

from clients.ca_answers import read
from clients.ca_bodies import IssuedBody, IssuedCredential
from edge.http_client import HttpClient


class CaHoldClient:
    """Client of the CA's operator listener in the role `pva`; errors of `edge.http_client` pass through."""

    def __init__(self, http: HttpClient) -> None:
        """Use `http`, which holds the URL and the mutual TLS."""
        self._http = http

    def hold(self, issuer: str, serial: int, *, results: Sequence[str]) -> IssuedCredential:
        """Ask that a PfC be held for these results (ids of 32 hex digits); the PfC as it stands then."""
        route = f"/v1/platform-credentials/{serial:040x}/hold"
        body = {"issuer": issuer, "results": list(results)}
        return read(IssuedBody, self._http.post_json(route, body), route).value()

    def recover(self, issuer: str, serial: int, *, result: str) -> IssuedCredential:
        """Tell that a recovery result was given under a held PfC."""
        route = f"/v1/platform-credentials/{serial:040x}/recovery"
        body = {"issuer": issuer, "result": result}
        return read(IssuedBody, self._http.post_json(route, body), route).value()
