"""Alembic history of the CA's store."""
