"""An update that is published, approved and announced, so that owners may approve the state after it."""

import hashlib
from dataclasses import replace
from datetime import timedelta

from clients.pva import PvaOperatorClient
from edge.process import system_clock
from lab.parties import approve_manifest
from lab.reference import reference_manifest
from lab.scene import MODEL, Scene
from lab.story import APPROVED
from lab.update_stories import NEXT_KERNEL
from standards.rats.manifest import Predecessor

OVERLAP, LIFE = timedelta(hours=1), timedelta(days=1)


def announced_update(scene: Scene, *, signed_before: bytes) -> bytes:
    """The digest of the signed manifest that follows the one of the devices."""
    supplier, model = scene.suppliers[APPROVED], MODEL[APPROVED]
    first = reference_manifest(scene.release(), supplier=APPROVED, model=model)
    release = replace(scene.release(), version="1.1", svn=2, kernel=NEXT_KERNEL)
    now = system_clock().replace(microsecond=0)
    described = reference_manifest(release, supplier=APPROVED, model=model)
    before = hashlib.sha256(signed_before).digest()
    signed = supplier.sign(
        replace(
            described,
            line_name=first.line,
            predecessor=Predecessor(id=first.id, digest=before, until=now + OVERLAP),
            valid_from=now,
            valid_to=now + LIFE,
        )
    )
    supplier.publish(signed)
    approve_manifest(scene.services, signed)
    digest = hashlib.sha256(signed).digest()
    services = scene.services
    pva = PvaOperatorClient(services.http("pva", "operator", services.identity(APPROVED)))
    pva.announce_update(digest, share_percent=100)
    return digest
