"""Alembic history of the CCIF's store."""
