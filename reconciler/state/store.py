"""Where a state lives, as the rest of tuneform sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Stored:
    """One version of a document. `version` is opaque: a digest, a generation or an etag."""

    text: str
    version: str


class StateStore(Protocol):
    """A place that keeps one document and lets it change only for who has seen its last version.

    Both methods do I/O and raise StateError when the place cannot be reached or trusted.
    """

    @property
    def where(self) -> str:
        """The place in words a user knows: a path or a URL."""

    def read(self) -> Stored | None:
        """The document, or None when there is none yet."""

    def write(self, text: str, *, expected: str | None) -> str:
        """Replace the document atomically and durably; returns its new version.

        `expected` is the version last read, None to create. Raises StateConflict when it is no longer the last one.
        """
