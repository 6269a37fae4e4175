"""Looks for secrets where they must not be: memory of processes, files, recorded traffic.

Rule: a scan that finds nothing proves something only if it would have found it: each scan carries a planted secret
that it must find in each kind of place, or it fails. Secrets are looked for raw, in hexadecimal and in base64, at
every alignment; the longest part of a base64 spelling that does not depend on its neighbours is what is compared.
"""

import base64
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

SECRET_BYTES_MIN = 16
_READ_BYTES = 1 << 22
_OVERLAP = 4_096


class BlindScanError(Exception):
    """The scan did not find what was planted for it: what it did not find otherwise means nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """One secret in one place: what it is (never its value), how it was spelt, and where."""

    what: str
    spelling: str
    place: str


def spellings(secret: bytes) -> Mapping[str, bytes]:
    """Every way in which the scan looks for a secret of 16 bytes or more."""
    if len(secret) < SECRET_BYTES_MIN:
        raise ValueError(f"expected a secret of {SECRET_BYTES_MIN} bytes or more, got {len(secret)}")
    found = {"raw": secret, "hex": secret.hex().encode(), "HEX": secret.hex().upper().encode()}
    for shift in range(3):
        text = base64.b64encode(bytes(shift) + secret)
        inner = text[4 if shift else 0 : -4]  # what neither the bytes before nor those behind can change
        found[f"base64+{shift}"] = inner
        found[f"base64url+{shift}"] = inner.replace(b"+", b"-").replace(b"/", b"_")
    return found


class SecretScan:
    """One scan: its secrets by name, and the planted one."""

    def __init__(self, secrets: Mapping[str, bytes], *, planted: bytes) -> None:
        self._patterns = {
            (name, spelling): pattern
            for name, secret in {**secrets, "planted": planted}.items()
            for spelling, pattern in spellings(secret).items()
        }

    def files(self, folders: Iterable[Path], *, plant_in: Path) -> list[Sighting]:
        """Look through every file below `folders`; `plant_in` is one of those files, with the planted secret."""
        found = [
            sighting
            for folder in folders
            for path in sorted(folder.rglob("*"))
            if path.is_file() and not path.is_symlink()
            for sighting in self._look(_pieces(path), place=str(path))
        ]
        return _unplanted(found, place=str(plant_in))

    def traffic(self, records: Path, *, planted_in: Path) -> list[Sighting]:
        """The same for the records of a proxy."""
        return self.files([records], plant_in=planted_in)

    def memory(self, pid: int, *, name: str) -> list[Sighting]:
        """Look through the readable memory of a process that holds the planted secret."""
        place = f"memory of {name} (pid {pid})"
        return _unplanted(list(self._look(_memory(pid), place=place)), place=place)

    def _look(self, pieces: Iterable[bytes], *, place: str) -> Iterator[Sighting]:
        seen: set[tuple[str, str]] = set()
        for piece in pieces:
            for key, pattern in self._patterns.items():
                if key not in seen and pattern in piece:
                    seen.add(key)
                    yield Sighting(what=key[0], spelling=key[1], place=place)


def _unplanted(found: list[Sighting], *, place: str) -> list[Sighting]:
    if not any(each.what == "planted" and each.place == place for each in found):
        raise BlindScanError(f"{place}: the planted secret was not found there, so the scan sees nothing")
    return [each for each in found if each.what != "planted"]


def _pieces(path: Path) -> Iterator[bytes]:
    """A file in overlapping pieces, so that nothing hides on a border."""
    with path.open("rb") as file:
        tail = b""
        while chunk := file.read(_READ_BYTES):
            yield tail + chunk
            tail = chunk[-_OVERLAP:]


def _memory(pid: int) -> Iterator[bytes]:
    """Every readable, private part of a process's memory, in overlapping pieces."""
    maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in maps:
            span, rights, *rest = line.split()
            if not rights.startswith("rw") or (rest and rest[-1] in {"[vvar]", "[vsyscall]"}):
                continue
            start, end = (int(each, 16) for each in span.split("-"))
            tail = b""
            while start < end:
                memory.seek(start)
                try:
                    chunk = memory.read(min(_READ_BYTES, end - start))
                except OSError:
                    break
                if not chunk:
                    break
                yield tail + chunk
                tail = chunk[-_OVERLAP:]
                start += len(chunk)
