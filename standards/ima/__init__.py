"""IMA, the list of what the running kernel measured: files that it opened or ran, keys, buffers (check A22).

Purpose: bytes of a list -> entries, how many of them a quoted PCR proves, and what a proven entry says.
Rule: an entry says nothing until the replay has reached the quoted PCR behind it; whatever follows is an unverified
tail. Names are bytes that whoever may name a file on the device has chosen: they are compared as bytes, and shown
escaped (`measured.shown_name`).
Theory: for each entry the kernel extends PCR 10 with the hash of the entry's template data, `PCR := H(PCR || H(data))`,
in the hash of each bank; the list itself holds the SHA-1. A violation (a file that was measured while somebody could
write it) is listed with a digest of zeros and extended as ones: that there was one is
proven, and what it was about is a hint. So is the name of a template, which says how to read the data and is not hashed.
The kernel appends while the TPM quotes, so a list read for a quote is often longer than what the quote covers.
Source: Linux, Documentation/security/IMA-templates.rst and security/integrity/ima (ima_template.c,
ima_template_lib.c, ima_fs.c, ima_crypto.c, ima_queue.c).
"""
