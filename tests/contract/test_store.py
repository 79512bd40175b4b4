"""What every place for a state promises: nothing lost, nothing half, no change by who has not seen the last version.

A place joins by becoming one of the HOMES in conftest.py.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest

from reconciler.errors import StateConflict
from reconciler.state.store import StateStore, Stored
from tests.contract.conftest import Home

Open = Callable[[], StateStore]


COUNT_UP = """
import os, sys
from reconciler.backends.open import open_store
from reconciler.errors import StateConflict

store, done = open_store(sys.argv[1], env=os.environ), 0
while done < 100:
    stored = store.read()
    try:
        store.write(str(int(stored.text) + 1), expected=stored.version)
    except StateConflict:
        continue
    done += 1
"""


@pytest.fixture
def open_store(home: Home) -> Open:
    """How to open the same empty place, as often as wanted."""
    return lambda: home.open().state()


def test_a_place_nobody_wrote_to_holds_nothing(open_store: Open) -> None:
    """Reading before the first write gives None."""
    assert open_store().read() is None


@pytest.mark.parametrize("text", ["one", "", "two\nlines\r\nand\ttabs\n", "Grüße, 模型, 🙂", "x" * 300_000])
def test_what_is_written_is_read(open_store: Open, text: str) -> None:
    """Another handle reads the text as it was written, to the character, with the version the write returned."""
    version = open_store().write(text, expected=None)
    assert Stored(text, version) == open_store().read()


def test_the_last_version_may_be_replaced(open_store: Open) -> None:
    """Who has seen the last version may write the next one, again and again."""
    store = open_store()
    version = store.write("one", expected=None)
    version = store.write("two", expected=version)
    version = store.write("three", expected=version)
    assert Stored("three", version) == store.read()


def test_creating_twice_is_a_conflict(open_store: Open) -> None:
    """Who believes there is nothing yet cannot overwrite what is there."""
    store = open_store()
    version = store.write("one", expected=None)
    with pytest.raises(StateConflict):
        open_store().write("two", expected=None)
    assert Stored("one", version) == store.read()


def test_an_older_version_is_a_conflict(open_store: Open) -> None:
    """Who has not seen the last version cannot overwrite it."""
    store = open_store()
    first = store.write("one", expected=None)
    second = store.write("two", expected=first)
    with pytest.raises(StateConflict):
        open_store().write("three", expected=first)
    assert Stored("two", second) == store.read()


def test_a_version_of_nothing_is_a_conflict(open_store: Open) -> None:
    """Who has seen a version cannot write where there is none any more."""
    with pytest.raises(StateConflict):
        open_store().write("two", expected="a version that never was")
    assert open_store().read() is None


def test_a_conflict_says_where_and_what_to_do(open_store: Open) -> None:
    """The message names the place, and that nothing was overwritten."""
    open_store().write("one", expected=None)
    with pytest.raises(StateConflict) as caught:
        open_store().write("two", expected=None)
    assert open_store().where in caught.value.detail
    assert "Nothing was overwritten" in caught.value.detail


def count_up(store: StateStore, times: int) -> None:
    """Add one to the number in the store, as often as told, trying anew after each conflict."""
    done = 0
    while done < times:
        stored = store.read()
        assert stored is not None
        try:
            store.write(str(int(stored.text) + 1), expected=stored.version)
        except StateConflict:
            continue
        done += 1


def test_no_update_is_lost_between_threads(open_store: Open) -> None:
    """Eight handles that count at once reach the sum of their counts."""
    open_store().write("0", expected=None)
    threads = [threading.Thread(target=count_up, args=(open_store(), 20)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stored = open_store().read()
    assert stored is not None
    assert "160" == stored.text


def test_no_update_is_lost_between_processes(home: Home) -> None:
    """Eight processes that each count to a hundred in one place reach eight hundred."""
    home.open().state().write("0", expected=None)
    command = [sys.executable, "-c", COUNT_UP, home.location]
    running = [subprocess.Popen(command, env={**os.environ, **home.env}) for _ in range(8)]
    assert [0] * 8 == [process.wait() for process in running]
    stored = home.open().state().read()
    assert stored is not None
    assert "800" == stored.text


def test_no_reader_sees_half_a_document(open_store: Open) -> None:
    """Whoever reads while another writes gets one version or the next, whole."""
    versions = {letter * 500_000 for letter in "ab"}
    version = open_store().write("a" * 500_000, expected=None)
    finished = threading.Event()

    def keep_writing() -> None:
        nonlocal version
        for text in sorted(versions) * 20:
            version = open_store().write(text, expected=version)
        finished.set()

    writer = threading.Thread(target=keep_writing)
    writer.start()
    seen = set()
    while not finished.is_set():
        stored = open_store().read()
        seen.add(stored.text if stored else "")
    writer.join()
    assert seen <= versions


def test_of_many_creators_one_wins(open_store: Open) -> None:
    """Of eight handles that create at once, one succeeds and the others learn of it."""
    won: list[str] = []

    def create(name: str) -> None:
        try:
            open_store().write(name, expected=None)
        except StateConflict:
            return
        won.append(name)

    threads = [threading.Thread(target=create, args=(f"creator {index}",)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stored = open_store().read()
    assert stored is not None
    assert [stored.text] == won
