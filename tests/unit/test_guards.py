"""The guards every test stands on do bite."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1", "example.invalid"])
def test_the_network_is_out_of_reach(host: str) -> None:
    """A test that connects to another machine, or asks for its name, is stopped."""
    with pytest.raises(BaseException, match="tests reach loopback only"):
        socket.create_connection((host, 443), timeout=1)


def test_loopback_is_within_reach() -> None:
    """A test may talk to a server of its own."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        assert client.getpeername() == server.getsockname()


def test_a_golden_file_that_differs_fails(golden: Callable[[str, str], None], request: pytest.FixtureRequest) -> None:
    """A text that is not the golden one fails, and so does a golden file that does not exist."""
    if request.config.getoption("--update-golden"):
        return
    with pytest.raises(AssertionError, match=r"state\.json differs"):
        golden("state.json", "another text")
    with pytest.raises(AssertionError, match="does not exist"):
        golden("no-such-file", "a text")
