"""A stack's state location becomes a place, or wrong usage with what to write instead."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.backends.open import open_place, open_store
from reconciler.errors import UsageError

AZURE = {"AZURE_STORAGE_ACCOUNT_NAME": "account", "AZURE_STORAGE_ACCOUNT_KEY": "c2VjcmV0"}


@pytest.mark.parametrize(
    "location",
    [
        "support.json",
        "../state/support.json",
        "/var/lib/support.json",
        "gs://states/support.json",
        "gs://states.example.com/team/a/support.json",
        "s3://states/team/support.json",
        "az://states/team/support.json",
    ],
)
def test_a_place_is_named_as_it_was_given(location: str) -> None:
    """The state is where the location says, and what belongs to it begins with the same words; nothing is asked."""
    place = open_place(location, env=AZURE)
    assert location == place.state().where
    assert f"{location}.lease" == place.document(".lease").where
    assert f"{location}.history/000001.jsonl" == place.document(".history/000001.jsonl").where
    assert ("://" not in location) == place.is_local


@pytest.mark.parametrize(
    ("location", "summary", "detail"),
    [
        ("ftp://host/support.json", "not supported", "under gs://, s3:// or az://"),
        ("https://host/support.json", "not supported", "under gs://, s3:// or az://"),
        ("GS://states/support.json", "not supported", "under gs://, s3:// or az://"),
        ("gs://", "names no bucket", "write gs://BUCKET/support.json"),
        ("gs:///support.json", "names no bucket", "write gs://BUCKET/support.json"),
        ("gs://States/support.json", "names no bucket", "write gs://BUCKET/support.json"),
        ("gs://a/../b/support.json", "names no bucket", "write gs://BUCKET/support.json"),
        ("gs://states", "names no object", "gs://states/support.json"),
        ("gs://states/", "names no object", "gs://states/support.json"),
        ("gs://states/team/", "names no object", "gs://states/team/support.json"),
        ("gs://states//support.json", "cannot be used", "write letters, digits"),
        ("gs://states/../support.json", "cannot be used", "write letters, digits"),
        ("gs://states/a b.json", "cannot be used", "write letters, digits"),
        ("gs://states/a.json?x=1", "cannot be used", "write letters, digits"),
        ("gs://states/a%2fb.json", "cannot be used", "write letters, digits"),
        (f"gs://states/{'n' * 901}", "cannot be used", "900 characters"),
    ],
)
def test_other_locations_are_wrong_usage(location: str, summary: str, detail: str) -> None:
    """What is no location says why, and what to write."""
    with pytest.raises(UsageError, match=summary) as caught:
        open_place(location, env={})
    assert detail in caught.value.detail


def test_a_file_keeps_what_belongs_to_it_beside_it(tmp_path: Path) -> None:
    """State, backup, lease and history are files with the state's name, and one lock serves a whole history."""
    place = open_place(str(tmp_path / "support.json"), env={})
    version = place.state().write("one", expected=None)
    place.state().write("two", expected=version)
    for suffix in (".lease", ".history/000001.jsonl", ".history/000002.jsonl"):
        place.document(suffix).write("x", expected=None)
    expected = (
        "support.json",
        "support.json.backup",
        "support.json.history/000001.jsonl",
        "support.json.history/000002.jsonl",
        "support.json.lease",
    )
    files = (path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    assert expected == tuple(sorted(name for name in files if not name.endswith(".lock")))
    assert expected[2:4] == place.objects.list("support.json.history")
    assert not list((tmp_path / "support.json.history").glob("*.lock"))


def test_an_unfinished_write_is_no_object(tmp_path: Path) -> None:
    """What a killed writer left in a history is not listed as a part of it."""
    place = open_place(str(tmp_path / "support.json"), env={})
    place.document(".history/000001.jsonl").write("x", expected=None)
    (tmp_path / "support.json.history" / "000002.jsonl.tmp").write_text("hal")
    assert ("support.json.history/000001.jsonl",) == place.objects.list("support.json.history")


def test_a_store_is_the_state_of_its_place(tmp_path: Path) -> None:
    """The short way leads to the same document."""
    location = str(tmp_path / "support.json")
    version = open_place(location, env={}).state().write("one", expected=None)
    stored = open_store(location, env={}).read()
    assert stored is not None
    assert ("one", version) == (stored.text, stored.version)


def test_a_file_loads_no_network() -> None:
    """A state in a file is opened without the HTTP client, Google's credentials or obstore."""
    program = (
        "import sys\n"
        "from reconciler.backends.open import open_place\n"
        "open_place('support.json', env={}).state().read()\n"
        "print(*[name for name in ('httpx', 'google.auth', 'obstore', 'ssl') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "\n" == done.stdout
