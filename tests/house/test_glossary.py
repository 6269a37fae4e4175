"""The glossary holds every abbreviation of the source, in order, and every one that the documents use."""

import re
from collections.abc import Iterator

import pytest

from tests.house.tree import ROOT

OF_THE_SOURCE = (
    "ACL AKA APN AV BOOTP CCIF DHCP DM DPF DRF EAP GGSN HLR HO ICF IMS IMSI ISIM M2M M2ME M2MES MCC MES MID MIDE "
    "MMI MNC N3G-ICSP NAPDEF NSHO OMA OSHO OTA PCID PLMN PVA PfC RAM RFM RO SHO TRE UICC US USIM VNO VO WLAN"
)
DOCUMENTS = ("PROTOCOL.md", "FOURTEEN-STEPS.md", "REQUIREMENTS.md", "ARCHITECTURE.md", "CLI.md")
COMMON_KNOWLEDGE = (
    "ADR ADRS AES API ASN CFB CI CLI CPU DIR ECC ECDH ECDSA FILE GET GPP HTTP HTTPS ID IP JOSE JSON LF NOT NULL OK OS "
    "PATH PDF PEM PKCS POST RFC RSA RSAPSS RSASSA SEQUENCE SHA SIGHUP SIGTERM SIM SQL TCP TOML TPM2B TR TS UDP UID UNIX URL "
    "UTC UTF UTF8 VM WAL WSGI XML"
)
_ABBREVIATION = re.compile(r"\b(?:[A-Z][A-Z0-9]*[A-Z][A-Z0-9]*(?:-[A-Z]{2,})?|N3G-ICSP|PfC|M2MES?)\b")
_CODE = re.compile(r"```.*?```|`[^`]*`|\[[^\]]*\.\w+\]\([^)]*\)|\]\([^)]*\)|<!--.*?-->", re.DOTALL)


def terms() -> Iterator[list[str]]:
    """The words of each table, as they stand in its first column."""
    table: list[str] = []
    for line in (ROOT / "docs/GLOSSARY.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("|"):
            table.append(line.split("|")[1].strip())
        elif table:
            yield table[2:]
            table = []
    if table:
        yield table[2:]


def explained() -> set[str]:
    """Every single word and abbreviation that some row explains or spells out."""
    text = (ROOT / "docs/GLOSSARY.md").read_text(encoding="utf-8")
    return {
        word for line in text.splitlines() if line.startswith("|") for word in _ABBREVIATION.findall(line)
    }


@pytest.mark.requirement("R05")
def test_every_abbreviation_of_the_source_has_a_row() -> None:
    rows = {word for table in terms() for term in table for word in re.split(r"[, ]+", term)}
    assert set(OF_THE_SOURCE.split()) - rows - {"OMA"} == set()
    assert "OMA CP" in {term for table in terms() for term in table}


@pytest.mark.requirement("R05")
def test_rows_are_in_order_and_stand_once() -> None:
    for table in terms():
        keys = [re.sub(r"[^a-z0-9 ]", "", term.lower()) for term in table]
        assert keys == sorted(keys)
        assert len(set(keys)) == len(keys)


@pytest.mark.requirement("R05")
@pytest.mark.parametrize("name", DOCUMENTS)
def test_documents_use_no_abbreviation_that_is_not_explained(name: str) -> None:
    prose = _CODE.sub(" ", (ROOT / "docs" / name).read_text(encoding="utf-8"))
    used = set(_ABBREVIATION.findall(prose))
    numbered = {word for word in used if re.fullmatch(r"[A-Z]\d+", word)}
    assert used - numbered - explained() - set(COMMON_KNOWLEDGE.split()) == set()
