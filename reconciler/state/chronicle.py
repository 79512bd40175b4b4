"""Writes the history of one run as it happens; lines are kept until the next flush, which precedes each state write.

So a state never claims what the history does not tell. Does I/O through the stores it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from reconciler.errors import StateConflict, StateError
from reconciler.state.history import GENESIS, Entry, EntryKind, Head, Line, lines_of, read_line, write_line
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
        run, newest = 1 if self._covered is None else self._covered.run, None
        while (store := self._open_run(run)).read() is not None:
            run, newest = run + 1, store
        if newest is not None:
            # The last line of the newest run is what we follow, whether or not a state covers it.
            self._head = _closed(newest, run - 1, self._pending[0].at)
        self._store, self._run = store, run
        return store


def _closed(store: StateStore, run: int, at: datetime) -> Head:
    """The last line of a run, once it can write no more.

    A run that never ended was killed, or lives on although its lease is gone: what it still added behind the line that
    we follow would look like tampering. So it is ended here, on top of its last version, which makes its writes fail.
    """
    while True:
        stored = store.read()
        lines = [] if stored is None else lines_of(stored.text)
        last = _last_line(lines, store.where)
        if stored is None or last.entry.kind is EntryKind.RUN_ENDED:
            return Head(run=run, digest=last.digest)
        ended = Entry(kind=EntryKind.RUN_ENDED, at=at, facts={"ended": "abandoned"})
        line, digest = write_line(ended, run=run, number=len(lines) + 1, prev=last.digest)
        try:
            store.write("".join(f"{one}\n" for one in (*lines, line)), expected=stored.version)
        except StateConflict:
            # It lives, and wrote once more in between.
            continue
        return Head(run=run, digest=digest)


def _last_line(lines: Sequence[str], where: str) -> Line:
    try:
        return read_line(lines[-1])
    except (ValueError, IndexError) as error:
        raise StateError(
            "The history is damaged",
            f"The last line of {where} cannot be read, so nothing can follow it. See what is wrong with:",
            command="tuneform history verify",
        ) from error
