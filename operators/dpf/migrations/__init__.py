"""Migrations of the DPF's store."""
