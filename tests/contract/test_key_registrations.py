"""Keys that wait for a second administrator, in the CA's store on SQLite and PostgreSQL: restarts, races, the migration."""

import os
import threading
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from ca.errors import ConflictError, NotFoundError
from ca.key_registrations import KeyRegistrations
from ca.profiles import Kind
from ca.records import EstEnrollment, EstState
from ca.signing import Signing
from ca.store import Store
from ca.suspensions import Scope, Suspensions
from edge.administrators import Removal
from edge.principals import Principal
from tests.contract.test_ca_store import engine, store
from tests.fakes.ca import ADMIN, NOW, OCSP_URL, PUBLIC_URL, SECOND, FrozenClock, MemoryKeys

__all__ = ["engine", "store"]

WANTED = EstEnrollment(
    kind=Kind.ATTESTATION_RESULT,
    spki_sha256="7" * 64,
    state=EstState.REGISTERED,
    since=NOW,
    name="pva-1",
    role="pva",
)

pytestmark = [pytest.mark.requirement("R75")]


def registrations(store: Store) -> KeyRegistrations:
    signing = Signing(keys=MemoryKeys(), random_bytes=os.urandom, public_url=PUBLIC_URL, ocsp_url=OCSP_URL)
    return KeyRegistrations(store=store, signing=signing, clock=FrozenClock())


def test_what_waits_outlives_a_restart(store: Store, engine: sa.Engine) -> None:
    waiting = registrations(store).register(WANTED, caller=ADMIN)
    again = registrations(Store(engine, random_bytes=os.urandom))
    [found] = again.waiting()
    assert found == waiting
    assert again.approve(found.digest, caller=SECOND).is_registered
    with store.reading() as records:
        known = records.est_enrollment(WANTED.kind, spki_sha256=WANTED.spki_sha256)
        assert known is not None
        assert (known.state, known.name, known.role) == (EstState.REGISTERED, "pva-1", "pva")


@pytest.mark.negative
def test_two_second_approvals_at_once_have_one_effect(store: Store) -> None:
    digest = registrations(store).register(WANTED, caller=ADMIN).digest
    others = [replace(SECOND, name=f"admin-{digit}", key_sha256=digit * 64) for digit in "3456"]
    start = threading.Barrier(len(others))
    ended: list[object] = []

    def approve(number: int) -> None:
        start.wait()
        try:
            ended.append(registrations(store).approve(digest, caller=others[number]).is_registered)
        except (NotFoundError, ConflictError) as error:
            ended.append(error.reason)

    threads = [threading.Thread(target=approve, args=(number,)) for number in range(len(others))]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(map(str, ended)) == ["True", *["no-such-proposal"] * (len(others) - 1)]


@pytest.mark.negative
def test_an_approval_that_is_too_old_is_none(store: Store) -> None:
    old = registrations(store)
    old.register(WANTED, caller=ADMIN)
    clock = FrozenClock(NOW + timedelta(hours=25))
    assert not replace(old, clock=clock).register(WANTED, caller=SECOND).is_registered


@pytest.mark.negative
@pytest.mark.requirement("R28")
def test_what_a_removed_administrator_approved_counts_no_more(store: Store) -> None:
    """Of keys as of everything else that two decide: he is removed by one, and his word with him."""
    keys = registrations(store)
    liftings = Suspensions(store=store, clock=FrozenClock())
    suspended = liftings.suspend(Scope(supplier="acme", batch="b1"), reason="a flaw", caller=ADMIN)
    keys.register(WANTED, caller=ADMIN)
    liftings.lift(suspended.id, caller=ADMIN)
    listed = {
        ("a" * 64, each.key_sha256): Principal(role="admin", tenant="", name=each.name)
        for each in (ADMIN, SECOND, replace(SECOND, name="admin-3", key_sha256="3" * 64))
    }
    removal = Removal(by=SECOND.name, at=NOW, reason="key taken")
    store.administrators().remove(ADMIN.key_sha256, removal, tenant="", listed=lambda: listed)
    assert not keys.register(WANTED, caller=SECOND).is_registered
    assert liftings.lift(suspended.id, caller=SECOND).lifted_at is None
