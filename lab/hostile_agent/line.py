"""The line between agent and TRE, in hostile hands: any request, any bytes, as the agent's uid.

Rule: what leaves the TRE passes here, so what it signed is counted here; nothing is done to the TRE but sending to its socket.
"""

import subprocess
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from lab.device import Device
from m2me_agent.tre_protocol import (
    LENGTH_BYTES,
    Operation,
    Refusal,
    decode_response,
    encode_frame,
)
from messages.encoding import encode_deterministic

CLOSED = Refusal(
    code="closed", subject="connection", reason="was closed without an answer", remedy="send whole frames"
)
SIGNED = {Operation.ACTIVATE: "activation", Operation.ATTEST: "evidence", Operation.INSTALL: "statement"}
"""What the AK signs: operation and member of its result."""
Answer = Mapping[str, Any] | Refusal


class HostileLine:
    """One carrier process of the agent's uid (or, for the person's own line, of the person's), with what it is given to carry."""

    def __init__(self, device: Device, *, is_person: bool = False) -> None:
        self._device, self._is_person = device, is_person
        self._carrier: subprocess.Popen[bytes] | None = None
        self.signatures = 0
        """Answers that held a signature of the AK."""
        self.requests = 0

    def __enter__(self) -> Self:
        """Nothing is opened before it is needed."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the carrier."""
        self.close()

    def close(self) -> None:
        """End the carrier; the next request starts another."""
        carrier, self._carrier = self._carrier, None
        if carrier is None:
            return
        for stream in (carrier.stdin, carrier.stdout):
            if stream is not None:
                with suppress(OSError):
                    stream.close()
        carrier.wait()

    def ask(self, operation: Operation, parameters: Mapping[str, Any]) -> Answer:
        """The TRE's answer to a request, however wrong its parameters are."""
        answer = self.send(encode_deterministic({1: operation.value, 2: dict(parameters)}))
        if answer is None:
            return CLOSED
        said = decode_response(answer, operation=operation)
        if not isinstance(said, Refusal) and operation in SIGNED:
            self.signatures += 1
        return said

    def send(self, payload: bytes) -> bytes | None:
        """The payload of the answer to the payload of one frame; None where the TRE closed."""
        carrier = self._carrier = self._carrier or self._device.carrier("--stream", is_person=self._is_person)
        assert carrier.stdin is not None  # noqa: S101 - opened as pipes
        assert carrier.stdout is not None  # noqa: S101
        self.requests += 1
        carrier.stdin.write(encode_frame(payload))
        carrier.stdin.flush()
        length = int.from_bytes(carrier.stdout.read(LENGTH_BYTES), "big")
        return carrier.stdout.read(length) if length else None
