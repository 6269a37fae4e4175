"""The man-machine interface, as a command: what waits for consent, yes or no to it, and whose USIM serves (R13, R17).

The rule: a person compares the operator's name and the order code with what the operator told them, and names the
code; the TRE takes that from the uid of its MMI socket and from nobody else.
"""

import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import click

from edge.process import PrivilegeError, drop_privileges
from edge.users import UserOption
from m2me_agent.tre_protocol import (
    Operation,
    Refusal,
    Request,
    TreProtocolError,
    decode_response,
    encode_frame,
    encode_request,
    receive_frame,
)

EXIT_UNREACHABLE = 4
_TIMEOUT_S = 30.0


def _at_a_tre(command: Callable[..., None]) -> Callable[..., None]:
    """The options that every command has; the user is left before the TRE is asked, after usage was judged."""
    options = (
        click.option(
            "--socket",
            "path",
            required=True,
            type=click.Path(path_type=Path, readable=False),
            help="MMI socket of the TRE.",
        ),
        click.option("--user", type=UserOption(), help="Give up root for this user."),
    )
    for option in options:
        command = option(command)
    return command


def _become(user: tuple[int, int] | None) -> None:
    if user is None:
        return
    try:
        drop_privileges(*user)
    except PrivilegeError as error:
        _end(str(error))


@click.group(
    help="See which orders wait at this device, consent to one or refuse it, and select the USIM that serves."
)
def main() -> None:
    """Entry point of ``python -m m2me_agent.mmi``."""


@main.command()
@_at_a_tre
def pending(path: Path, user: tuple[int, int] | None) -> None:
    """Show what waits: order code, operator, consent."""
    _become(user)
    for order in _orders(path):
        click.echo(f"{order['order_code']}  {order['sho_name']} ({order['sho']})  consent {order['consent']}")


@main.command()
@_at_a_tre
@click.argument("code")
def consent(path: Path, user: tuple[int, int] | None, code: str) -> None:
    """Agree to the order with this code."""
    _become(user)
    _decide(path, code, Operation.CONSENT)
    click.echo(f"{code}: consent given")


@main.command()
@_at_a_tre
@click.argument("code")
def refuse(path: Path, user: tuple[int, int] | None, code: str) -> None:
    """Refuse the order with this code."""
    _become(user)
    _decide(path, code, Operation.REFUSE)
    click.echo(f"{code}: refused")


@main.command()
@_at_a_tre
def usims(path: Path, user: tuple[int, int] | None) -> None:
    """Show the USIMs of active MIDs, and which of them serve."""
    _become(user)
    for each in _usims(path):
        serves = "serves" if each["serves"] else "waits"
        click.echo(f"{each['application']}  {each['access']}  {serves}  {each['owner']}")


@main.command()
@_at_a_tre
@click.argument("imsi")
def select(path: Path, user: tuple[int, int] | None, imsi: str) -> None:
    """Let the USIM with this IMSI serve its kind of access."""
    _become(user)
    mids = [each["mid_id"] for each in _usims(path) if each["application"] == imsi]
    if len(mids) != 1:
        _end(f"{len(mids)} USIMs of active MIDs have the IMSI {imsi}: see which there are")
    access = _ask(path, Operation.SELECT, mid_id=mids[0], application=imsi)["access"]
    click.echo(f"{imsi}: serves {access} access")


def _decide(path: Path, code: str, operation: Operation) -> None:
    digests = [order["order_digest"] for order in _orders(path) if order["order_code"] == code]
    if len(digests) != 1:
        _end(f"{len(digests)} orders with the code {code} wait: compare the code with the operator's")
    _ask(path, operation, order_digest=digests[0])


def _orders(path: Path) -> list[dict[str, Any]]:
    orders: list[dict[str, Any]] = _ask(path, Operation.PENDING)["orders"]
    return orders


def _usims(path: Path) -> list[dict[str, Any]]:
    usims: list[dict[str, Any]] = _ask(path, Operation.USIMS)["usims"]
    return usims


def _ask(path: Path, operation: Operation, **parameters: bytes | str) -> dict[str, Any]:
    frame = encode_frame(encode_request(Request(operation=operation, parameters=parameters)))
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_TIMEOUT_S)
            connection.connect(str(path))
            connection.sendall(frame)
            payload = receive_frame(connection.recv)
        if payload is None:
            _end("the TRE closed the connection: this uid is not its MMI's", status=EXIT_UNREACHABLE)
        response = decode_response(payload, operation=operation)
    except (OSError, TreProtocolError) as error:
        _end(f"no TRE answers at {path}: {error}", status=EXIT_UNREACHABLE)
    if isinstance(response, Refusal):
        _end(f"{response.subject}: {response.reason} ({response.remedy})")
    return dict(response)


def _end(reason: str, *, status: int = 1) -> NoReturn:
    click.echo(f"mmi: {reason}", err=True)
    sys.exit(status)


if __name__ == "__main__":
    main()
