"""What every folder of objects promises to the state, the lease and the history that are kept in it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from obstore.store import MemoryStore

from reconciler.backends.bucket import BucketObjects
from reconciler.backends.document import DocumentStore, check_conditions
from reconciler.backends.open import RealClock
from reconciler.backends.s3_az import ObstoreBucket
from reconciler.errors import StateConflict
from reconciler.state.store import Blob, Objects
from tests.contract.conftest import HOMES, Home

NAME = "support.json"


@pytest.fixture(params=[*HOMES, "memory"])
def objects(request: pytest.FixtureRequest, make_home: Callable[[str], Home]) -> Objects:
    """An empty folder of each kind; `memory` is the library behind s3:// and az:// without a server."""
    if request.param == "memory":
        return BucketObjects(ObstoreBucket(MemoryStore(), url="s3://memory"), "team", clock=RealClock())
    return make_home(request.param).open().objects


@pytest.mark.parametrize("content", [b"one", b"", b"\x00\xff\r\n", b"x" * 12_000_000], ids=len)
def test_what_is_put_is_got(objects: Objects, content: bytes) -> None:
    """An object comes back byte by byte, with the version its writer was told."""
    assert objects.get(NAME) is None
    version = objects.put(NAME, content, expected=None)
    assert Blob(content, version) == objects.get(NAME)


def test_only_the_last_version_can_be_replaced(objects: Objects) -> None:
    """Creating what is there, replacing what has changed and replacing what is not there are conflicts."""
    first = objects.put(NAME, b"one", expected=None)
    second = objects.put(NAME, b"two", expected=first)
    for key, expected in ((NAME, None), (NAME, first), ("other.json", second), (NAME, "a version that never was")):
        with pytest.raises(StateConflict) as caught:
            objects.put(key, b"three", expected=expected)
        assert objects.where(key) in caught.value.detail
    assert Blob(b"two", second) == objects.get(NAME)
    assert objects.get("other.json") is None


def test_a_copy_takes_the_place_of_the_copy_before(objects: Objects) -> None:
    """The last version can be copied again and again; the object itself stays at its version."""
    first = objects.put(NAME, b"one", expected=None)
    objects.copy(NAME, f"{NAME}.backup", expected=first)
    second = objects.put(NAME, b"two", expected=first)
    objects.copy(NAME, f"{NAME}.backup", expected=second)
    backup = objects.get(f"{NAME}.backup")
    assert backup is not None
    assert b"two" == backup.content
    assert Blob(b"two", second) == objects.get(NAME)


def test_only_the_last_version_can_be_copied(objects: Objects) -> None:
    """Who has not seen the last version, or takes an absent object for present, copies nothing."""
    first = objects.put(NAME, b"one", expected=None)
    objects.put(NAME, b"two", expected=first)
    for key, expected in ((NAME, first), ("none/other.json", first), (NAME, "a version that never was")):
        with pytest.raises(StateConflict):
            objects.copy(key, f"{NAME}.backup", expected=expected)
    assert objects.get(f"{NAME}.backup") is None


def test_deleting_twice_is_deleting(objects: Objects) -> None:
    """What is gone can be deleted again and created anew."""
    objects.put(NAME, b"one", expected=None)
    objects.delete(NAME)
    objects.delete(NAME)
    objects.delete("none/other.json")
    assert objects.get(NAME) is None
    objects.put(NAME, b"two", expected=None)


def test_a_folder_lists_its_own(objects: Objects) -> None:
    """All keys below a folder come sorted, however many; those beside it, whose names begin alike, do not."""
    below = [f"{NAME}.history/{run:06d}.jsonl" for run in range(5)]
    for key in (*reversed(below), NAME, f"{NAME}.lease", f"{NAME}.history2/a"):
        objects.put(key, b"x", expected=None)
    assert tuple(below) == objects.list(f"{NAME}.history")
    assert () == objects.list(f"{NAME}.nothing")


def test_the_version_before_is_kept_on_request(objects: Objects) -> None:
    """A document with a backup leaves the version it replaced beside it; one without leaves nothing."""
    for store in (DocumentStore(objects, "a.json"), DocumentStore(objects, "b.json", keeps_backup=False)):
        version = store.write("one", expected=None)
        version = store.write("two", expected=version)
        store.write("three", expected=version)
    backup = objects.get("a.json.backup")
    assert backup is not None
    assert b"two" == backup.content
    assert objects.get("b.json.backup") is None


def test_the_proof_leaves_nothing_behind(objects: Objects) -> None:
    """A place that honours conditions passes the proof, and its probe is gone afterwards."""
    objects.put("folder/state.json", b"{}", expected=None)
    check_conditions(objects, "folder/state.json")
    assert ("folder/state.json",) == objects.list("folder")
