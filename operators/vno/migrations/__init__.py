"""Alembic history of the VNO's store."""
