"""Alembic history of the DPF's store."""
