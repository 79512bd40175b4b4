"""A folder of files -> desired: what is read, what is refused, and that hostile files end fast in clean errors."""

from __future__ import annotations

import gc
import hashlib
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.errors import Diagnostic, ManifestError, Severity, Source
from reconciler.manifest.load import FILE_MAX_BYTES, FILES_MAX_COUNT, load_manifests

CORPUS = Path(__file__).parents[1] / "corpus"
STACK = """\
apiVersion: tuneform/v1
kind: Stack
metadata: {name: support}
spec: {project: demo-project, location: us-central1}
"""
MODEL = """\
apiVersion: tuneform/v1
kind: TunedModel
metadata: {name: intent}
spec: {baseModel: gemini-2.5-flash, trainingDatasetUri: gs://bucket/train.jsonl}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a good stack in it."""
    path = tmp_path / "manifests"
    path.mkdir()
    (path / "stack.yaml").write_text(STACK)
    (path / "intent.yaml").write_text(MODEL)
    return path


@pytest.fixture
def here(folder: Path) -> Iterator[Path]:
    """That folder as it is called from the folder above it."""
    before = Path.cwd()
    os.chdir(folder.parent)
    yield Path(folder.name)
    os.chdir(before)


def problems(directory: Path) -> tuple[Diagnostic, ...]:
    """What is told of a folder that is wrong."""
    with pytest.raises(ManifestError) as raised:
        load_manifests(directory)
    return raised.value.found


def the_one(directory: Path) -> Diagnostic:
    """The only problem of a folder."""
    (one,) = problems(directory)
    assert Severity.ERROR is one.severity
    return one


def test_a_folder_is_read(here: Path) -> None:
    """Every manifest in the folder is read; places are paths as typed, digests are of the bytes."""
    desired, warnings = load_manifests(here)
    assert () == warnings
    assert ["intent"] == [one.address for one in desired.models]
    assert Source("manifests/intent.yaml", 1, 1) == desired.models[0].source
    assert "state/support.json" == desired.stack.state
    assert {
        "intent.yaml": hashlib.sha256(MODEL.encode()).hexdigest(),
        "stack.yaml": hashlib.sha256(STACK.encode()).hexdigest(),
    } == desired.digests


def test_the_digests_do_not_depend_on_where_the_folder_is_seen_from(here: Path, folder: Path) -> None:
    """The same folder by a longer name has the same digests, so that a saved plan still fits."""
    assert load_manifests(folder)[0].digests == load_manifests(here)[0].digests


def test_what_is_no_manifest_is_left_alone(folder: Path) -> None:
    """Other files, hidden files and folders without manifests are neither read nor told of."""
    (folder / "README.md").write_text("a: [")
    (folder / "data.json").write_text("{")
    (folder / "old.yaml.bak").write_text("a: [")
    (folder / ".hidden.yaml").write_text("a: [")
    (folder / ".git").mkdir()
    (folder / ".git" / "x.yaml").write_text("a: [")
    (folder / "notes").mkdir()
    (folder / "notes" / "x.txt").write_text("x")
    (folder / "link.md").symlink_to("/etc/passwd")
    desired, warnings = load_manifests(folder)
    assert (1, ()) == (len(desired.models), warnings)


def test_both_endings_are_read_in_sorted_order(folder: Path) -> None:
    """`.yml` is as good as `.yaml`, and files are read by name."""
    (folder / "a.yml").write_text(MODEL.replace("intent", "twin"))
    _, (warning,) = load_manifests(folder)
    assert "manifest-same-spec" == warning.rule
    assert sorted(load_manifests(folder)[0].digests) == ["a.yml", "intent.yaml", "stack.yaml"]


