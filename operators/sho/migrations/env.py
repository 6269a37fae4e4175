"""Runs the SHO's migrations on the connection that `edge.database.migrate` opened."""

from edge.database import run_environment
from operators.sho.schema import metadata

run_environment(metadata)
