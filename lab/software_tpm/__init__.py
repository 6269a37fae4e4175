"""A TPM 2.0 in software, for laboratories: command bytes in, response bytes out.

It stands in where swtpm is not installed: real structures, Names, policies, sessions and signatures, with the
return codes of the norm. It is no secure element: whoever reads its state directory owns its keys, it has no
side-channel defences, and its EK certificates chain to a root that only a lab profile recognises.

One rule: a command is one step. State is made of immutable values, replaced when a command has succeeded and
put back when it has not, so no refusal leaves anything half-written (Part 1, 5; Part 3, 5).
"""
