"""Alembic history of the PVA's store."""
