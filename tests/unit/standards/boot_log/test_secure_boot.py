"""What PCR 7 says, and each way in which it can be wrong (A20)."""

import uuid
from dataclasses import replace

import pytest

from standards.boot_log import payloads
from standards.boot_log.algorithms import SHA1, SHA256, SHA384
from standards.boot_log.encode import Measurement
from standards.boot_log.errors import BootLogError
from standards.boot_log.events import (
    EV_EFI_ACTION,
    EV_EFI_VARIABLE_AUTHORITY,
    EV_EFI_VARIABLE_DRIVER_CONFIG,
    EV_SEPARATOR,
)
from standards.boot_log.secure_boot import SHIM_LOCK, secure_boot_facts
from standards.boot_log.secure_boot_facts import REQUIRED, SecureBootFacts, ViolationKind
from tests.unit.standards.boot_log.secure_boots import (
    CERTIFICATE,
    DB,
    DB_VARIABLE,
    DIGEST,
    FIRMWARE_AUTHORITY,
    GOOD,
    IMAGES,
    OTHER_OWNER,
    OWNER,
    POLICY,
    SECURE_BOOT,
    authority,
    log_of,
    separator,
    variable,
)


def facts_of(*measurements: Measurement) -> SecureBootFacts:
    return secure_boot_facts(log_of(measurements), bank=SHA256)


def kinds(facts: SecureBootFacts) -> list[tuple[ViolationKind, str, bool]]:
    return [(each.kind, each.subject, each.proven) for each in facts.violations]


@pytest.mark.parametrize("bank", [SHA1, SHA256])
def test_a_good_boot_is_read_without_a_violation(bank: int) -> None:
    facts = secure_boot_facts(log_of(GOOD), bank=bank)
    assert facts.violations == ()
    assert (facts.measured, facts.enabled, facts.revoked, facts.shim_validates) == (True, True, 3, True)
    assert tuple(facts.variables) == REQUIRED
    assert [entry.data for entry in facts.databases["db"]] == [CERTIFICATE, DIGEST]
    assert [(each.name, each.in_db) for each in facts.authorities] == [("db", True), ("Shim", None)]
    assert [(each.pcr, each.name) for each in facts.mok] == [
        (7, "SbatLevel"),
        (14, "MokList"),
        (14, "MokListX"),
    ]
    assert facts.sbat_level == "sbat,1,2024010900"


@pytest.mark.parametrize("content", [b"\x00", b""], ids=["off", "absent"])
def test_secure_boot_that_is_off(content: bytes) -> None:
    facts = facts_of(variable("SecureBoot", content), *POLICY[1:], separator())
    assert (facts.enabled, facts.measured, facts.violations) == (False, True, ())


def test_a_platform_without_secure_boot_measures_none_of_it() -> None:
    facts = facts_of(separator())
    assert (facts.enabled, facts.measured, facts.violations) == (False, False, ())


def test_further_variables_and_actions_are_allowed_on_both_sides_of_the_separator() -> None:
    vendor = uuid.UUID("0d0d0d0d-0000-4000-8000-00000000000d")
    more = [
        variable("AuditMode", b"\x00"),
        variable("dbt", DB, vendor=IMAGES),
        variable("db", b"x", vendor=vendor),
    ]
    debug = Measurement(pcr=7, type=EV_EFI_ACTION, data=b"UEFI Debug Mode")
    facts = facts_of(*POLICY, *more, debug, separator(), more[0], FIRMWARE_AUTHORITY)
    assert facts.violations == ()
    assert facts.others == ("AuditMode", "dbt", "db", "AuditMode")
    assert facts.actions == ("UEFI Debug Mode",)


@pytest.mark.parametrize(
    "content",
    [
        payloads.signature_data(OWNER, CERTIFICATE),
        payloads.signature_data(OTHER_OWNER, CERTIFICATE),
        payloads.signature_data(OWNER, DIGEST),
        CERTIFICATE,
        DIGEST,
    ],
    ids=["certificate", "another owner", "digest", "certificate alone", "digest alone"],
)
def test_an_authority_is_an_entry_of_db_whoever_owns_it(content: bytes) -> None:
    facts = facts_of(*POLICY, separator(), authority(content))
    assert [each.in_db for each in facts.authorities] == [True]
    assert facts.violations == ()


