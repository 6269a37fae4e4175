"""Commands of the TPM 2.0 Library, Part 3, by the area that they act on; `standards.tpm2.connection` joins them."""
