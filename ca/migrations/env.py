"""Alembic environment of the CA's store."""

from ca.store.tables import metadata
from edge.database import run_environment

run_environment(metadata)
