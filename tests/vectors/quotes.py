"""What a real TPM signs: quotes and certifications of swtpm, written to `quotes.json` by running this module.

    python -m tests.vectors.quotes

One row a scheme: the AK's and the storage key's TPMT_PUBLIC, the boot log whose events were extended, the PCR
values, and TPMS_ATTEST and TPMT_SIGNATURE of a quote and of a certification of the storage key (hexadecimal).
Each run makes other keys, so the file is not reproduced byte by byte; it is judged by what verifies.
"""

import hashlib
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from lab.boot import BANK, Release, boot_log, extend
from standards.boot_log.encode import encode_event_log
from standards.tpm2.connection import TpmConnection
from standards.tpm2.constants import Handle
from standards.tpm2.structures import PcrSelection, Public
from standards.tpm2.templates import STORAGE_ECC_P256
from tests.contract.test_tpm_attestation import AK_TEMPLATES
from tests.contract.tpm_devices import manufacture_swtpm, running

FILE = Path(__file__).parent / "quotes.json"
EXTRA_DATA = hashlib.sha256(b"an exchange").digest()
SELECTION = (PcrSelection(bank=BANK, indices=(*range(10), 14)),)
RELEASE = Release(version="1.0", svn=1, tre_image=hashlib.sha256(b"a TRE").digest())


def quoted(template: Public, tpm: TpmConnection) -> dict[str, str]:
    """One row: a fresh AK of `template` quotes and certifies a storage key."""
    ak = tpm.create_primary(Handle.ENDORSEMENT, template=template)
    storage = tpm.create_primary(Handle.OWNER, template=STORAGE_ECC_P256)
    quote = tpm.quote(ak, extra_data=EXTRA_DATA, selection=SELECTION)
    certified = tpm.certify(storage, ak=ak, extra_data=EXTRA_DATA)
    for made in (ak, storage):
        tpm.flush_context(made.handle)
    return {
        "ak": ak.public.encode().hex(),
        "storage": storage.public.encode().hex(),
        "quote": quote.attest.hex(),
        "quote_signature": quote.signature.hex(),
        "certified": certified.attest.hex(),
        "certified_signature": certified.signature.hex(),
    }


def make() -> dict[str, Any]:
    """All rows, from one boot of a fresh swtpm."""
    log = boot_log(RELEASE)
    with tempfile.TemporaryDirectory() as folder, running("swtpm", manufacture_swtpm(Path(folder))) as device:
        tpm = device.start()
        extend(log, tpm)
        values = tpm.pcr_read_all(SELECTION)[BANK]
        rows = {name: quoted(template, tpm) for name, template in AK_TEMPLATES.items()}
    return {
        "extra_data": EXTRA_DATA.hex(),
        "boot_log": encode_event_log(log).hex(),
        "sha256": {str(index): value.hex() for index, value in sorted(values.items())},
        "schemes": rows,
    }


if __name__ == "__main__":
    FILE.write_text(json.dumps(make(), indent=1) + "\n")
    sys.stdout.write(f"wrote {FILE.name}\n")
