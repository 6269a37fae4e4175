"""Runs the CCIF's migrations on the connection that `edge.database.migrate` opened."""

from edge.database import run_environment
from operators.ccif.schema import metadata

run_environment(metadata)
