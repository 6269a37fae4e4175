"""The words of the `pva` command, one file a noun.

Rule: a command is one act; what it prints names what was done and what a person does next.
"""
