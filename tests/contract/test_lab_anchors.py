"""What everybody can make for himself in a lab is trusted in the lab profile and nowhere else."""

import shutil
from pathlib import Path

import pytest

from ca.tpm_makers import TpmMakersError, load_tpm_makers
from edge.process import system_clock, system_random
from lab.software_tpm.manufacture import manufacture


@pytest.mark.negative
def test_the_maker_of_software_tpms_is_refused_outside_the_lab(tmp_path: Path) -> None:
    state, maker, trusted = (tmp_path / name for name in ("state", "maker", "trusted"))
    for folder in (state, maker, trusted):
        folder.mkdir(mode=0o700)
    made = manufacture(state, maker, random_bytes=system_random, clock=system_clock)
    for certificate in (made.root_certificate, made.intermediate_certificate):
        shutil.copy(certificate, trusted)
        with pytest.raises(TpmMakersError, match=certificate.name):
            load_tpm_makers(trusted)
        assert load_tpm_makers(trusted, lab=True).certificates
        (trusted / certificate.name).unlink()
