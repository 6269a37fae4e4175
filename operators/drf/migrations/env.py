"""Runs the DRF's migrations on the connection that `edge.database.migrate` opened."""

from edge.database import run_environment
from operators.drf.schema import metadata

run_environment(metadata)
