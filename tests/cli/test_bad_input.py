"""Whatever is wrong with manifests, state, world, endpoint or credentials is said in words; nothing is lost or made."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.harness import REAL_TIME, Shop, model

COMMAND_LINES = [
    ("validate",),
    ("plan",),
    ("apply", "--auto-approve"),
    ("destroy", "--auto-approve"),
    ("status",),
    ("retry", "alpha", "--auto-approve"),
    ("cancel", "alpha", "--auto-approve"),
    ("state", "list"),
]
# All but `validate` need the state.
ON_STATE = COMMAND_LINES[1:]


def said(shop: Shop, *words: str, code: int = 1) -> str:
    """What a command that must refuse says, having printed no result and no traceback."""
    ran = shop.run(*words)
    assert (code, "") == (ran.code, ran.out), ran.err
    assert ran.err.startswith("Error: ") or "\n\nError: " in ran.err
    assert "Traceback" not in ran.err
    return ran.err


# ---- manifests


@pytest.mark.parametrize("words", COMMAND_LINES)
def test_a_missing_folder_of_manifests_is_an_error(shop: Shop, tmp_path: Path, words: tuple[str, ...]) -> None:
    """No folder never means that nothing is desired."""
    ran = shop.run_bare(*words, "--manifests", str(tmp_path / "none"))
    assert (1, "") == (ran.code, ran.out)
    assert "There is no folder" in ran.err


def test_an_empty_folder_is_an_error(shop: Shop, tmp_path: Path) -> None:
    """No manifests never means that nothing is desired, and nothing that was made is touched."""
    shop.apply()
    kept = shop.state.read_bytes()
    for path in shop.manifests.iterdir():
        path.unlink()
    assert "There are no manifests" in said(shop, "apply", "--auto-approve", "--allow-forget", "9")
    assert kept == shop.state.read_bytes()


def test_a_stack_without_models_is_an_error_that_names_destroy(shop: Shop) -> None:
    """Removing the last model is done with `destroy`, and that is what the error says."""
    shop.apply()
    shop.models()
    assert "tuneform destroy" in said(shop, "apply", "--auto-approve", "--allow-forget", "9")


def test_a_file_in_place_of_the_folder_is_an_error(shop: Shop) -> None:
    """`--manifests FILE` is answered with what it should be."""
    ran = shop.run_bare("plan", "--manifests", str(shop.manifests / "alpha.yaml"))
    assert (1, True) == (ran.code, "is a file. Name the folder it is in." in ran.err)


def test_all_manifest_errors_are_told_at_once(shop: Shop) -> None:
    """Three files with an error each give three errors, each with its place, and their number."""
    shop.models(model("alpha", epochs=-1), model("beta", method="suprevised"), model("gamma", trainingDatsetUri="x"))
    err = said(shop, "validate")
    places = [f"{shop.manifests}/{name}.yaml:1:" for name in ("alpha", "beta", "gamma")]
    assert [True] * 3 == [place in err for place in places]
    assert "3 errors." == err.splitlines()[-1]
    assert "trainingDatasetUri" in err


def test_manifest_errors_as_json(shop: Shop) -> None:
    """`validate --json` prints the errors as a document and ends in 1."""
    shop.models(model("alpha", epochs=-1))
    ran = shop.run("validate", "--json")
    document = ran.document
    assert (1, False) == (ran.code, document["valid"])
    assert ["error"] == [one["severity"] for one in document["diagnostics"]]


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "kind: [",
        "- a\n- b\n",
        "kind: TunedModel\nkind: Stack\n",
        "\x1b[31mkind: TunedModel\n",
        "kind: !!python/object:os.system x\n",
        "apiVersion: tuneform/v1\nkind: Unheard\nmetadata: {name: x}\n",
    ],
)
def test_a_malformed_manifest_is_an_error_that_shows_no_control_character(shop: Shop, text: str) -> None:
    """What cannot be read as a manifest is refused, and nothing of it reaches the terminal raw."""
    (shop.manifests / "delta.yaml").write_text(text, encoding="utf-8")
    err = said(shop, "apply", "--auto-approve")
    assert "delta.yaml" in err
    assert "\x1b" not in err
    assert not shop.world.exists()


def test_two_manifests_of_one_name_contradict_each_other(shop: Shop) -> None:
    """One address declared twice is refused with both places."""
    shop.write("other.yaml", model("alpha", epochs=7))
    err = said(shop, "plan")
    assert [True, True] == [f"{name}.yaml" in err for name in ("alpha", "other")]


# ---- state


def edited(change: Callable[[dict[str, object]], object]) -> Callable[[bytes], bytes]:
    """A sound state in which something was changed by hand."""

    def spoil(content: bytes) -> bytes:
        document = json.loads(content)
        change(document)
        return json.dumps(document).encode()

    return spoil


BAD_STATES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda content: b"", "The state is empty"),
    "blank": (lambda content: b" \n\n", "The state is empty"),
    "zero bytes after a loss of power": (lambda content: b"\0" * len(content), "The state is empty"),
    "truncated": (lambda content: content[: len(content) // 2], "The state is cut short"),
    "one byte less": (lambda content: content.rstrip()[:-1], "The state is cut short"),
    "not JSON": (lambda content: b"lineage: yaml\n", "The state is not JSON"),
    "merge conflict": (lambda content: b"<<<<<<< HEAD\n" + content, "The state is not JSON"),
    "not text": (lambda content: b"\xff\xfe" + content, "The state is not text"),
    "a list": (lambda content: b"[]", "The state is not a state"),
    "another tool's": (lambda content: b'{"version": 4, "terraform_version": "1.9.0"}', "This file is not a state"),
    "a saved plan": (lambda content: b'{"format_version": "1.0"}', "This file is not a state"),
    "newer": (edited(lambda one: one.update(format=99)), "The state was written by a newer tuneform"),
    "newer fingerprints": (
        edited(lambda one: one.update(fingerprintVersion="v9")),
        "The state was written by a newer tuneform",
    ),
    "edited": (edited(lambda one: one.update(records={})), "The state was changed outside tuneform"),
    "deep": (lambda content: b"[" * 100_000, "The state is not JSON"),
    "a key twice": (lambda content: b'{"format": 1, "format": 1}', "The state is not JSON"),
}


@pytest.mark.parametrize("kind", BAD_STATES)
def test_a_bad_state_is_an_error_and_stays_as_it_is(shop: Shop, kind: str) -> None:
    """A state that cannot be trusted is never taken for an empty one: no command makes a job or writes over it."""
    spoil, summary = BAD_STATES[kind]
    shop.models(model("alpha"))
    shop.apply()
    content = spoil(shop.state.read_bytes())
    shop.state.write_bytes(content)
    for words in ON_STATE:
        assert f"Error: {summary}" in said(shop, *words), words
    assert content == shop.state.read_bytes()
    assert ["alpha"] == shop.jobs()


def test_a_folder_in_place_of_the_state_is_an_error(shop: Shop) -> None:
    """A state path that is a folder is named as one."""
    shop.state.mkdir(parents=True)
    for words in ON_STATE:
        assert f"{shop.state} is a folder." in said(shop, *words), words


def test_a_link_in_place_of_the_state_is_an_error(shop: Shop) -> None:
    """A symbolic link is not followed: replacing it would leave what it points to behind."""
    shop.apply()
    elsewhere = shop.state.with_name("elsewhere.json")
    shop.state.rename(elsewhere)
    shop.state.symlink_to(elsewhere)
    assert f"{shop.state} is a link." in said(shop, "plan")


def test_a_file_in_place_of_the_states_folder_is_an_error(shop: Shop) -> None:
    """Where the state's folder cannot be, nothing is submitted."""
    shop.stack(state="../blocked/support.json", simulator={"speed": REAL_TIME, "world": "../state/world.json"})
    (shop.root / "blocked").write_text("", encoding="utf-8")
    ran = shop.apply()
    assert 1 == ran.code
    assert "Not a directory" in ran.err or "File exists" in ran.err
    assert '"jobs":[]' in (shop.root / "state" / "world.json").read_text(encoding="utf-8")


