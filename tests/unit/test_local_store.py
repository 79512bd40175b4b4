"""What a state in a file promises beyond every store: crashes, full disks, and files in the way."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.backends.local import LocalStore
from reconciler.errors import StateError

# Dies before the Nth thing that reaches the file system: an audit hook is told of each of them before it happens.
DIE_WHILE_WRITING = """
import os, sys
from pathlib import Path
from reconciler.backends.local import LocalStore

path, left = Path(sys.argv[1]), int(sys.argv[2])
store = LocalStore(path)
stored = store.read()

def count_down(event, arguments):
    global left
    if event.split(".")[0] in ("open", "os", "fcntl"):
        left -= 1
        if left == 0:
            os._exit(9)

sys.addaudithook(count_down)
store.write("new", expected=stored.version if stored else None)
os._exit(0)
"""

WRITE_AS_SOMEBODY_ELSE = """
import os, sys
from pathlib import Path
from reconciler.backends.local import LocalStore
from reconciler.errors import StateError

store = LocalStore(Path(sys.argv[1]))
if os.geteuid() == 0:
    os.seteuid(65534)
try:
    store.write("new", expected=None)
except StateError as error:
    print(error.summary, error.detail)
"""

WRITE_WITHIN_A_LIMIT = """
import resource, sys
from pathlib import Path
from reconciler.backends.local import LocalStore
from reconciler.errors import StateError

store = LocalStore(Path(sys.argv[1]))
stored = store.read()
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
try:
    store.write("n" * 5000, expected=stored.version)
except StateError as error:
    print(error.summary, error.detail)
"""


def python(program: str, *arguments: object) -> list[str]:
    """The command line that runs a program of this file."""
    return [sys.executable, "-c", program, *map(str, arguments)]


def texts(folder: Path) -> dict[str, str]:
    """Every file of a folder with its text, but for the lock."""
    return {path.name: path.read_text() for path in sorted(folder.iterdir()) if not path.name.endswith(".lock")}


@pytest.mark.parametrize("before", [None, "old"])
def test_dying_anywhere_leaves_the_old_or_the_new(tmp_path: Path, before: str | None) -> None:
    """A writer that dies before any of its steps leaves one whole version, and the next writer is not hindered."""
    seen = set()
    for step in range(1, 100):
        store = LocalStore(tmp_path / str(step) / "s.json")
        if before is not None:
            store.write(before, expected=None)
        died = subprocess.run(python(DIE_WHILE_WRITING, store.path, step), check=False).returncode == 9
        stored = store.read()
        seen.add(stored.text if stored else None)
        store.write("newer", expected=stored.version if stored else None)
        assert {"s.json": "newer"} | ({"s.json.backup": stored.text} if stored else {}) == texts(store.path.parent)
        if not died:
            break
    assert {before, "new"} == seen
    assert step > 5, "the steps of a write were not met"


def test_the_version_before_is_kept(tmp_path: Path) -> None:
    """Each write leaves the version it replaced beside the state, and nothing else."""
    store = LocalStore(tmp_path / "s.json")
    version = store.write("one", expected=None)
    version = store.write("two", expected=version)
    store.write("three", expected=version)
    assert {"s.json": "three", "s.json.backup": "two"} == texts(tmp_path)


def test_a_new_state_is_its_owners_alone(tmp_path: Path) -> None:
    """A new file can be read by its owner only."""
    store = LocalStore(tmp_path / "s.json")
    store.write("one", expected=None)
    assert 0o600 == stat.S_IMODE(store.path.stat().st_mode)


def test_chosen_permissions_stay(tmp_path: Path) -> None:
    """Permissions that the owner gave to the state are those of its next version and of its backup."""
    store = LocalStore(tmp_path / "s.json")
    version = store.write("one", expected=None)
    store.path.chmod(0o640)
    store.write("two", expected=version)
    assert [0o640, 0o640] == [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("s.json", "s.json.backup")]


def test_what_a_dead_writer_left_is_harmless(tmp_path: Path) -> None:
    """A half-written temporary file is neither read nor in the way, and goes with the next write."""
    store = LocalStore(tmp_path / "s.json")
    (tmp_path / "s.json.tmp").write_text("hal")
    assert store.read() is None
    store.write("one", expected=None)
    assert {"s.json": "one"} == texts(tmp_path)


def test_a_refused_write_leaves_the_old_state(tmp_path: Path) -> None:
    """When the disk takes only a part, the old version stays, the part goes, and the message says what to do."""
    store = LocalStore(tmp_path / "s.json")
    store.write("old", expected=None)
    done = subprocess.run(python(WRITE_WITHIN_A_LIMIT, store.path), capture_output=True, text=True, check=True)
    assert "The state cannot be written" in done.stdout
    assert "File too large. Raise the limit" in done.stdout
    assert {"s.json": "old", "s.json.backup": "old"} == texts(tmp_path)


def test_a_folder_of_somebody_else_is_explained(tmp_path: Path) -> None:
    """Without the right to write, the message says so and what to do."""
    tmp_path.chmod(0o500)
    done = subprocess.run(
        python(WRITE_AS_SOMEBODY_ELSE, tmp_path / "s.json"), capture_output=True, text=True, check=True
    )
    tmp_path.chmod(0o700)
    assert "The state cannot be written" in done.stdout
    assert "Permission denied. Give yourself the right" in done.stdout


def test_a_folder_in_its_place_is_refused(tmp_path: Path) -> None:
    """A folder that bears the state's name is neither read nor replaced."""
    (tmp_path / "s.json").mkdir()
    store = LocalStore(tmp_path / "s.json")
    for attempt in (store.read, lambda: store.write("one", expected=None)):
        with pytest.raises(StateError, match="not a regular file") as caught:
            attempt()
        assert f"{store.path} is a folder." in caught.value.detail


