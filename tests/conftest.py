"""What every test stands on: no network but loopback, repeatable searches, and golden files."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

GOLDEN = Path(__file__).parent / "golden"
LOOPBACK_NAMES = frozenset({"", "localhost", "localhost."})

# The database is off, so that a run depends on nothing but the code. A busy machine is no defect of the code.
settings.register_profile(
    "ci",
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "long",
    database=None,
    deadline=None,
    max_examples=2_000,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


class NetworkRefusedError(BaseException):
    """A test reached for the network; no Exception, so that no error handling under test can swallow it."""


def refuse_network(event: str, arguments: tuple[object, ...]) -> None:
    """Raise NetworkRefusedError for a connection, a datagram or a name look-up that leaves this machine."""
    if event == "socket.getaddrinfo":
        host = arguments[0]
    elif event in ("socket.connect", "socket.sendto"):
        address = arguments[1]
        # Only internet addresses are tuples with a host in front.
        host = address[0] if isinstance(address, tuple) else ""
    else:
        return
    if not is_loopback(host):
        raise NetworkRefusedError(f"tests reach loopback only, and this one reached for {host!r} ({event})")


def is_loopback(host: object) -> bool:
    """Whether a host, as a name or an address, is this machine."""
    name = host.decode() if isinstance(host, bytes) else str(host or "")
    if name in LOOPBACK_NAMES:
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the flag that writes golden files anew."""
    parser.addoption("--update-golden", action="store_true", help="write the golden files anew; then read the diff")


def pytest_configure(config: pytest.Config) -> None:
    """Close the network for the rest of the process."""
    sys.addaudithook(refuse_network)


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """`golden("plan.txt", text)` fails when the text differs from tests/golden/plan.txt."""
    update: bool = request.config.getoption("--update-golden")

    def compare(name: str, actual: str) -> None:
        path = GOLDEN / name
        if update:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(actual, encoding="utf-8", newline="")
        assert path.exists(), f"{path} does not exist; --update-golden writes it"
        expected = path.read_bytes().decode("utf-8")
        assert expected == actual, f"{path} differs; --update-golden accepts what is new"

    return compare