def test_a_state_that_cannot_be_written_stops_before_anything_is_made(shop: Shop) -> None:
    """Where a state can be looked for but not written, no job is made."""
    # The state's own name is short enough for the file system, the names beside it are not.
    shop.stack(state=f"../state/{'s' * 250}", simulator={"speed": REAL_TIME, "world": "../state/world.json"})
    ran = shop.apply()
    assert (1, True) == (ran.code, "Name a shorter path in the stack." in ran.err)
    assert '"jobs":[]' in (shop.root / "state" / "world.json").read_text(encoding="utf-8")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_state_folder_stops_before_anything_is_made(shop: Shop) -> None:
    """Where the state cannot be written, no job is made."""
    folder = shop.root / "locked"
    folder.mkdir(mode=0o500)
    shop.stack(state="../locked/support.json", simulator={"speed": REAL_TIME, "world": "../state/world.json"})
    ran = shop.apply()
    assert (1, True) == (ran.code, "The state cannot be written" in ran.err)
    assert '"jobs":[]' in (shop.root / "state" / "world.json").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("what", "was", "now", "change"),
    [
        ("project", "demo-project", "other-project", {"project": "other-project"}),
        ("endpoint", "simulator", "http://127.0.0.1:1", {"endpoint": "http://127.0.0.1:1", "simulator": None}),
    ],
)
def test_the_state_of_another_place_is_refused(
    shop: Shop, what: str, was: str, now: str, change: dict[str, Any]
) -> None:
    """A stack that is pointed elsewhere names both places, and nothing is forgotten or made."""
    shop.apply()
    kept = shop.state.read_bytes()
    shop.stack(**change)
    err = said(shop, "apply", "--auto-approve", "--allow-forget", "9")
    assert f"The state belongs to another {what}" in err
    assert f"was written for {what} {was}, and the stack now names {now}" in err
    assert kept == shop.state.read_bytes()