def test_manifests_in_a_folder_below_are_warned_of(folder: Path) -> None:
    """One folder is one stack: what lies below is not read, and that is said, so that nobody misses it."""
    (folder / "more").mkdir()
    (folder / "more" / "x.yaml").write_text("a: [")
    _, (warning,) = load_manifests(folder)
    assert (Severity.WARNING, "manifest-folder-ignored") == (warning.severity, warning.rule)
    assert Source(str(folder / "more"), 1, 1) == warning.source


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """A missing folder is an error that names the option and the command, never an empty wish."""
    one = the_one(tmp_path / "manifests")
    assert ("manifest-folder", "tuneform init") == (one.rule, one.command)
    assert "--manifests DIR" in one.detail


def test_a_file_is_no_folder(folder: Path) -> None:
    """A file given as the folder is told as such."""
    assert "is a file" in the_one(folder / "stack.yaml").detail


def test_an_empty_folder(tmp_path: Path) -> None:
    """An empty folder is an error, never nothing desired."""
    one = the_one(tmp_path)
    assert ("There are no manifests", "tuneform init") == (one.summary, one.command)


def test_a_folder_of_empty_files(tmp_path: Path) -> None:
    """Files with nothing in them are no stack."""
    (tmp_path / "a.yaml").write_text("# nothing\n---\n")
    assert "manifest-stack" == the_one(tmp_path).rule


