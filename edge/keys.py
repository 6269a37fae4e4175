"""Private keys in files: encrypted PKCS#8, mode 0600, in a folder of mode 0700, or refused.

The one rule: a key that another user of the machine could read is not loaded, with the command that
repairs it in the message. One folder a role, so that two roles never share a key (D14).
Passphrases come from files, never from argv or the environment, which other users can see.
"""

import os
import stat
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from edge.process import RandomBytes

FILE_BYTES_MAX = 64 * 1024
PASSPHRASE_BYTES = 32


class KeyFileError(Exception):
    """A key or passphrase file cannot be used: which, why, and what to do."""

    def __init__(self, path: Path, *, reason: str, remedy: str) -> None:
        """Keep the file, what is wrong with it and what to do next; never its content."""
        self.path = path
        self.reason = reason
        self.remedy = remedy
        super().__init__(f"{path}: {reason}; {remedy}")


class KeyTokenError(Exception):
    """A token cannot be used, or holds no such key: which, why, and what to do; never the PIN."""

    def __init__(self, subject: str, *, reason: str, remedy: str) -> None:
        """Keep what is concerned, what is wrong with it and what to do next."""
        self.subject = subject
        self.reason = reason
        self.remedy = remedy
        super().__init__(f"{subject}: {reason}; {remedy}")


def read_private_file(path: Path) -> bytes:
    """Read a small file that only this user can reach.

    Refuses a symbolic link, anything but a regular file, a foreign owner, any permission for group or
    others on the file, and write or read permission for them on its folder. Raises KeyFileError.

    In the folder that systemd gives to this service alone (CREDENTIALS_DIRECTORY) root may be the owner, and the
    group's permissions, under which an access list for the service's user shows, do not count.
    """
    folder = path.absolute().parent
    try:
        at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise KeyFileError(path, reason=f"folder: {error.strerror}", remedy="check the setting") from None
    try:
        _refuse_reachable_folder(path, folder, os.fstat(at))
        return _read_at(path, at, given=_is_given(folder))
    finally:
        os.close(at)


def check_private_file(path: Path) -> None:
    """Raise KeyFileError unless `path` may be loaded as a private file."""
    read_private_file(path)


def write_private_file(path: Path, data: bytes) -> None:
    """Create the file `path` with mode 0600, and its folder with mode 0700 if there is none.

    Never overwrites: an existing file is a KeyFileError. Durable when it returns.
    """
    folder = path.absolute().parent
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _refuse_reachable_folder(path, folder, os.fstat(at))
        _write_at(path.name, at, data)
    except FileExistsError:
        raise KeyFileError(
            path, reason="exists already", remedy="move it away, keys are never overwritten"
        ) from None
    except OSError as error:
        raise KeyFileError(
            path, reason=f"cannot be written: {error.strerror}", remedy="check the folder"
        ) from None
    finally:
        os.close(at)


def create_passphrase(path: Path, *, random_bytes: RandomBytes) -> None:
    """Write a new random passphrase (256 bits, hexadecimal) to the private file `path`."""
    write_private_file(path, random_bytes(PASSPHRASE_BYTES).hex().encode() + b"\n")


def read_passphrase(path: Path) -> bytes:
    """First line of the private file `path`; raises KeyFileError when it is empty."""
    line = read_private_file(path).split(b"\n", 1)[0].rstrip(b"\r")
    if not line:
        raise KeyFileError(path, reason="holds no passphrase", remedy="write it on the first line")
    return line


def create_private_key(
    path: Path, *, passphrase_file: Path, curve: ec.EllipticCurve | None = None
) -> ec.EllipticCurvePrivateKey:
    """Make an EC key (P-256 unless `curve` says otherwise) and write it encrypted to `path`."""
    key = ec.generate_private_key(curve or ec.SECP256R1())
    write_private_key(path, key, passphrase_file=passphrase_file)
    return key


def create_log_key(path: Path, *, passphrase_file: Path) -> ed25519.Ed25519PrivateKey:
    """Make an Ed25519 key, as an audit log signs with, and write it encrypted to `path`."""
    key = ed25519.Ed25519PrivateKey.generate()
    write_private_key(path, key, passphrase_file=passphrase_file)
    return key


def write_private_key(path: Path, key: PrivateKeyTypes, *, passphrase_file: Path) -> None:
    """Write `key` as encrypted PKCS#8 PEM to the new private file `path`."""
    encryption = serialization.BestAvailableEncryption(read_passphrase(passphrase_file))
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    write_private_file(path, pem)


