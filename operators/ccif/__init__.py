"""The connectivity credentials issuing function: PCIDs and their keys."""
