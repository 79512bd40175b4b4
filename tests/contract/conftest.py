"""The places a contract is held against: a file, a fake Cloud Storage behind a socket, and real servers of others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from reconciler.backends.open import Place, open_place
from reconciler.providers.connection import Connection
from tests.emulators.gcs import FakeGcs, served
from tests.emulators.processes import azure_server, s3_server

EMULATED = pytest.mark.emulators
HOMES = ("local", "gcs", pytest.param("s3", marks=EMULATED), pytest.param("azure", marks=EMULATED))


@dataclass(frozen=True, slots=True)
class Home:
    """A location that holds nothing yet, and the environment it is reached in; `closing` ends what was opened."""

    location: str
    env: Mapping[str, str]
    closing: ExitStack

    def open(self) -> Place:
        """The place through a handle of its own, with its own connections."""
        connection = Connection()
        self.closing.callback(connection.close)
        return open_place(self.location, env=self.env, connection=connection)


@pytest.fixture(scope="session")
def gcs_env() -> Iterator[Mapping[str, str]]:
    """The environment of a fake Cloud Storage with the bucket `states`."""
    with served(FakeGcs("states")) as url:
        yield {"STORAGE_EMULATOR_HOST": url}


@pytest.fixture(scope="session")
def s3_env() -> Iterator[Mapping[str, str]]:
    """The environment of an S3 server with the bucket `states`."""
    with s3_server("states") as env:
        yield env


@pytest.fixture(scope="session")
def azure_env() -> Iterator[Mapping[str, str]]:
    """The environment of an Azure Blob Storage server with the container `states`."""
    with azure_server("states") as env:
        yield env


@pytest.fixture
def make_home(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[str], Home]]:
    """Gives an empty home of a kind, two folders down, neither of which exists yet."""
    with ExitStack() as closing:

        def make(kind: str) -> Home:
            if kind == "local":
                return Home(str(tmp_path / "states" / "today" / "support.json"), {}, closing)
            scheme = {"gcs": "gs", "s3": "s3", "azure": "az"}[kind]
            location = f"{scheme}://states/{tmp_path.name}/today/support.json"
            return Home(location, request.getfixturevalue(f"{kind}_env"), closing)

        yield make


@pytest.fixture(params=HOMES)
def home(request: pytest.FixtureRequest, make_home: Callable[[str], Home]) -> Home:
    """An empty home of each kind."""
    return make_home(request.param)