def test_old_shims_measure_more_than_the_variable_and_log_one_byte_too_many() -> None:
    measured = payloads.variable(IMAGES, "db", CERTIFICATE) + bytes(5)
    old = Measurement(pcr=7, type=EV_EFI_VARIABLE_AUTHORITY, data=measured + b"\xaf", measured=measured)
    facts = facts_of(*POLICY, separator(), old)
    assert [each.in_db for each in facts.authorities] == [True]
    assert facts.violations == ()


def test_shim_that_validates_nothing_is_told_from_its_measured_setting() -> None:
    insecure = authority(b"\x01", name="MokSBState", vendor=SHIM_LOCK)
    assert not facts_of(*GOOD, insecure).shim_validates
    assert facts_of(*GOOD, authority(b"\x00", name="MokSBState", vendor=SHIM_LOCK)).shim_validates


@pytest.mark.negative
@pytest.mark.check("A20")
@pytest.mark.parametrize("name", REQUIRED)
def test_each_variable_has_to_be_measured(name: str) -> None:
    rest = [each for each, known in zip(POLICY, REQUIRED, strict=True) if known != name]
    assert kinds(facts_of(*rest, separator())) == [(ViolationKind.MISSING, name, True)]


@pytest.mark.negative
@pytest.mark.check("A20")
@pytest.mark.parametrize("name", REQUIRED)
def test_each_variable_is_measured_once(name: str) -> None:
    again = POLICY[REQUIRED.index(name)]
    assert kinds(facts_of(*POLICY, again, separator())) == [(ViolationKind.REPEATED, name, True)]


@pytest.mark.negative
@pytest.mark.check("A20")
@pytest.mark.parametrize("name", REQUIRED)
def test_no_variable_is_measured_after_the_separator(name: str) -> None:
    late = POLICY[REQUIRED.index(name)]
    expected = [(ViolationKind.AFTER_SEPARATOR, name, True)]
    assert kinds(facts_of(*POLICY, separator(), late)) == expected
    rest = [each for each in POLICY if each is not late]
    assert kinds(facts_of(*rest, separator(), late)) == expected


@pytest.mark.negative
@pytest.mark.check("A20")
def test_what_a_late_variable_is_called_by_its_event_type_does_not_matter() -> None:
    late = replace(POLICY[1], type=EV_EFI_VARIABLE_AUTHORITY)
    assert kinds(facts_of(*POLICY, separator(), late)) == [(ViolationKind.AFTER_SEPARATOR, "PK", True)]


@pytest.mark.negative
@pytest.mark.check("A20")
@pytest.mark.parametrize("value", [b"\xff\xff\xff\xff", b"\x01\x00\x00\x00"], ids=["of a BIOS", "an error"])
def test_the_separator_is_four_zero_bytes(value: bytes) -> None:
    facts = facts_of(*POLICY, separator(value))
    assert kinds(facts) == [(ViolationKind.SEPARATOR, "separator", True)]
    assert facts.violations[0].measured == value.hex()


@pytest.mark.negative
@pytest.mark.check("A20")
def test_a_separator_that_reports_an_error_is_known_by_its_digest() -> None:
    error = Measurement(pcr=7, type=EV_SEPARATOR, data=b"a report", measured=b"\x01\x00\x00\x00")
    assert kinds(facts_of(*POLICY, error)) == [(ViolationKind.SEPARATOR, "separator", True)]


@pytest.mark.negative
@pytest.mark.check("A20")
def test_there_is_one_separator() -> None:
    expected = [(ViolationKind.SEPARATOR, "separator", True)]
    assert kinds(facts_of(*POLICY)) == expected
    assert kinds(facts_of(*POLICY, separator(), separator())) == expected


