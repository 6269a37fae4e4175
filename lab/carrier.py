"""The agent's side of one exchange with the TRE, with the bytes in the lab's hands.

Rule: it can do only what any agent can: it runs as the agent's uid and talks to the TRE's socket. What the lab
then does with the evidence, deliver it, keep it, or put it into another exchange, a hostile agent could do.

    python -m lab.carrier --socket tre.sock --user UID:GID  < challenge token  > evidence
"""

import json
import sys
from pathlib import Path

import click

from edge.process import drop_privileges
from edge.users import UserOption
from m2me_agent.agent.errors import AgentError
from m2me_agent.agent.tre_client import TreClient
from m2me_agent.tre_protocol import Operation

TOKEN_BYTES_MAX = 65_536
EXIT_REFUSED = 1


@click.command(help="Hand a challenge token (standard input) to a TRE; its evidence goes to standard output.")
@click.option("--socket", "tre_socket", required=True, type=click.Path(path_type=Path))
@click.option("--user", type=UserOption(), default=None, help="Give up root for this user.")
def main(tre_socket: Path, user: tuple[int, int] | None) -> None:
    """Ask the TRE once; a refusal goes to standard error as JSON, exit 1."""
    if user is not None:
        drop_privileges(*user)
    token = sys.stdin.read(TOKEN_BYTES_MAX).strip()
    try:
        answer = TreClient(tre_socket).ask(Operation.ATTEST, {"challenge_token": token})
    except AgentError as error:
        refusal = error.refusal
        parts = {name: getattr(refusal, name) for name in ("code", "subject", "reason", "remedy")}
        click.echo(json.dumps(parts), err=True)
        sys.exit(EXIT_REFUSED)
    sys.stdout.buffer.write(answer["evidence"])


if __name__ == "__main__":
    main()
