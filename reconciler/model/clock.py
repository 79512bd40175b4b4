"""Time as the loop sees it, so that a simulated hour can pass in a real moment."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """Where instants and pauses come from."""

    def now(self) -> datetime:
        """The present instant, aware UTC."""

    def sleep(self, seconds: float) -> None:
        """Return after that many seconds of this clock."""
