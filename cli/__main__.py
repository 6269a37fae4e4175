"""`python -m cli`."""

from cli.app import main

main(prog_name="pva")
