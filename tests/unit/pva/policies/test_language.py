"""What a policy may say: each fault is found with its line and what to do, and a good policy has none."""

import pytest

from pva.policies.language import (
    DEPTH_MAX,
    POLICY_BYTES_MAX,
    REASON_MAX,
    STATEMENTS_MAX,
    Fault,
    PolicyFaultsError,
    read_policy,
)

HEAD = '@id("old-release")\n@reason("our network takes no release below 3")\n'
SCOPE = "forbid (principal, action, resource)"
GOOD = f"// ours\n{HEAD}{SCOPE} when {{ resource.svn < 3 }};\n"


def faults(text: str) -> tuple[Fault, ...]:
    with pytest.raises(PolicyFaultsError) as caught:
        read_policy(text)
    return caught.value.faults


@pytest.mark.parametrize(
    "condition",
    [
        "resource.svn < 3",
        "!resource.known",
        'principal in PVA::Supplier::"Acme"',
        'principal.model == "gateway-1" && principal.tre_level < 2',
        'context.platform != "affirming"',
        'context.findings.contains("clock-not-safe")',
        'context.findings.containsAny(["ima-violation", "ima-file-not-allowed"])',
        "context.secure_boot.known && !context.secure_boot.enabled",
        "context has svn_highest && context.svn_highest > resource.svn",
        "context has last_seen_days && context.last_seen_days > 30",
        'context.tpm_firmware == "2024012500120000"',
        "context.credential_days_left < 30 || context.credential_age_days > 700",
    ],
)
def test_a_policy_can_speak_of_every_fact(condition: str) -> None:
    policy = read_policy(f"{HEAD}{SCOPE} when {{ {condition} }};")
    assert [each.id for each in policy.statements] == ["old-release"]


@pytest.mark.parametrize("action", ["validate", "release", "recovery"])
def test_a_policy_can_be_about_one_action(action: str) -> None:
    read_policy(f'{HEAD}forbid (principal, action == PVA::Action::"{action}", resource);')


def test_names_reasons_lines_and_digest() -> None:
    second = HEAD.replace("old-release", "second")
    policy = read_policy(f'{GOOD}\n\n{second}{SCOPE}\nwhen {{ context.requester == "a;b // c" }};')
    assert [(each.id, each.line) for each in policy.statements] == [("old-release", 2), ("second", 7)]
    assert policy.statements[0].reason == "our network takes no release below 3"
    assert policy.name == "old-release and 1 more"
    assert policy.digest != read_policy(GOOD).digest


@pytest.mark.negative
@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (f"\n{HEAD}permit (principal, action, resource);", 2, "a permit has no effect"),
        (f'@reason("x")\n{SCOPE};', 1, "the statement has no name"),
        (f'@id("Ümlaut")@reason("x")\n{SCOPE};', 1, "the statement has no name"),
        (f'@id("a")\n{SCOPE};', 1, "the statement has no reason"),
        (f'@id("a")@reason("  ")\n{SCOPE};', 1, "the statement has no reason"),
        (f'@id("a")@reason("{"x" * (REASON_MAX + 1)}")\n{SCOPE};', 1, "the statement has no reason"),
        (f'@id("a")@reason("x\\u{{1b}}[2J")\n{SCOPE};', 1, "the statement has no reason"),
        (f'@owner("me")\n{HEAD}{SCOPE};', 1, "unknown annotation @owner"),
        (f"{GOOD}{HEAD}{SCOPE};", 5, "another statement is called 'old-release'"),
        (f"{HEAD}{SCOPE} when {{ context.svm < 3 }};", 1, "attribute `svm` not found"),
        (f"{HEAD}{SCOPE} when {{ context.svn_highest < 3 }};", 1, "optional attribute `svn_highest`"),
        (f'{HEAD}{SCOPE} when {{ resource.svn < "3" }};', 1, "unexpected type"),
        (f'{HEAD}{SCOPE} when {{ principal in PVA::Maker::"x" }};', 1, "PVA::Maker"),
        (f'{HEAD}forbid (principal, action == PVA::Action::"install", resource);', 1, "unrecognized action"),
        (f"{HEAD}{SCOPE} when {{ false }};", 1, "it can never apply"),
        (f"{HEAD}{SCOPE} unless {{ true }};", 1, "it can never apply"),
        (f'{HEAD}{SCOPE} when {{ context.tre == "affirmed" }};', 1, "context.tre is never 'affirmed'"),
        (f'{HEAD}{SCOPE} when {{ "es" == context.role }};', 1, "context.role is never 'es'"),
        (
            f'{HEAD}{SCOPE} when {{ context.findings.contains("kernel") }};',
            1,
            "context.findings is never 'kernel'",
        ),
        (
            f'{HEAD}{SCOPE} when {{ context.findings.containsAny(["pcr"]) }};',
            1,
            "context.findings is never 'pcr'",
        ),
        (f"{GOOD}\n{HEAD}{SCOPE} when {{ resource.svn < }};", 6, "cannot be read"),
        (f"{GOOD}\n{SCOPE}", 6, "cannot be read"),
        (f"{HEAD}forbid (principal == ?principal, action, resource);", 1, "a template says nothing"),
        ("", 1, "a policy has 1 to"),
        ("// nothing but a comment", 1, "a policy has 1 to"),
        ("x" * (POLICY_BYTES_MAX + 1), 1, "a policy has 1 to"),
        (f"{SCOPE};" * (STATEMENTS_MAX + 1), 1, "a policy has 1 to"),
        (f"{HEAD}{SCOPE} when {{ {'(' * DEPTH_MAX}true{')' * DEPTH_MAX} }};", 3, "brackets are open"),
        (f"{HEAD}{SCOPE} when {{ {' || '.join(['true'] * 1_500)} }};", 1, "too long a chain"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(text: str, line: int, message: str) -> None:
    found = faults(text)
    assert any(message in each.message and each.line == line for each in found), [str(each) for each in found]
    assert all(each.remedy for each in found)


@pytest.mark.negative
@pytest.mark.parametrize("brackets", [("(", ")"), ("[", "]"), ("{", "}")])
def test_depth_that_would_end_the_process_never_reaches_the_parser(brackets: tuple[str, str]) -> None:
    opening, closing = brackets
    deep = 6_000
    found = faults(f"{HEAD}{SCOPE} when {{ {opening * deep}1{closing * deep} == 1 }};")
    assert "brackets are open" in found[0].message


@pytest.mark.negative
def test_brackets_in_texts_and_comments_are_no_depth() -> None:
    text = f'// {"(" * 99}\n{HEAD}{SCOPE} when {{ context.requester == "{"(" * 99}\\"{"[" * 99}" }};'
    assert read_policy(text).statements[0].line == 2
