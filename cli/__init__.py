"""The `pva` command: administers every service through its API, with the rights of whoever runs it.

Rule: nothing is decided here and nothing is kept here; a command reads its settings, makes one request of a service
(or one offline act with the caller's own keys), prints what came of it, and ends with the exit code of ADR 0019.
"""
