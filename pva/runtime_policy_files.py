"""The files of the runtime policies, read again when one of them changes: a replaced policy judges the next validation.

Rule: a file that cannot be in force any more ends every validation with a refusal until it is corrected; neither the policy
before it, nor none, judges silently in its place. Replace a file by renaming, so that nobody reads half of it.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from edge.process import logger
from messages.runtime_policy import RUNTIME_POLICY_BYTES_MAX
from pva.appraisal.runtime_policies import RuntimePolicies, RuntimePolicyError
from pva.refusals import RefusalCode, RefusalError

_Stamp = tuple[int, int, int]


class RuntimePolicyFiles:
    """Satisfies `pva.validation.RuntimePolicySource`."""

    def __init__(
        self, paths: Sequence[Path], *, check: Callable[[Mapping[str, bytes]], RuntimePolicies]
    ) -> None:
        """Read the files; `check` makes policies of them (name -> content). Raises RuntimePolicyError, OSError."""
        self._paths = tuple(paths)
        self._check = check
        self._lock = threading.Lock()
        self._stamps = self._stamps_now()
        self._policies = self._read()

    def __call__(self) -> RuntimePolicies:
        """The policies that the files hold now. Raises RefusalError where one of them cannot be in force."""
        with self._lock:
            try:
                stamps = self._stamps_now()
                if stamps != self._stamps:
                    self._policies = self._read()
                    self._stamps = stamps
                    logger("runtime-policies").info(
                        "runtime-policies-read", count=len(self._policies.digests)
                    )
            except (RuntimePolicyError, OSError) as error:
                logger("runtime-policies").error("runtime-policies-unusable", reason=str(error))
                raise RefusalError(
                    RefusalCode.MALFUNCTION,
                    subject="runtime policies of this PVA",
                    reason="a file that was replaced holds no policy that can be in force",
                ) from None
            return self._policies

    def _read(self) -> RuntimePolicies:
        return self._check({str(path): _content(path) for path in self._paths})

    def _stamps_now(self) -> tuple[_Stamp, ...]:
        return tuple(_stamp(path) for path in self._paths)


def _content(path: Path) -> bytes:
    """What a file holds, its size looked at before it is read. Raises RuntimePolicyError."""
    if path.stat().st_size > RUNTIME_POLICY_BYTES_MAX:
        raise RuntimePolicyError(
            f"runtime policy {path}: expected at most {RUNTIME_POLICY_BYTES_MAX} bytes, got more"
        )
    return path.read_bytes()


def _stamp(path: Path) -> _Stamp:
    status = path.stat()
    return status.st_mtime_ns, status.st_size, status.st_ino