def test_a_folder_of_stacks_lists_them(tmp_path: Path) -> None:
    """A folder of folders that each hold a stack lists them, with the command for the first."""
    for name in ("prod", "dev", "notes"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.yaml").write_text("x: 1\n" if name == "notes" else MODEL + "---\n" + STACK)
    one = the_one(tmp_path)
    assert f"{tmp_path / 'dev'}, {tmp_path / 'prod'}." in one.detail
    assert "notes" not in one.detail
    assert f"tuneform plan --manifests {tmp_path / 'dev'}" == one.command


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is unreadable to root")
def test_what_may_not_be_read_is_told(folder: Path) -> None:
    """A file and a folder without permission are errors."""
    (folder / "intent.yaml").chmod(0)
    assert ("manifest-file", Source(str(folder / "intent.yaml"), 1, 1)) == (
        the_one(folder).rule,
        the_one(folder).source,
    )
    folder.chmod(0)
    assert "manifest-folder" == the_one(folder).rule
    folder.chmod(0o700)


def test_a_symlink_is_not_followed(folder: Path) -> None:
    """A linked file, folder or root is refused, and nothing of what it points to is read or told."""
    secret = folder.parent / "secret.yaml"
    secret.write_text("canary: [")
    (folder / "a.yaml").symlink_to(secret)
    (folder / "below").symlink_to(folder.parent)
    (folder / "dangling.yml").symlink_to("nowhere")
    found = problems(folder)
    assert ["manifest-symlink"] * 3 == [one.rule for one in found]
    assert [Source(str(folder / name), 1, 1) for name in ("a.yaml", "below", "dangling.yml")] == [
        one.source for one in found
    ]
    assert not [one for one in found if "canary" in one.detail]
    link = folder.parent / "link"
    link.symlink_to(folder)
    assert "symbolic link" in the_one(link).detail


def test_a_pipe_ends_at_once(folder: Path) -> None:
    """A named pipe that nobody writes to does not hang the reader, whether as a file or as the folder."""
    os.mkfifo(folder / "pipe.yaml")
    assert ("manifest-file", Source(str(folder / "pipe.yaml"), 1, 1)) == (the_one(folder).rule, the_one(folder).source)
    assert "manifest-folder" == the_one(folder / "pipe.yaml").rule


def test_neither_a_socket_nor_a_folder_is_a_manifest(folder: Path) -> None:
    """What only has the name of a manifest is refused."""
    (folder / "folder.yaml").mkdir()
    before = Path.cwd()
    # The path of a socket has to be short.
    os.chdir(folder)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("s.yaml")
        os.chdir(before)
        assert ["manifest-file"] * 2 == [one.rule for one in problems(folder)]


def test_a_file_can_be_too_large(folder: Path) -> None:
    """A file over the limit is refused without being parsed."""
    with (folder / "large.yaml").open("wb") as file:
        file.truncate(FILE_MAX_BYTES + 1)
    assert ("manifest-limit", Source(str(folder / "large.yaml"), 1, 1)) == (
        the_one(folder).rule,
        the_one(folder).source,
    )


def test_there_can_be_too_many_files(folder: Path) -> None:
    """More files than the limit are refused."""
    (folder / "f0.yaml").touch()
    for index in range(1, FILES_MAX_COUNT):
        os.link(folder / "f0.yaml", folder / f"f{index}.yaml")
    one = the_one(folder)
    assert "manifest-limit" == one.rule
    assert f"{FILES_MAX_COUNT + 2:,} files" in one.detail


def test_problems_of_files_and_of_manifests_come_together(folder: Path) -> None:
    """A file that cannot be read hides no error in another, and nothing is said to be missing on its account."""
    (folder / "stack.yaml").write_bytes(b"\xff")
    (folder / "intent.yaml").write_text(MODEL.replace("gemini-2.5-flash", "3"))
    assert [("manifest-encoding", "stack.yaml"), ("manifest-type", "intent.yaml")] == [
        (one.rule, Path(one.source.path).name) for one in problems(folder) if one.source
    ]


def test_the_collector_is_left_as_it_was(folder: Path) -> None:
    """Reading pauses the garbage collector only for itself, also when it fails."""
    load_manifests(folder)
    assert gc.isenabled()
    (folder / "broken.yaml").write_text("a: [")
    problems(folder)
    assert gc.isenabled()
    gc.disable()
    try:
        problems(folder)
        assert not gc.isenabled()
    finally:
        gc.enable()


HOSTILE: dict[str, list[str]] = {
    "alias-bomb.yaml": ["yaml-limit 18:40"],
    "bidirectional.yaml": ["yaml-character 7:25"],
    "binary-tag.yaml": ["yaml-tag 7:16"],
    "deep-block.yaml": ["yaml-limit 56:101"],
    "deep-flow.yaml": ["yaml-limit 7:72"],
    "deep-keys.yaml": ["yaml-limit 7:165"],
    "duplicate-field.yaml": ["yaml-duplicate-key 7:3"],
    "duplicate-spec.yaml": ["yaml-duplicate-key 7:1"],
    "environment.yaml": ["manifest-value 7:3"],
    "escape-sequence.yaml": ["yaml-character 7:16"],
    "escaped-escape-sequence.yaml": ["yaml-escape 7:16"],
    "include.yaml": ["yaml-tag 4:7"],
    "keys-that-are-not-text.yaml": ["yaml-key 7:22", "yaml-key 7:28", "yaml-key 7:37", "yaml-key 7:46"],
    "latin-1.yaml": ["manifest-encoding 7:17"],
    "line-separator.yaml": ["yaml-character 7:19"],
    "local-file.yaml": ["manifest-value 6:3"],
    "long-integer.yaml": ["yaml-number 7:33"],
    "merge-key.yaml": ["manifest-missing-field 4:1", "yaml-merge 5:3"],
    "metadata-server.yaml": ["manifest-value 6:3"],
    "norway.yaml": ["yaml-ambiguous 7:31", "yaml-ambiguous 8:13"],
    "not-finite.yaml": ["yaml-number 7:45", "yaml-number 7:57", "yaml-number 7:77"],
    "nul.yaml": ["yaml-character 7:17"],
    "octal.yaml": ["yaml-ambiguous 7:33"],
    "our-labels.yaml": ["manifest-label 3:36", "manifest-label 3:58", "manifest-label 3:78"],
    "overlong-utf-8.yaml": ["manifest-encoding 7:16"],
    "path-as-a-name.yaml": ["manifest-value 3:12"],
    "python-call.yaml": ["yaml-tag 1:1"],
    "python-name.yaml": ["yaml-tag 7:16"],
    "python-object.yaml": ["yaml-tag 4:7"],
    "self-reference.yaml": ["yaml-alias 4:7", "yaml-alias 7:21"],
    "sexagesimal.yaml": ["yaml-ambiguous 7:16"],
    "signed-url.yaml": ["manifest-value 6:3"],
    "surrogate-utf-8.yaml": ["manifest-encoding 7:16"],
    "tabs.yaml": ["yaml-syntax 5:1"],
    "tag-directive.yaml": ["yaml-directive 1:1", "yaml-tag 7:14"],
    "template.yaml": ["yaml-key 5:15"],
    "too-many-documents.yaml": ["yaml-limit 20006:1"],
    "too-many-problems.yaml": ["yaml-limit 7:422"],
    "too-many-values.yaml": ["yaml-limit 7:20006"],
    "unclosed-quote.yaml": ["yaml-syntax 7:16"],
    "utf-16.yaml": ["manifest-encoding 1:1"],
}


def test_every_hostile_file_is_in_the_table() -> None:
    """No file of the corpus is forgotten."""
    assert sorted(HOSTILE) == sorted(path.name for path in CORPUS.iterdir())


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_ends_fast_in_clean_errors(folder: Path, name: str) -> None:
    """Whatever a file tries, it ends in errors at its own lines, soon, beside manifests that are good."""
    (folder / "hostile.yaml").write_bytes((CORPUS / name).read_bytes())
    started = time.process_time()
    found = problems(folder)
    assert 1.0 > time.process_time() - started
    assert {str(folder / "hostile.yaml")} == {one.source.path for one in found if one.source}
    told = [f"{one.rule} {one.source.line}:{one.source.column}" for one in found if one.source]
    # Where there are very many, the last one says why there are no more.
    assert HOSTILE[name] == (told if len(told) < 100 else told[-1:])
    assert not [one for one in found if "owned" in one.detail or "abc" in one.detail or len(one.detail) > 700]


HUGE = {
    "text": "a: " + "x" * (FILE_MAX_BYTES - 3),
    "digits": "a: " + "1" * (FILE_MAX_BYTES - 3),
    "nearly a number": "a: 1" + "_1" * (FILE_MAX_BYTES // 2 - 3) + "x",
    "brackets": "[" * FILE_MAX_BYTES,
    "dashes": "- " * (FILE_MAX_BYTES // 2),
    "items": "- a\n" * (FILE_MAX_BYTES // 4),
    "documents": "---\n" * (FILE_MAX_BYTES // 4),
    "small documents": "--- a\n" * (FILE_MAX_BYTES // 6),
    "key": "x" * (FILE_MAX_BYTES - 3) + ": a",
    "comments": "#\n" * (FILE_MAX_BYTES // 2),
    "escapes": 'a: "' + "\\n" * (FILE_MAX_BYTES // 2 - 3) + '"',
}


@pytest.mark.parametrize("name", HUGE)
def test_a_huge_file_ends_soon(tmp_path: Path, name: str) -> None:
    """A file of the largest size allowed, of whatever is worst in it, ends in an error within seconds."""
    (tmp_path / "huge.yaml").write_text(HUGE[name])
    started = time.process_time()
    assert problems(tmp_path)
    assert 3.0 > time.process_time() - started


@pytest.mark.long
def test_ten_thousand_models_are_read_in_seconds(folder: Path) -> None:
    """A very large stack is read, checked and flattened at less than half a millisecond a model."""
    models = "".join(
        f"---\n{MODEL.replace('intent', f'm{index}').replace('train.', f'{index}.')}" for index in range(10_000)
    )
    (folder / "intent.yaml").write_text(models)
    started = time.process_time()
    desired, _ = load_manifests(folder)
    assert 10_000 == len(desired.models)
    assert 5.0 > time.process_time() - started
