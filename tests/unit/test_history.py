"""The history's chain: every change of a line is found, and what killed or overtaken runs left behind follows on."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import timedelta

import pytest

from reconciler.errors import StateConflict, StateError
from reconciler.state.chronicle import RunChronicle
from reconciler.state.history import (
    GENESIS,
    Entry,
    EntryKind,
    Head,
    Verified,
    read_head,
    read_line,
    verify,
    write_line,
)
from reconciler.state.store import Stored
from tests.builders import AT
from tests.proof.project import Document


class Folder:
    """The documents of a stack's history, in memory."""

    def __init__(self) -> None:
        self.documents: dict[int, Document] = {}

    def open(self, run: int) -> Document:
        """The place of one run."""
        return self.documents.setdefault(run, Document(f"state.json.history/{run:06d}.jsonl"))

    def begin(self, covered: str | None) -> RunChronicle:
        """A new run on top of a state with this head, its first line added."""
        chronicle = RunChronicle(self.open, read_head(covered))
        chronicle.add(Entry(kind=EntryKind.RUN_STARTED, at=AT, facts={"who": "ann"}))
        return chronicle

    def runs(self) -> list[str]:
        """The text of each run, oldest first."""
        return [one.versions[-1][1] for _, one in sorted(self.documents.items()) if one.versions]


def event(text: str) -> Entry:
    """Something that happened."""
    return Entry(kind=EntryKind.EVENT, at=AT + timedelta(minutes=1), facts={"address": "alpha", "text": text})


def end() -> Entry:
    """The end of a run."""
    return Entry(kind=EntryKind.RUN_ENDED, at=AT + timedelta(minutes=2), facts={"ended": "done"})


def told(folder: Folder, covered: str | None, *entries: Entry) -> str:
    """The head after a run that told this and ended well."""
    chronicle = folder.begin(covered)
    for entry in (*entries, end()):
        chronicle.flush()
        chronicle.add(entry)
    head = chronicle.flush()
    assert head is not None
    return head


@pytest.fixture
def folder() -> Folder:
    """No run yet."""
    return Folder()


def two_runs() -> tuple[list[str], Head]:
    """Two runs that ended well, and the head that the state has of them."""
    folder = Folder()
    first = told(folder, None, event("submitted"), event("cancel requested"))
    head = read_head(told(folder, first, event("grüße")))
    assert head is not None
    return folder.runs(), head


RUNS, HEAD = two_runs()
LINES = [(run, number) for run, text in enumerate(RUNS) for number in range(len(text.splitlines()))]


def holds(runs: list[str], *, covered: Head = HEAD, expected: Head | None = None) -> bool:
    """Whether the chain holds, as far as can be told."""
    return not verify(runs, covered=covered, expected=expected).problems


def with_lines(run: int, lines: list[str]) -> list[str]:
    """The runs with other lines in one of them."""
    return [*RUNS[:run], "".join(f"{line}\n" for line in lines), *RUNS[run + 1 :]]


def test_what_was_told_verifies() -> None:
    """Two whole runs are one chain up to the head that the state covers, and nothing is left unfinished."""
    expected = Verified(problems=(), lines=7, runs=2, head=HEAD, unfinished=0)
    assert expected == verify(RUNS, covered=HEAD)
    assert expected == verify(RUNS, covered=HEAD, expected=HEAD)


@pytest.mark.parametrize("run", range(len(RUNS)))
def test_any_flipped_bit_is_found(run: int) -> None:
    """No bit of any byte can be changed, line ends included: with each flipped in turn, the chain never holds."""
    raw = RUNS[run].encode()
    survived = []
    for place, bit in itertools.product(range(len(raw)), range(8)):
        flipped = bytes([*raw[:place], raw[place] ^ (1 << bit), *raw[place + 1 :]])
        if holds([*RUNS[:run], flipped.decode("utf-8", "replace"), *RUNS[run + 1 :]]):
            survived.append((place, bit))
    assert [] == survived


@pytest.mark.parametrize("run", range(len(RUNS)))
def test_any_missing_or_added_byte_is_found(run: int) -> None:
    """No byte can be taken out or put in, line ends included."""
    text = RUNS[run]
    changed = [text[:place] + text[place + 1 :] for place in range(len(text))]
    changed += [text[:place] + byte + text[place:] for place in range(len(text) + 1) for byte in ("0", " ", "\n")]
    assert [] == [one for one in changed if holds([*RUNS[:run], one, *RUNS[run + 1 :]])]


@pytest.mark.parametrize(("run", "number"), LINES)
def test_a_dropped_line_is_found(run: int, number: int) -> None:
    """Whichever line is missing, the next does not follow, or the head is not there."""
    lines = RUNS[run].splitlines()
    assert not holds(with_lines(run, lines[:number] + lines[number + 1 :]))


@pytest.mark.parametrize(("run", "number"), [(run, number) for run, number in LINES if number > 0])
def test_swapped_neighbours_are_found(run: int, number: int) -> None:
    """Lines are in the order in which they were told."""
    lines = RUNS[run].splitlines()
    lines[number - 1 : number + 1] = lines[number], lines[number - 1]
    assert not holds(with_lines(run, lines))


@pytest.mark.parametrize(
    "runs",
    [RUNS[:1], RUNS[1:], RUNS[::-1], [*RUNS, RUNS[-1]], [RUNS[0], "", RUNS[1]], []],
    ids=["the last is gone", "the first is gone", "swapped", "one twice", "one between", "all gone"],
)
def test_a_missing_or_moved_run_is_found(runs: list[str]) -> None:
    """Runs are one chain, too."""
    assert not holds(runs)


