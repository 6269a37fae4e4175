"""The device: an untrusted agent with the network, a TRE with the TPM."""