@pytest.mark.negative
@pytest.mark.check("A20")
@pytest.mark.parametrize(
    "content",
    [
        payloads.signature_data(OWNER, b"\x30\x82\x00\x10" + b"another one!!!!!"),
        payloads.signature_data(OWNER, CERTIFICATE) + b"\x00",
        payloads.signature_data(OWNER, CERTIFICATE[:-1]),
        OWNER.bytes_le,
    ],
)
def test_an_authority_that_db_does_not_hold(content: bytes) -> None:
    facts = facts_of(*POLICY, separator(), authority(content))
    assert kinds(facts) == [(ViolationKind.AUTHORITY, "authority", True)]
    assert [each.in_db for each in facts.authorities] == [False]


@pytest.mark.negative
@pytest.mark.check("A20")
def test_an_entry_of_dbx_vouches_for_nothing() -> None:
    revoked = authority(payloads.signature_data(OWNER, b"\x01" * 32))
    assert kinds(facts_of(*POLICY, separator(), revoked)) == [(ViolationKind.AUTHORITY, "authority", True)]


@pytest.mark.negative
@pytest.mark.check("A20")
def test_an_authority_that_is_neither_dbs_nor_shims_is_named_but_not_proven() -> None:
    foreign = authority(payloads.signature_data(OWNER, CERTIFICATE), name="MokList", vendor=OTHER_OWNER)
    assert kinds(facts_of(*POLICY, separator(), foreign)) == [(ViolationKind.AUTHORITY, "authority", False)]


@pytest.mark.negative
@pytest.mark.check("A20")
@pytest.mark.parametrize("name", ["PK", "KEK", "db", "dbx"])
def test_a_database_that_is_no_list_is_a_violation(name: str) -> None:
    policy = [
        variable(name, DB[:-1], vendor=IMAGES if name.startswith("db") else payloads.EFI_GLOBAL_VARIABLE)
        if known == name
        else each
        for each, known in zip(POLICY, REQUIRED, strict=True)
    ]
    assert kinds(facts_of(*policy, separator())) == [(ViolationKind.DATABASE, name, True)]


@pytest.mark.negative
@pytest.mark.check("A19")
@pytest.mark.check("A20")
def test_what_the_digest_does_not_cover_is_not_read_and_proves_nothing() -> None:
    spoiled = replace(SECURE_BOOT, measured=b"something else")
    facts = facts_of(spoiled, *POLICY[1:], separator())
    assert not facts.enabled
    assert kinds(facts) == [
        (ViolationKind.UNREADABLE, "event 1", False),
        (ViolationKind.MISSING, "SecureBoot", False),
    ]


@pytest.mark.negative
@pytest.mark.check("A19")
@pytest.mark.check("A20")
def test_whoever_spoils_the_text_of_db_cannot_make_an_authority_look_foreign() -> None:
    spoiled = replace(DB_VARIABLE, data=b"spoiled", measured=DB_VARIABLE.data)
    policy = [spoiled if each is DB_VARIABLE else each for each in POLICY]
    facts = facts_of(*policy, separator(), FIRMWARE_AUTHORITY)
    assert not any(each.proven for each in facts.violations)


@pytest.mark.negative
@pytest.mark.check("A19")
@pytest.mark.check("A20")
def test_a_variable_cannot_be_dressed_up_as_another() -> None:
    """Its digest covers the whole structure, so the name that a carrier wraps around it is not read."""
    wrapped = payloads.variable(
        payloads.EFI_GLOBAL_VARIABLE, "SecureBoot", variable("SecureBoot", b"\x00").data
    )
    dressed = Measurement(
        pcr=7, type=EV_EFI_VARIABLE_DRIVER_CONFIG, data=wrapped, measured=variable("SecureBoot", b"\x00").data
    )
    facts = facts_of(dressed, *POLICY[1:], separator())
    assert (facts.enabled, facts.variables["SecureBoot"], facts.violations) == (False, b"\x00", ())


@pytest.mark.negative
@pytest.mark.check("A20")
@pytest.mark.parametrize("bank", [SHA384, 0x7001])
def test_a_bank_that_the_log_does_not_list_says_nothing(bank: int) -> None:
    with pytest.raises(BootLogError, match="PCR bank"):
        secure_boot_facts(log_of(GOOD), bank=bank)
