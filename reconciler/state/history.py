"""What every apply did, as hash-chained lines; pure.

One document per run, numbered from 1, one JSON object per line. Each line holds the digest of the line before it, and
the first line of a run that of the last line of the run before. A changed, dropped or swapped line therefore breaks the
chain; a cut tail does not, and is found only against a head that was kept elsewhere: in the state, or printed by an
apply.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

# What stands before the very first line.
GENESIS = "0" * 64


class EntryKind(StrEnum):
    """What a line of the history tells."""

    RUN_STARTED = "run_started"
    APPROVED = "approved"
    EVENT = "event"
    ENDED = "ended"
    RUN_ENDED = "run_ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing to remember; `facts` are plain JSON values."""

    kind: EntryKind
    at: datetime
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line as it stands in a run's document."""

    run: int
    number: int
    prev: str
    entry: Entry
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The last line that a state covers: the run's number and the line's digest."""

    run: int
    digest: str

    def __str__(self) -> str:
        return f"{self.run}-{self.digest}"


def read_head(text: str | None) -> Head | None:
    """The head back from its text; None where there is none. Raises ValueError when it is not one."""
    if text is None:
        return None
    run, _, digest = text.partition("-")
    if len(digest) != len(GENESIS):
        raise ValueError(f"{text!r} is not a head digest")
    return Head(run=int(run), digest=digest)


def write_line(entry: Entry, *, run: int, number: int, prev: str) -> tuple[str, str]:
    """The line for an entry, without its newline, and its digest."""
    document = {
        "run": run,
        "n": number,
        "prev": prev,
        "kind": entry.kind.value,
        "at": entry.at.isoformat(),
        **({"facts": dict(entry.facts)} if entry.facts else {}),
    }
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return text, digest_of(text)


def digest_of(line: str) -> str:
    """sha256 of a line as it is written, 64 hex digits."""
    return hashlib.sha256(line.encode("utf-8", "surrogatepass")).hexdigest()


def lines_of(text: str) -> list[str]:
    """The lines of a run's document. Only a newline ends one: other line ends were never written."""
    return text.removesuffix("\n").split("\n") if text else []


def read_line(text: str) -> Line:
    """A line back. Raises ValueError when it is not one; it does not check the chain."""
    document = json.loads(text)
    try:
        entry = Entry(
            kind=EntryKind(document["kind"]),
            at=datetime.fromisoformat(document["at"]),
            facts=document.get("facts", {}),
        )
        return Line(
            run=document["run"], number=document["n"], prev=document["prev"], entry=entry, digest=digest_of(text)
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a line of a history: {error!r}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What a check of the chain found. `problems` is empty where it holds.

    `head` is the last line. `unfinished` counts the lines after the one that the state covers: a run that was killed
    before it wrote its state.
    """

    problems: tuple[str, ...]
    lines: int
    runs: int
    head: Head | None
    unfinished: int = 0


def verify(runs: Sequence[str], *, covered: Head | None, expected: Head | None = None) -> Verified:
    """Checks the documents of all runs, oldest first, as one chain.

    `covered` is the head that the state holds, `expected` one that somebody kept; both must be lines of the chain.
    """
    problems: list[str] = []
    prev, found = GENESIS, []
    for run, text in enumerate(runs, start=1):
        if text and not text.endswith("\n"):
            problems.append(f"run {run} is cut off within its last line")
        for number, raw in enumerate(lines_of(text), start=1):
            where = f"run {run}, line {number}"
            try:
                line = read_line(raw)
            except ValueError:
                problems.append(f"{where} cannot be read")
                prev = digest_of(raw)
                continue
            if line.prev != prev:
                problems.append(f"{where} does not follow the line before it")
            if (line.run, line.number) != (run, number):
                problems.append(f"{where} says that it is run {line.run}, line {line.number}")
            prev = line.digest
            found.append(Head(run=run, digest=line.digest))
    for head, owner in ((covered, "the state"), (expected, "you")):
        if head is not None and head not in found:
            problems.append(f"the head that {owner} named, {head}, is not there: the tail was cut or rewritten")
    return Verified(
        problems=tuple(problems),
        lines=len(found),
        runs=len(runs),
        head=found[-1] if found else None,
        unfinished=len(found) - 1 - found.index(covered) if covered in found else len(found) if covered is None else 0,
    )
