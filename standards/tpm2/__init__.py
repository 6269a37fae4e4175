"""TPM 2.0 Library: structures, commands, sessions, Names, verification."""
