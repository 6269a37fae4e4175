"""The page about certificates says what is signed."""

from ca.profile_table import PAGE, page
from ca.profiles import PROFILES


def test_the_page_is_made_from_the_profiles() -> None:
    assert PAGE.read_text() == page(), "stale: run ./dev fix"
    assert all(f"| `{kind}` |" in page() for kind in PROFILES)
