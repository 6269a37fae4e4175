"""The agent's end of the TRE socket: one connection a request, bounded in time."""

import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from m2me_agent.agent.errors import NotReachedError, RefusedError
from m2me_agent.tre_protocol import (
    Operation,
    Refusal,
    Request,
    TreProtocolError,
    decode_response,
    encode_frame,
    encode_request,
    receive_frame,
)

ANSWER_TIMEOUT_S = 180.0
"""Making keys in a TPM of hardware may take minutes."""


class TreClient:
    """Asks the TRE at a UNIX socket; ``path`` may be relative to the working directory."""

    def __init__(self, path: Path, *, timeout_s: float = ANSWER_TIMEOUT_S) -> None:
        self._path = path
        self._timeout_s = timeout_s

    def ask(self, operation: Operation, parameters: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        """The result of an operation.

        Raises:
            RefusedError: the TRE said no.
            NotReachedError: no TRE listens there, this uid is not its agent's, or no answer came.
        """
        frame = encode_frame(encode_request(Request(operation=operation, parameters=parameters or {})))
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(self._timeout_s)
                connection.connect(str(self._path))
                connection.sendall(frame)
                payload = receive_frame(connection.recv)
        except (BrokenPipeError, ConnectionResetError):
            payload = None
        except (OSError, TreProtocolError) as error:
            raise self._not_reached(str(error)) from error
        if payload is None:
            raise self._not_reached("it closed the connection: this uid is not its agent's, or it is busy")
        try:
            response = decode_response(payload, operation=operation)
        except TreProtocolError as error:
            raise self._not_reached(str(error)) from error
        if isinstance(response, Refusal):
            raise RefusedError(response)
        return response

    def _not_reached(self, reason: str) -> NotReachedError:
        return NotReachedError(
            Refusal(
                code="unreachable",
                subject=f"TRE at {self._path}",
                reason=reason,
                remedy="start m2me-tre, and run m2me as the agent's uid in the device's run directory",
            )
        )