def load_private_key(path: Path, *, passphrase_file: Path) -> ec.EllipticCurvePrivateKey:
    """Load an EC key (P-256 or P-384) from the encrypted PKCS#8 PEM file `path`.

    Raises KeyFileError for anything else.
    """
    key = load_any_private_key(path, passphrase_file=passphrase_file)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name not in {"secp256r1", "secp384r1"}:
        raise KeyFileError(path, reason="is no EC key on P-256 or P-384", remedy="make one of these")
    return key


def load_log_key(path: Path, *, passphrase_file: Path) -> ed25519.Ed25519PrivateKey:
    """Load the Ed25519 key of an audit log, as `load_private_key` loads others. Raises KeyFileError."""
    key = load_any_private_key(path, passphrase_file=passphrase_file)
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise KeyFileError(
            path, reason="is no Ed25519 key", remedy="make one: pva log key KEY_FILE --name NAME"
        )
    return key


def load_any_private_key(path: Path, *, passphrase_file: Path) -> PrivateKeyTypes:
    """Load a key of any algorithm from the encrypted PKCS#8 PEM file `path`; what it may be is the caller's matter.

    Raises KeyFileError for an unencrypted key too, since a copied backup of it would be the key itself.
    """
    pem = read_private_file(path)
    if b"-----BEGIN ENCRYPTED PRIVATE KEY-----" not in pem:
        raise KeyFileError(
            path, reason="is not an encrypted PKCS#8 key", remedy="openssl pkcs8 -topk8 -v2 aes-256-cbc"
        )
    try:
        return serialization.load_pem_private_key(pem, read_passphrase(passphrase_file))
    except (ValueError, UnsupportedAlgorithm):
        raise KeyFileError(
            path, reason=f"does not open with {passphrase_file}", remedy="check the pair"
        ) from None


def _is_given(folder: Path) -> bool:
    """Whether systemd made this folder of credentials for this service."""
    given = os.environ.get("CREDENTIALS_DIRECTORY", "")
    return given != "" and folder == Path(given)


def _refuse_reachable_folder(path: Path, folder: Path, status: os.stat_result) -> None:
    if status.st_uid not in {os.geteuid(), 0}:
        raise KeyFileError(
            path, reason=f"the folder {folder} belongs to uid {status.st_uid}", remedy="own it"
        )
    if stat.S_IMODE(status.st_mode) & (0o027 if _is_given(folder) else 0o077):
        raise KeyFileError(
            path,
            reason=f"the folder {folder} has mode {stat.S_IMODE(status.st_mode):04o}, expected 0700",
            remedy=f"chmod 700 {folder}",
        )


def _write_at(name: str, folder: int, data: bytes) -> None:
    """Write beside the name and then link: whoever is killed meanwhile leaves no half a key under it."""
    draft = f".{name}.{os.getpid()}.new"
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(draft, flags, 0o600, dir_fd=folder)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, name, src_dir_fd=folder, dst_dir_fd=folder)  # fails where the name exists
    finally:
        os.unlink(draft, dir_fd=folder)
    os.fsync(folder)


def _read_at(path: Path, folder: int, *, given: bool) -> bytes:
    try:
        descriptor = os.open(
            path.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder
        )
    except OSError as error:
        reason = f"cannot be opened: {error.strerror}"
        raise KeyFileError(path, reason=reason, remedy="expected a regular file of this user") from None
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise KeyFileError(path, reason="is not a regular file", remedy="name the key file itself")
        if status.st_uid != os.geteuid() and not (given and status.st_uid == 0):
            raise KeyFileError(
                path, reason=f"belongs to uid {status.st_uid}", remedy=f"chown it to {os.geteuid()}"
            )
        if stat.S_IMODE(status.st_mode) & (0o137 if given else 0o177):
            mode = f"{stat.S_IMODE(status.st_mode):04o}"
            raise KeyFileError(path, reason=f"has mode {mode}, expected 0600", remedy=f"chmod 600 {path}")
        data = file.read(FILE_BYTES_MAX + 1)
    if len(data) > FILE_BYTES_MAX:
        raise KeyFileError(
            path, reason=f"is larger than {FILE_BYTES_MAX} bytes", remedy="name the key file itself"
        )
    return data
