"""The folder of TPM makers' certificates."""

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ca.tpm_makers import TpmMakersError, load_tpm_makers
from tests.fakes.enrolling_device import TpmMaker


def test_pem_and_der_files_are_read_and_others_left_alone(tmp_path: Path) -> None:
    first, second, third = (TpmMaker(title=title).root for title in "abc")
    (tmp_path / "a.der").write_bytes(first)
    pem = [x509.load_der_x509_certificate(each).public_bytes(Encoding.PEM) for each in (second, third)]
    (tmp_path / "bc.pem").write_bytes(b"comment\n" + b"".join(pem))
    (tmp_path / "again.cer").write_bytes(first)
    (tmp_path / "README").write_text("not a certificate")
    makers = load_tpm_makers(tmp_path, known_bad=("00" * 32,))
    assert set(makers.certificates) == {first, second, third}
    assert len(makers.certificates) == 3
    assert makers.known_bad == {"00" * 32}


@pytest.mark.negative
def test_a_file_that_cannot_be_read_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "broken.pem").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    with pytest.raises(TpmMakersError, match=r"broken\.pem"):
        load_tpm_makers(tmp_path)
    with pytest.raises(TpmMakersError, match="no such folder"):
        load_tpm_makers(tmp_path / "absent")


@pytest.mark.negative
def test_the_labs_maker_counts_in_the_lab_only(tmp_path: Path) -> None:
    (tmp_path / "lab.der").write_bytes(TpmMaker(organization="PVA lab").root)
    assert len(load_tpm_makers(tmp_path, lab=True).certificates) == 1
    with pytest.raises(TpmMakersError, match=r"lab\.der"):
        load_tpm_makers(tmp_path)
