"""The trusted environment: the TPM, the anchors, and the rules; no network."""
