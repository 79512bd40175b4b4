"""Writes the history of one run as it happens; lines are kept until the next flush, which precedes each state write.

So a state never claims what the history does not tell. Does I/O through the stores it is given.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from reconciler.errors import StateConflict, StateError
from reconciler.state.history import GENESIS, Entry, Head, read_line, write_line
from reconciler.state.store import StateStore


class Chronicle(Protocol):
    """Where an apply tells what it does."""

    def add(self, entry: Entry) -> None:
        """Remember this with the next flush. No I/O."""

    def flush(self) -> str | None:
        """Write what was added, durably; the head after it, None while nothing was ever written."""


class NoChronicle:
    """A chronicle that keeps nothing, for who has no place for one."""

    def add(self, entry: Entry) -> None:
        """Nothing."""

    def flush(self) -> str | None:
        """None: there is no head."""
        return None


class RunChronicle:
    """The history of one run, in a document of its own. `open_run` gives the place of a run's document by number."""

    def __init__(self, open_run: Callable[[int], StateStore], covered: Head | None) -> None:
        self._open_run = open_run
        self._covered = covered
        self._pending: list[Entry] = []
        self._store: StateStore | None = None
        self._version: str | None = None
        self._text = ""
        self._head = covered
        self._run = 0
        self._number = 0

    def add(self, entry: Entry) -> None:
        """Remember this with the next flush. No I/O."""
        self._pending.append(entry)

    def flush(self) -> str | None:
        """Write what was added; the head after it. Raises StateError when it cannot be written or followed."""
        if not self._pending:
            return None if self._head is None else str(self._head)
        store = self._begun()
        for entry in self._pending:
            prev = GENESIS if self._head is None else self._head.digest
            line, digest = write_line(entry, run=self._run, number=self._number + 1, prev=prev)
            self._text += line + "\n"
            self._number += 1
            self._head = Head(run=self._run, digest=digest)
        try:
            self._version = store.write(self._text, expected=self._version)
        except StateConflict as error:
            raise StateConflict(
                "Another run writes the history",
                f"{store.where} was written by somebody else meanwhile. Nothing more is done here.",
            ) from error
        self._pending.clear()
        return str(self._head)

    def _begun(self) -> StateStore:
        """The document of this run: the first free number after what the state covers and after killed runs."""
        if self._store is not None:
            return self._store
        run = 1 if self._covered is None else self._covered.run
        while True:
            store = self._open_run(run)
            stored = store.read()
            if stored is None:
                self._store, self._run = store, run
                return store
            # The last line of the newest run is what we follow, whether or not a state covers it.
            self._head = _last_line(stored.text, store.where, run)
            run += 1


def _last_line(text: str, where: str, run: int) -> Head:
    lines = text.splitlines()
    try:
        return Head(run=run, digest=read_line(lines[-1]).digest)
    except (ValueError, IndexError) as error:
        raise StateError(
            "The history is damaged",
            f"The last line of {where} cannot be read, so nothing can follow it. See what is wrong with:",
            command="tuneform history verify",
        ) from error
