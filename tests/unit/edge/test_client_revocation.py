"""Only a list that verifies under the client's CA and is current lets anybody of that CA in."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from pydantic import ValidationError

from edge.client_revocation import STATUS_UNKNOWN, ClientRevocation, CrlSource
from edge.listener_settings import OperatorListenerSettings
from edge.problem_document import ProblemError
from tests.contract.certificates import Authority, Certificates
from tests.fakes.ca import FrozenClock

HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("revocation"))


@dataclass(kw_only=True)
class World:
    """One TLS root with two clients, whose list is what `published` says."""

    certificates: Certificates
    stale: str = "refuse"
    published: list[bytes | Exception] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.root = self.certificates.root.certificate
        self.good, self.bad = self.certificates.client("good"), self.certificates.client("bad")
        self.clock = FrozenClock(self.certificates.now)
        self.revocation = ClientRevocation(
            [CrlSource(name="list", read=self._read)],
            issuers=[self.certificates.foreign.certificate, self.root],
            clock=self.clock,
            is_stale_refused=self.stale == "refuse",
        )

    def _read(self) -> bytes:
        newest = self.published[-1]
        if isinstance(newest, Exception):
            raise newest
        return newest

    def publish(self, der: bytes | Exception) -> None:
        """The source gives this from now on, and it is followed."""
        self.published.append(der)
        self.revocation.follow()

    def is_revoked(self, certificate: x509.Certificate) -> bool:
        """What the table of principals asks."""
        return self.revocation.is_revoked(certificate, self.root)

    def refuses(self, certificate: x509.Certificate) -> None:
        """Nobody is let in, and the caller is told what is missing."""
        with pytest.raises(ProblemError) as caught:
            self.is_revoked(certificate)
        problem = caught.value.problem
        assert (problem.status, problem.type) == (503, STATUS_UNKNOWN)
        assert "client_crl" in problem.remedy


@pytest.fixture
def world(certificates: Certificates) -> World:
    return World(certificates=certificates)


def test_who_stands_in_the_list_is_revoked_and_nobody_else(world: World) -> None:
    world.publish(world.certificates.crl(world.bad))
    assert world.is_revoked(world.bad)
    assert not world.is_revoked(world.good)


def test_a_newer_list_takes_the_place_of_an_older_one(world: World) -> None:
    world.publish(world.certificates.crl(number=1))
    assert not world.is_revoked(world.bad)
    world.publish(world.certificates.crl(world.bad, number=2))
    assert world.is_revoked(world.bad)


@pytest.mark.negative
def test_an_older_list_that_is_still_current_does_not_come_back(world: World) -> None:
    world.publish(world.certificates.crl(world.bad, number=2))
    world.publish(world.certificates.crl(number=1))
    assert world.is_revoked(world.bad)


@pytest.mark.negative
def test_before_the_first_list_nobody_is_let_in(world: World) -> None:
    world.refuses(world.good)


@pytest.mark.negative
def test_a_list_that_has_ended_lets_nobody_in(world: World) -> None:
    world.publish(world.certificates.crl(life=HOUR))
    world.clock.at += HOUR - timedelta(seconds=1)
    assert not world.is_revoked(world.good)
    world.clock.at += timedelta(seconds=1)  # a list's times are whole seconds
    world.refuses(world.good)


@pytest.mark.negative
@pytest.mark.parametrize(
    "broken",
    [
        lambda made: made.crl(authority=made.authority("TLS root")),
        lambda made: made.crl(life=-timedelta(seconds=1)),
        lambda _: b"no list",
        lambda _: b"",
        lambda _: OSError("unreachable"),
    ],
    ids=["another key of this name", "over", "no list", "empty", "unreachable"],
)
def test_what_does_not_verify_changes_nothing(
    world: World, broken: Callable[[Certificates], bytes | Exception]
) -> None:
    world.publish(broken(world.certificates))
    world.refuses(world.good)
    world.publish(world.certificates.crl(world.bad))
    world.publish(broken(world.certificates))
    assert world.is_revoked(world.bad)
    assert not world.is_revoked(world.good)


@pytest.mark.negative
def test_the_list_of_one_ca_says_nothing_about_clients_of_another(world: World) -> None:
    foreign: Authority = world.certificates.foreign
    world.publish(world.certificates.crl(authority=foreign))
    assert not world.revocation.is_revoked(world.good, foreign.certificate)
    world.refuses(world.good)


def test_where_an_alarm_is_enough_clients_come_in_but_not_those_known_to_be_revoked(
    certificates: Certificates,
) -> None:
    world = World(certificates=certificates, stale="alarm")
    assert not world.is_revoked(world.bad)
    world.publish(certificates.crl(world.bad))
    world.clock.at += 2 * HOUR
    assert not world.is_revoked(world.good)
    assert world.is_revoked(world.bad)


def settings(*client_crl: str) -> OperatorListenerSettings:
    return OperatorListenerSettings.model_validate(
        {
            "certificate": "c.pem",
            "key": "k.pem",
            "client_anchors": "a.pem",
            "principals": "p.json",
            "client_crl": client_crl,
        }
    )


def test_a_source_is_a_url_or_a_file() -> None:
    made = settings("http://127.0.0.1:80/crl/x.crl", "x.crl")
    assert made.client_crl == ("http://127.0.0.1:80/crl/x.crl", Path("x.crl"))
    assert made.client_crl_stale == "refuse"


@pytest.mark.negative
@pytest.mark.parametrize("source", ["https://127.0.0.1/x.crl", "ldap://x/y", "http://x/y?z"])
def test_other_sources_are_refused(source: str) -> None:
    with pytest.raises(ValidationError, match="http://"):
        settings(source)
