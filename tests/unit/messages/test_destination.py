"""One spelling of a destination, and none of the others."""

import pytest

from messages.destination import check_destination, read_destination
from messages.errors import MessageError


@pytest.mark.requirement("R89")
@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("drf.example:443", "drf.example", 443),
        ("127.0.0.1:8443", "127.0.0.1", 8443),
        ("localhost:1", "localhost", 1),
        ("a-b.c1.example:65535", "a-b.c1.example", 65535),
    ],
)
def test_host_and_port(text: str, host: str, port: int) -> None:
    assert read_destination(text) == (host, port)
    assert check_destination(text) == text


@pytest.mark.negative
@pytest.mark.requirement("R08")
@pytest.mark.parametrize(
    "text",
    [
        "",
        "drf.example",
        "drf.example:",
        "drf.example:0",
        "drf.example:0443",
        "drf.example:65536",
        "drf.example:443 ",
        " drf.example:443",
        "drf.example:443\n",
        "DRF.example:443",
        "drf.example.:443",
        ".drf.example:443",
        "drf..example:443",
        "-drf.example:443",
        "user@drf.example:443",
        "user:secret@drf.example:443",
        "https://drf.example:443",
        "drf.example:443/path",
        "drf.example:+443",
        "drf.example:\uff14\uff14\uff13",
        "drf\u3002example:443",
        "[::1]:443",
        "::1:443",
        "[::ffff:127.0.0.1]:443",
        "127.1:443",
        "127.0.0.01:443",
        "0177.0.0.1:443",
        "0x7f.0.0.1:443",
        "2130706433:443",
        "0x7f000001:443",
        "127.0.0.256:443",
        "drf%2eexample:443",
        "a" * 64 + ".example:443",
        ".".join(["abcdefgh"] * 40) + ":443",
    ],
)
def test_every_other_spelling_is_refused(text: str) -> None:
    with pytest.raises(MessageError):
        read_destination(text)
