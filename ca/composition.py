"""Builds the CA's objects from its settings; nothing else in this room reads them."""

from ca.hierarchy import Hierarchy
from ca.settings import CaSettings
from ca.signing import Signing
from ca.signing_keys import KeyFolder
from ca.store import Store
from edge.database import engine_for
from edge.process import system_clock, system_random


def store_of(settings: CaSettings) -> Store:
    """The CA's store; `migrate` it before use."""
    return Store(engine_for(settings.database), random_bytes=system_random)


def signing_of(settings: CaSettings) -> Signing:
    """The CA's signing hand."""
    return Signing(
        keys=KeyFolder(settings.keys, passphrase_file=settings.passphrase_file),
        random_bytes=system_random,
        public_url=settings.public_url,
        ocsp_url=settings.ocsp_url,
    )


def hierarchy_of(settings: CaSettings) -> Hierarchy:
    """The use cases that make CAs."""
    return Hierarchy(store=store_of(settings), signing=signing_of(settings), clock=system_clock)
