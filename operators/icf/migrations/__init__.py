"""Alembic history of the ICF's store."""
