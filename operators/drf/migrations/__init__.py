"""Alembic history of the DRF's store."""
