"""Runs the VNO's migrations on the connection that `edge.database.migrate` opened."""

from edge.database import run_environment
from operators.vno.schema import metadata

run_environment(metadata)