@pytest.mark.parametrize("left", range(1, 7))
def test_a_cut_tail_is_found_by_who_kept_the_head(left: int) -> None:
    """The head in the state tells; who rewrote that too is found by a head kept elsewhere, and by nothing else."""
    lines = [line for text in RUNS for line in text.splitlines()][:left]
    first = len(RUNS[0].splitlines())
    runs = ["".join(f"{line}\n" for line in part) for part in (lines[:first], lines[first:]) if part]
    last = read_line(lines[-1])
    rewritten = Head(run=last.run, digest=last.digest)
    assert not holds(runs)
    assert holds(runs, covered=rewritten)
    assert not holds(runs, covered=rewritten, expected=HEAD)


def test_a_rewritten_history_is_found_by_who_kept_the_head() -> None:
    """A whole new chain with a state to match holds in itself, and not against the head of the true one."""
    folder = Folder()
    forged = read_head(told(folder, told(folder, None, event("nothing")), event("nothing")))
    assert forged is not None
    assert holds(folder.runs(), covered=forged)
    assert not holds(folder.runs(), covered=forged, expected=HEAD)


class TestUnfinishedRuns:
    """Runs that were killed, or overtaken."""

    def test_a_run_killed_before_it_wrote_the_state_is_no_tampering(self, folder: Folder) -> None:
        """Lines that no state covers yet are counted, not called wrong."""
        covered = read_head(told(folder, None))
        killed = folder.begin(str(covered))
        killed.add(event("submitted"))
        killed.flush()
        found = verify(folder.runs(), covered=covered)
        assert ((), 2, 2) == (found.problems, found.runs, found.unfinished)

    def test_the_next_run_follows_it(self, folder: Folder) -> None:
        """Run upon run killed before its state: each is closed by the one after it, and all are one chain."""
        covered = told(folder, None)
        for _ in range(3):
            folder.begin(covered).flush()
        head = told(folder, covered, event("submitted"))
        found = verify(folder.runs(), covered=read_head(head))
        assert ((), 5, 0) == (found.problems, found.runs, found.unfinished)
        last = [read_line(text.splitlines()[-1]).entry for text in folder.runs()]
        assert ["done", "abandoned", "abandoned", "abandoned", "done"] == [one.facts["ended"] for one in last]

    def test_a_run_that_was_overtaken_writes_no_more(self, folder: Folder) -> None:
        """A run that lives on although its lease is gone adds nothing behind the line that the next one follows."""
        overtaken = folder.begin(None)
        overtaken.flush()
        head = told(folder, None)
        overtaken.add(event("submitted"))
        with pytest.raises(StateConflict, match="Another run writes the history"):
            overtaken.flush()
        assert () == verify(folder.runs(), covered=read_head(head)).problems

    def test_of_two_that_begin_at_once_one_goes_on(self, folder: Folder) -> None:
        """Two runs cannot have one number: who writes second, having seen nothing, fails and overwrites nothing."""
        late = RunChronicle(lambda run: Unseen(folder.open(run)), None)
        late.add(end())
        head = told(folder, None)
        with pytest.raises(StateConflict, match="Another run writes the history"):
            late.flush()
        assert () == verify(folder.runs(), covered=read_head(head)).problems


@dataclass(frozen=True, slots=True)
class Unseen:
    """A document as who looked before it was written has it."""

    inner: Document

    @property
    def where(self) -> str:
        """Its name."""
        return self.inner.where

    def read(self) -> Stored | None:
        """Nothing yet."""
        return None

    def write(self, text: str, *, expected: str | None) -> str:
        """A moment later."""
        return self.inner.write(text, expected=expected)


def test_a_damaged_last_line_cannot_be_followed(folder: Folder) -> None:
    """Rather than to begin a new chain, the next run says what is wrong."""
    covered = told(folder, None)
    folder.documents[1].versions.append(("", "{\n"))
    with pytest.raises(StateError, match="The history is damaged"):
        folder.begin(covered).flush()


def test_without_news_there_is_no_write(folder: Folder) -> None:
    """A flush that has nothing to tell writes nothing and keeps the head."""
    covered = told(folder, None)
    silent = RunChronicle(folder.open, read_head(covered))
    assert covered == silent.flush()
    assert RunChronicle(folder.open, None).flush() is None
    assert 1 == len(folder.runs())


def test_a_line_comes_back_as_it_was_written() -> None:
    """A line holds its run, its number, the digest before it and what happened, in words of any language."""
    entry = event("Grüße, 模型, \ud800")
    text, digest = write_line(entry, run=3, number=2, prev=GENESIS)
    line = read_line(text)
    assert (3, 2, GENESIS, digest, entry) == (line.run, line.number, line.prev, line.digest, line.entry)


@pytest.mark.parametrize("text", ["", "12", "12-", "12-abc", f"x-{GENESIS}", f"-{GENESIS}"])
def test_what_is_no_head_is_refused(text: str) -> None:
    """A head is a run's number and 64 hex digits."""
    with pytest.raises(ValueError, match=r".+"):
        read_head(text)


def test_a_head_comes_back_as_it_was_printed() -> None:
    """What an apply prints can be handed to verify."""
    assert HEAD == read_head(str(HEAD))
    assert read_head(None) is None
