"""The agent's side of one exchange with the TRE, with the bytes in the lab's hands.

Rule: it can do only what any agent can: it runs as the agent's uid and talks to the TRE's socket. What the lab
then does with the answer, deliver it, keep it, or put it into another exchange, a hostile agent could do.

    python -m lab.carrier --socket tre.sock --user UID:GID  < encoded request  > encoded response
"""

import sys
from pathlib import Path

import click

from edge.process import drop_privileges
from edge.users import UserOption
from m2me_agent.agent.errors import AgentError
from m2me_agent.agent.tre_client import TreClient
from m2me_agent.tre_protocol import FRAME_BYTES_MAX, Operation, decode_request, encode_response


@click.command(help="Hand one request (standard input) to a TRE; its response goes to standard output.")
@click.option("--socket", "tre_socket", required=True, type=click.Path(path_type=Path))
@click.option("--user", type=UserOption(), default=None, help="Give up root for this user.")
def main(tre_socket: Path, user: tuple[int, int] | None) -> None:
    """Ask the TRE once; a refusal is an answer, too."""
    if user is not None:
        drop_privileges(*user)
    # what the socket is not for is asked all the same: it is the TRE that says no
    request = decode_request(sys.stdin.buffer.read(FRAME_BYTES_MAX), allowed=frozenset(Operation))
    try:
        response = encode_response(TreClient(tre_socket).ask(request.operation, request.parameters))
    except AgentError as error:
        response = encode_response(error.refusal)
    sys.stdout.buffer.write(response)


if __name__ == "__main__":
    main()