def test_the_state_of_another_stack_is_refused(shop: Shop) -> None:
    """Two stacks that name one state file do not forget each other's models."""
    shop.apply()
    kept = shop.state.read_bytes()
    stack = json.loads((shop.manifests / "stack.yaml").read_text(encoding="utf-8"))
    stack["metadata"]["name"] = "sales"
    shop.write("stack.yaml", stack)
    assert "The state belongs to another stack" in said(shop, "apply", "--auto-approve", "--allow-forget", "9")
    assert kept == shop.state.read_bytes()


def test_state_commands_without_a_state_say_so(shop: Shop) -> None:
    """Before the first apply there is nothing to list, and that is said."""
    for words in (("state", "list"), ("state", "show", "alpha")):
        assert "There is no state yet" in said(shop, *words, code=64)


# ---- the simulated world


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format": 1}', b"\xff", b'{"format": 99}'])
def test_a_corrupt_world_is_an_error_that_says_it_is_nothing_real(shop: Shop, content: bytes) -> None:
    """A damaged world file is named with the command that removes it; the state is left as it is."""
    shop.apply()
    kept = shop.state.read_bytes()
    shop.world.write_bytes(content)
    err = said(shop, "apply", "--auto-approve")
    assert "It holds a simulation only, nothing real" in err
    assert f"      rm {shop.world}" in err
    assert kept == shop.state.read_bytes()


def test_a_lost_world_does_not_tune_anything_anew(shop: Shop) -> None:
    """Jobs that cannot be found any more are left as they are; a lost service is no reason to pay again."""
    shop.apply()
    shop.world.unlink()
    shop.apply()
    assert {"no-op"} == {action for action, _ in shop.plan().values()}
    assert [] == shop.jobs()


# ---- endpoint and credentials


def test_vertex_ai_without_credentials_is_an_error(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any Google credentials, plan and apply say how to sign in, and no state is begun."""
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "GCE_METADATA_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "none"))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    shop.stack(endpoint=None, simulator=None)
    for words in (("plan",), ("apply", "--auto-approve"), ("status",)):
        err = said(shop, *words)
        assert "There are no Google credentials" in err
        assert "gcloud auth application-default login" in err
    assert not shop.state.exists()


def test_validate_needs_neither_credentials_nor_network(shop: Shop) -> None:
    """Manifests for Vertex AI are checked offline."""
    shop.stack(endpoint=None, simulator=None)
    assert 0 == shop.run("validate").code


@pytest.mark.parametrize("token", ["", "two\nlines", "caf\u00e9"])
def test_a_token_that_cannot_be_one_is_an_error(shop: Shop, monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    """TUNEFORM_ACCESS_TOKEN is checked before it is sent, and not shown."""
    monkeypatch.setenv("TUNEFORM_ACCESS_TOKEN", token)
    shop.stack(endpoint=None, simulator=None)
    err = said(shop, "plan")
    assert "The access token cannot be used" in err
    assert not token or token not in err


def test_an_endpoint_that_does_not_answer_is_an_error(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody listens, apply says where it knocked and what to check; no state is begun."""
    monkeypatch.setenv("TUNEFORM_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("TUNEFORM_ACCESS_TOKEN", "any")
    err = said(shop, "apply", "--auto-approve")
    assert "Could not list the tuning jobs: the service could not be reached" in err
    assert "127.0.0.1:1: " in err
    assert "Check the network" in err
    assert not shop.state.exists()


def test_an_endpoint_in_a_manifest_is_not_trusted_with_a_token(shop: Shop) -> None:
    """A pull request cannot send the credentials of whoever plans it to a place of its choosing."""
    shop.stack(endpoint="https://vertex.example", simulator=None)
    err = said(shop, "plan", code=64)
    assert "The endpoint of the stack is not trusted" in err
    assert "      export TUNEFORM_ENDPOINT=https://vertex.example" in err


@pytest.mark.parametrize(
    "endpoint", ["http://vertex.example", "ftp://127.0.0.1", "vertex.example", "https://user:secret@vertex.example", ""]
)
def test_an_endpoint_that_would_show_the_token_is_refused(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, endpoint: str
) -> None:
    """Plain http to elsewhere, and what is no URL, is refused before anything is sent; an empty one counts as unset."""
    monkeypatch.setenv("TUNEFORM_ENDPOINT", endpoint)
    monkeypatch.setenv("TUNEFORM_ACCESS_TOKEN", "any")
    if not endpoint:
        assert 0 == shop.run("plan").code
        return
    err = said(shop, "plan", code=64)
    assert "This endpoint cannot be used" in err
    assert "secret" not in err
