"""Where a state lives, as the rest of tuneform sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from reconciler.errors import StateConflict


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


@dataclass(frozen=True, slots=True)
class Blob:
    """One version of an object. `version` is opaque: a digest, a generation or an etag."""

    content: bytes
    version: str


class Objects(Protocol):
    """A folder of small objects, each of which changes only for who has seen its last version.

    Keys are relative paths of letters, digits and `._-`, with / between. A version may come back together with the
    content it stood for (A, B, A), so every content holds something fresh where that matters. All methods but `where`
    do I/O and raise StateError when the place cannot be reached or trusted.
    """

    def where(self, key: str) -> str:
        """The object in words a user knows: a path or a URL."""

    def get(self, key: str) -> Blob | None:
        """The object, or None when there is none."""

    def put(self, key: str, content: bytes, *, expected: str | None) -> str:
        """Replace the object atomically and durably; returns its new version.

        `expected` is the version last read, None to create. Raises StateConflict when it is no longer the last one.
        """

    def copy(self, key: str, to: str, *, expected: str) -> None:
        """Put a copy in place of whatever is at `to`, without its passing through here; tried once.

        Raises StateConflict when `expected` is not the last version of `key`.
        """

    def delete(self, key: str) -> None:
        """Remove the object, whatever its version, if it is there: nothing that somebody may be writing to."""

    def list(self, folder: str) -> tuple[str, ...]:
        """The keys of all objects below a folder, sorted; the folder is named without a slash at its end."""


def changed_elsewhere(where: str) -> StateConflict:
    """The error of a change that builds on a version which is no longer the last."""
    return StateConflict(
        "The state was changed by somebody else",
        f"{where} is not what was read before. Nothing was overwritten. Run the command again.",
    )
