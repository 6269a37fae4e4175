"""The profiles as a table that a person can read: docs/CERTIFICATES.md.

`python -m ca.profile_table --write` renews the page; a test of the house fails when it is stale. The one rule:
the page is made from `profiles.PROFILES`, so what it says is what is signed.
"""

import sys
from pathlib import Path

from ca.profiles import OPERATOR_ROLES, PROFILES, Profile

PAGE = Path(__file__).parents[1] / "docs" / "CERTIFICATES.md"

_HEAD = """# Certificates

Every certificate that the CA signs follows one of these profiles (`ca/profiles.py`); this page is made from them by
`./dev fix`. Nothing is copied from a request: a CSR proves a key, and the rest comes from the profile and from what a
use case proved. Before the CA's key signs, the same bytes are signed with a throw-away key, decoded and compared with
the profile and with what was proven ([ADR 0035](adr/0035-profiles-and-est.md)).

Every certificate is of version 3 with a serial number of 159 random bits, subject key identifier, key usage (critical)
and, except roots, authority key identifier. CA certificates have critical basic constraints. "Self" in the column of
issuers means self-signed.

| certificate | issuer | life | path length | key usage | purpose | says | status | key |
|---|---|---|---|---|---|---|---|---|
"""

_PURPOSES = {
    "2.23.133.8.3": "tcg-kp-AIKCertificate",
    "1.3.6.1.5.5.7.3.1": "serverAuth",
    "1.3.6.1.5.5.7.3.2": "clientAuth",
    "1.3.6.1.5.5.7.3.9": "OCSPSigning",
}


def page() -> str:
    """The whole page."""
    return _HEAD + "".join(_row(profile) for profile in PROFILES.values())


def _row(profile: Profile) -> str:
    cells = (
        f"`{profile.kind}`",
        ", ".join(sorted("self" if each is profile.kind else f"`{each}`" for each in profile.issuers)),
        _life(profile),
        "-" if profile.path_length is None else str(profile.path_length),
        ", ".join(sorted(_camel(each) for each in profile.key_usage)),
        ", ".join(_PURPOSES.get(each.dotted_string, f"`{profile.kind}`") for each in profile.purposes) or "-",
        ", ".join(
            [
                *sorted(each.replace("_", " ") for each in profile.variables),
                *sorted(f"{each.replace('_', ' ')} where known" for each in profile.where_known),
                *_roles(profile),
            ],
        ),
        _status(profile),
        ", ".join(sorted(profile.keys)),
    )
    return f"| {' | '.join(cells)} |\n"


def _life(profile: Profile) -> str:
    days = profile.lifetime.days
    return f"{days // 365} y" if days >= 365 else f"{days} d"  # noqa: PLR2004, days of a year


def _camel(flag: str) -> str:
    first, *others = flag.split("_")
    return (first + "".join(each.title() for each in others)).replace("crlSign", "cRLSign")


def _roles(profile: Profile) -> list[str]:
    return [f"for {role}" for role in sorted(OPERATOR_ROLES.get(profile.kind, ()))]


def _status(profile: Profile) -> str:
    if profile.never_revoked:
        return "nocheck"
    places = ["CRL"] if profile.locates_issuer else []
    return " and ".join([*places, *(["OCSP"] if profile.locates_ocsp else [])]) or "-"


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(page())
    else:
        sys.stdout.write(page())