@pytest.mark.parametrize("target", ["elsewhere.json", "nowhere.json"])
def test_a_link_in_its_place_is_refused(tmp_path: Path, target: str) -> None:
    """A link is refused, and one that leads nowhere is not taken for a state that does not exist yet."""
    (tmp_path / "elsewhere.json").write_text("other")
    (tmp_path / "s.json").symlink_to(tmp_path / target)
    store = LocalStore(tmp_path / "s.json")
    for attempt in (store.read, lambda: store.write("one", expected=None)):
        with pytest.raises(StateError, match="not a regular file"):
            attempt()
    assert "other" == (tmp_path / "elsewhere.json").read_text()


def test_a_pipe_in_its_place_is_refused(tmp_path: Path) -> None:
    """A named pipe is refused at once and not waited for."""
    os.mkfifo(tmp_path / "s.json")
    with pytest.raises(StateError, match="not a regular file"):
        LocalStore(tmp_path / "s.json").read()


def test_a_linked_folder_is_the_folder(tmp_path: Path) -> None:
    """A state may be reached through a folder that is a link."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    version = LocalStore(tmp_path / "link" / "s.json").write("one", expected=None)
    LocalStore(tmp_path / "real" / "s.json").write("two", expected=version)
    assert {"s.json": "two", "s.json.backup": "one"} == texts(tmp_path / "real")


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("file/s.json", "A file stands where its folder should be"),
        ("file/below/s.json", "A file stands where its folder should be"),
        ("n" * 300, "Name a shorter path"),
    ],
)
def test_an_impossible_path_is_explained(tmp_path: Path, name: str, advice: str) -> None:
    """A path that cannot be is a StateError that says what to do, and never a state that does not exist yet."""
    (tmp_path / "file").write_text("in the way")
    store = LocalStore(tmp_path / name)
    for attempt in (store.read, lambda: store.write("one", expected=None)):
        with pytest.raises(StateError) as caught:
            attempt()
        assert advice in caught.value.detail


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    """A file that is not UTF-8 is a StateError that names the byte and the backup."""
    store = LocalStore(tmp_path / "s.json")
    store.path.write_bytes(b'{"stack": "\xff"}')
    with pytest.raises(StateError, match="not text") as caught:
        store.read()
    assert "from byte 11 on" in caught.value.detail
    assert f"{tmp_path / 's.json.backup'}" in caught.value.detail
