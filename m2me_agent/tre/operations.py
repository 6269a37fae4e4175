"""From a request of the agent to an answer: one use case each, and a refusal for everything else.

The rule: nothing that a request holds can end the process or show more than subject, reason and remedy;
what was not foreseen is answered without detail and logged.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography import x509

from edge.process import logger
from m2me_agent.tre.attestation import Attestation
from m2me_agent.tre.enrollment import Enrollment, identity
from m2me_agent.tre.errors import TreError
from m2me_agent.tre.state import TreState
from m2me_agent.tre_protocol import (
    Operation,
    Refusal,
    Request,
    Response,
    TreProtocolError,
    decode_request,
    encode_response,
)
from standards.pki.errors import PkiError
from standards.pki.fingerprints import certificate_sha256, decode_certificate


@dataclass(frozen=True, slots=True, kw_only=True)
class Operations:
    """Everything that an agent may ask of this TRE."""

    enrollment: Enrollment
    attestation: Attestation
    state: TreState

    def answer(self, payload: bytes) -> bytes:
        """The response to the payload of one frame; for any bytes, without raising."""
        try:
            request = decode_request(payload)
        except TreProtocolError as error:
            _record("unknown", refused="malformed", subject=error.what)
            return encode_response(_malformed(error))
        response = self._perform(request)
        try:
            return encode_response(response)
        except TreProtocolError as error:
            _record(request.operation, refused="too-large", subject=error.what)
            return encode_response(
                Refusal(
                    code="too-large",
                    subject=f"answer to {request.operation}",
                    reason=f"{error.what}: expected {error.expected}, got {error.got}",
                    remedy="select fewer PCRs, or shorten the boot log",
                )
            )

    def _perform(self, request: Request) -> Response:
        try:
            result = self._result(request.operation, request.parameters)
        except TreError as error:
            _record(request.operation, refused=error.code, subject=error.subject, reason=error.reason)
            return Refusal(code=error.code, subject=error.subject, reason=error.reason, remedy=error.remedy)
        except Exception:  # noqa: BLE001 - the last line of defence: no agent may end the TRE
            logger("tre").exception("failed", operation=request.operation)
            return Refusal(
                code="internal",
                subject=str(request.operation),
                reason="the TRE met something that it does not know",
                remedy="read the TRE's log and report it",
            )
        _record(request.operation)
        return result

    def _result(self, operation: Operation, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        match operation:
            case Operation.STATUS:
                return {"status": self._status()}
            case Operation.BEGIN_ENROLLMENT:
                return {"request": self.enrollment.begin()}
            case Operation.ACTIVATE:
                return {"activation": self.enrollment.activate(parameters["challenge"])}
            case Operation.INSTALL_CREDENTIAL:
                return {"credential": _described(self.enrollment.install(parameters["result"]))}
            case Operation.ATTEST:
                return {"evidence": self.attestation.attest(parameters["challenge_token"])}
            case _:
                raise TreError(
                    subject=operation, reason="this TRE does not do that", remedy="install a newer image"
                )

    def _status(self) -> dict[str, Any]:
        keys, chain = self.state.keys(), self.state.credential()
        status: dict[str, Any] = {
            "device_id": "",
            "credential": {},
            "storage_public": "",
            "ak_public": "",
            "pfc_chain": list(chain or ()),
            "pcid": "",
            "identity": "",
        }
        if keys is not None:
            status["device_id"] = identity(keys.ek).hex()
            status["storage_public"] = keys.storage.encode().hex()
            status["ak_public"] = keys.ak.encode().hex()
        if chain is not None:
            try:
                status["credential"] = _described(decode_certificate(chain[0]))
            except PkiError as error:
                status["credential"] = {"unreadable": str(error)}
        return status


def _described(credential: x509.Certificate) -> dict[str, str]:
    return {
        "serial": f"{credential.serial_number:040x}",
        "issuer": credential.issuer.rfc4514_string(),
        "not_before": f"{credential.not_valid_before_utc:%Y-%m-%dT%H:%M:%SZ}",
        "not_after": f"{credential.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}",
        "sha256": certificate_sha256(credential),
    }


def _malformed(error: TreProtocolError) -> Refusal:
    return Refusal(
        code="malformed",
        subject=error.what,
        reason=f"expected {error.expected}, got {error.got}",
        remedy="send one request of the TRE protocol",
    )


def _record(operation: str, **refusal: str) -> None:
    # The audit record: one line for each request, with what was refused and why.
    if refusal:
        logger("tre").warning("refused", operation=operation, **refusal)
    else:
        logger("tre").info("done", operation=operation)
