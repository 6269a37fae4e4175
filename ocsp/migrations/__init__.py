"""Alembic history of the responder's store."""
