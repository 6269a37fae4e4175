"""Alembic environment of the responder's store."""

from edge.database import run_environment
from ocsp.store import METADATA

run_environment(METADATA)
