"""Alembic history of the SHO's store."""
