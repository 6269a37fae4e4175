"""The content key of a package, as the maker of a software TPM could find it out: so that a scan can look for it.

Rule: only for TPMs that the lab made in software and whose state it holds; nothing of a device is asked.
"""

from pathlib import Path

from lab.software_tpm.object_protection import decode_sensitive, unwrap
from lab.software_tpm.secret_exchange import decrypt_secret
from lab.software_tpm.state_codec import decode_state
from lab.software_tpm.state_store import STATE_FILE
from m2me_agent.tre.connected_tpm import STORAGE_HANDLE
from messages.mid_package import SealedKey
from standards.tpm2.secret_sharing import LABEL_DUPLICATE
from standards.tpm2.structures import Public


def content_key(tpm_state: Path, sealed: SealedKey) -> bytes:
    """What is sealed in a package's header, opened with the storage key in the state folder of a software TPM.

    Raises:
        KeyError: the TPM has no storage key of the project.
        CommandError: the package is for another TPM.
    """
    storage = decode_state((tpm_state / STATE_FILE).read_bytes()).persistent[STORAGE_HANDLE]
    seed = decrypt_secret(storage, sealed.encrypted_seed, label=LABEL_DUPLICATE)
    name = Public.decode(sealed.public).name
    opened = unwrap(sealed.duplicate, protector=storage.public, seed=seed, name=name)
    return decode_sensitive(opened).secret
