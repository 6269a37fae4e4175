"""The boot log that firmware and boot loader leave beside the PCRs (TCG PC Client Platform Firmware Profile).

Purpose: bytes of a log -> events, PCR values that those events lead to, and what an event is about.
Rule: nothing in a log is true until its replay reaches a quoted PCR; and of an event's data only the part that
the digest covers is true even then (`measured`). The rest is a hint, and is labelled so.
Theory: firmware extends a PCR with the digest of what it is about to use, `PCR := H(PCR || digest)`, and appends
an event that says what it was. Replaying the digests from the reset value must give the value of the PCR.
"""
