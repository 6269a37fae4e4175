"""Authentication and key agreement of 3GPP: MILENAGE, authentication vectors, sequence numbers."""
