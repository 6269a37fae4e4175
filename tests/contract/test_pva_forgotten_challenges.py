"""A used challenge is kept for longer than it could be used, and not for ever."""

from datetime import timedelta
from pathlib import Path

import pytest

from pva.store.validations import REDEEMED_KEPT
from tests.contract.test_pva_store import AuditedStore, sqlite_engine
from tests.fakes.pki import NOW


@pytest.mark.requirement("R94")
def test_a_used_challenge_is_forgotten_long_after_it_expired(tmp_path: Path) -> None:
    engine = sqlite_engine(tmp_path)
    store = AuditedStore(engine)
    assert store.redeem(b"d" * 32, expires_at=NOW, at=NOW)
    store.forget_challenges(at=NOW + REDEEMED_KEPT)
    assert not store.redeem(b"d" * 32, expires_at=NOW, at=NOW), "it is kept for as long as it says"
    store.forget_challenges(at=NOW + REDEEMED_KEPT + timedelta(seconds=1))
    assert store.redeem(b"d" * 32, expires_at=NOW, at=NOW)
    engine.dispose()
