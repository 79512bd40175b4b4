"""A stack of its own for every test of the command line."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.harness import Shop, model


@pytest.fixture
def shop(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """A stack of three models on a fast simulator with two slots; signal handlers are put back afterwards."""
    for name in ("TUNEFORM_ENDPOINT", "TUNEFORM_ACCESS_TOKEN", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    made = Shop(tmp_path, capsys)
    made.stack()
    made.models(model("alpha"), model("beta"), model("gamma"))
    yield made
    for number, handler in handlers.items():
        signal.signal(number, handler)
