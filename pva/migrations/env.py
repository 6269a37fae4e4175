"""Runs the PVA's migrations on the connection that `edge.database.migrate` opened."""

from edge.database import run_environment
from pva.store.tables import metadata

run_environment(metadata)
