"""The promise of inclusion, and the digest of the claims that its leaf commits to."""

import json

from standards.rats.promise import promised_digest
from tests.unit.standards.rats.results import RESULT


def test_the_digest_is_over_every_claim_but_the_promise() -> None:
    claims = RESULT.claims()
    without = {name: value for name, value in claims.items() if name != "pva_inclusion_promise"}
    assert len(without) == len(claims) - 1
    assert promised_digest(claims) == promised_digest(without)
    for name in without:
        assert promised_digest({**claims, name: "another"}) != promised_digest(claims), name


def test_the_order_of_claims_changes_nothing() -> None:
    claims = RESULT.claims()
    backwards = json.loads(json.dumps(claims), object_pairs_hook=lambda pairs: dict(reversed(pairs)))
    assert list(backwards) != list(claims)
    assert promised_digest(backwards) == promised_digest(claims)
