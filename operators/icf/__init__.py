"""The initial connectivity function: authentication vectors and attachments of PCIDs."""
