"""TPM 2.0 Library: structures, commands, sessions, Names, verification.

Sans-I/O: bytes go out, bytes come in, and whoever calls carries them. The TRE, the Verifier, the CA and
the software TPM of the lab share this one codec. Section numbers are those of TPM 2.0 Library rev 1.59.
"""
