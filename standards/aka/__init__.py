"""Authentication and key agreement of 3GPP: MILENAGE, TUAK, vectors, sequence numbers, keys of EAP-AKA'."""
