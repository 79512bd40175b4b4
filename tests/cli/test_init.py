"""`init`: a first stack that validates, plans and applies as it is, and never overwrites anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.simulator.simulator import Simulator
from tests.cli.harness import Shop


@pytest.fixture
def fresh(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shop:
    """An empty place."""
    for name in ("TUNEFORM_ENDPOINT", "TUNEFORM_ACCESS_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return Shop(tmp_path / "new", capsys)


def test_what_it_writes_goes_all_the_way(fresh: Shop) -> None:
    """The written stack validates, plans one create, applies, and ends with a model; nothing is edited in between."""
    made = fresh.run("init")
    assert (0, True) == (made.code, "tuneform plan" in made.err)
    assert 0 == fresh.run("validate").code
    assert {"my-first-model": ("create", "new")} == fresh.plan()
    assert 0 == fresh.apply("--no-wait").code
    world = Simulator.on_file(fresh.root / "state" / "simulator-world.json")
    (job,) = world.jobs()
    world.finish_job(str(job["name"]))
    assert {"my-first-model": "succeeded"} == fresh.phases()


def test_names_are_taken_as_given(fresh: Shop) -> None:
    """Stack, project and location stand in the manifest."""
    assert 0 == fresh.run("init", "--name", "support", "--project", "acme-tuning", "--location", "europe-west4").code
    text = (fresh.manifests / "stack.yaml").read_text(encoding="utf-8")
    assert all(line in text for line in ("{name: support}", "project: acme-tuning", "location: europe-west4"))


@pytest.mark.parametrize("name", ["notes.txt", "stack.yaml", ".hidden"])
def test_a_folder_that_is_not_empty_is_left_alone(fresh: Shop, name: str) -> None:
    """Whatever file is there, nothing is written, and it is wrong usage."""
    fresh.manifests.mkdir(parents=True)
    (fresh.manifests / name).write_text("mine", encoding="utf-8")
    assert 64 == fresh.run("init").code
    assert {name: "mine"} == {path.name: path.read_text(encoding="utf-8") for path in fresh.manifests.iterdir()}


def test_a_folder_that_cannot_be_made_is_no_crash(fresh: Shop) -> None:
    """A file where the folder should be is named."""
    fresh.root.mkdir()
    fresh.manifests.write_text("mine", encoding="utf-8")
    ran = fresh.run("init")
    assert 1 == ran.code
    assert str(fresh.manifests) in ran.err


@pytest.mark.parametrize("option", [("--name", "Not A Name"), ("--name", "a: b"), ("--location", "{")])
def test_a_name_that_cannot_be_leaves_nothing_behind(fresh: Shop, option: tuple[str, str]) -> None:
    """A value the manifests do not allow is refused, and the next try finds an empty folder."""
    assert fresh.run("init", *option).code != 0
    assert 0 == fresh.run("init").code
