"""`tuneform state`: what is remembered, read, renamed, replaced, forgotten and rebuilt from labels."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.errors import ExitCode
from reconciler.simulator.simulator import Simulator
from reconciler.state.codec import decode_state, encode_state
from reconciler.state.records import Because, State
from tests.cli.harness import REAL_TIME, Shop, model

TUNED = ("no-op", "succeeded")
FAILS = {"simulate": "fail"}


def stored(shop: Shop) -> State:
    """The state as its file has it."""
    return decode_state(shop.state.read_text(encoding="utf-8"), str(shop.state))


def world(shop: Shop) -> Simulator:
    """The simulated world behind the stack."""
    return Simulator.on_file(shop.world)


def edited(shop: Shop, **changes: object) -> str:
    """The state's document with some top-level keys changed and its digest as it was: an edit by hand."""
    return json.dumps(json.loads(shop.state.read_text(encoding="utf-8")) | changes)


def test_list_and_show_tell_what_is_remembered(shop: Shop) -> None:
    """`list` has a row for each address and `show` everything of one, in text and as JSON, asking nobody."""
    shop.apply()
    shop.world.unlink()
    listed = shop.run("state", "list")
    assert 0 == listed.code
    assert listed.out.startswith(f"support, lineage {stored(shop).lineage}, serial {stored(shop).serial}\n")
    assert "3 entries." in listed.out
    entries = shop.run("state", "list", "--json").document["entries"]
    assert [("recorded", name) for name in ("alpha", "beta", "gamma")] == [
        (one["kind"], one["address"]) for one in entries
    ]
    shown = shop.run("state", "show", "beta").document
    assert "beta" == shown["record"]["address"]
    assert ["created"] == [attempt["origin"] for attempt in shown["record"]["attempts"]]


def test_list_tells_what_waits(shop: Shop) -> None:
    """What is queued is listed with its place."""
    shop.stack(speed=REAL_TIME, slots=1)
    shop.apply("--no-wait")
    entries = shop.run("state", "list", "--json").document["entries"]
    assert [("recorded", "alpha"), ("queued", "beta"), ("queued", "gamma")] == [
        (one["kind"], one["address"]) for one in entries
    ]
    assert ["place 1", "place 2"] == [one["detail"].split(",")[0] for one in entries[1:]]


@pytest.mark.parametrize(
    "words",
    [
        ("list",),
        ("show", "alpha"),
        ("pull",),
        ("mv", "alpha", "delta"),
        ("rm", "alpha"),
    ],
)
def test_without_a_state_there_is_nothing_to_read_or_change(shop: Shop, words: tuple[str, ...]) -> None:
    """Each command says that there is no state yet, and makes none."""
    ran = shop.run("state", *words)
    assert ExitCode.USAGE == ran.code
    assert "There is no state yet" in ran.err
    assert not shop.state.exists()


@pytest.mark.parametrize(("words", "code"), [(("show", "delta"), ExitCode.USAGE), (("rm", "delta"), ExitCode.ERROR)])
def test_an_address_nobody_knows_is_named(shop: Shop, words: tuple[str, ...], code: ExitCode) -> None:
    """An address the state does not know is an error that names it, and nothing is written."""
    shop.apply()
    before = shop.state.read_bytes()
    ran = shop.run("state", *words)
    assert code == ran.code
    assert "Nothing is remembered of delta." in ran.err
    assert before == shop.state.read_bytes()


def test_what_is_removed_is_found_again_by_its_labels(shop: Shop) -> None:
    """`rm` forgets an address without touching its job; declared still, it adopts that job with the next apply."""
    shop.apply()
    assert 0 == shop.run("state", "rm", "beta").code
    assert "beta" not in stored(shop).records
    assert ("adopt", "unrecorded") == shop.plan()["beta"]
    assert 0 == shop.apply().code
    assert TUNED == shop.plan()["beta"]
    assert ["alpha", "beta", "gamma"] == shop.jobs()


def test_an_apply_without_changes_still_remembers_the_life_of_a_model(shop: Shop) -> None:
    """`onRemove: delete` that was taken back no longer deletes, though nothing else changed."""
    shop.models(model("alpha", lifecycle={"onRemove": "delete"}), model("beta"), model("gamma"), model("delta"))
    shop.apply()
    assert "delete" == stored(shop).records["alpha"].lifecycle.on_remove
    shop.models(model("alpha"), model("beta"), model("gamma"), model("delta"))
    ran = shop.apply()
    assert (0, True) == (ran.code, "No changes: 4 models as declared." in ran.out)
    assert "keep" == stored(shop).records["alpha"].lifecycle.on_remove
    before = shop.state.read_bytes()
    assert (0, before) == (shop.apply().code, shop.state.read_bytes())
    shop.models(model("beta"), model("gamma"), model("delta"))
    assert ("forget", "finished") == shop.plan()["alpha"]
    assert 0 == shop.run("history", "verify").code


def test_a_forgotten_model_that_is_back_is_recorded_again(shop: Shop) -> None:
    """A manifest that comes back takes its record back with the next apply, though that has nothing else to do."""
    shop.apply()
    shop.models(model("alpha"), model("beta"))
    shop.apply("--allow-forget", "1")
    assert ["gamma"] == list(stored(shop).retired)
    shop.models(model("alpha"), model("beta"), model("gamma"))
    assert TUNED == shop.plan()["gamma"]
    assert 0 == shop.apply().code
    assert (["alpha", "beta", "gamma"], []) == (sorted(stored(shop).records), list(stored(shop).retired))


def test_a_renamed_and_edited_manifest_keeps_its_model(shop: Shop) -> None:
    """The plan names the `state mv` for a manifest that was renamed and edited at once, and after it shows the edit."""
    shop.apply()
    renamed = model("delta", epochs=3, trainingDatasetUri="gs://demo-data/gamma.jsonl")
    shop.models(model("alpha"), model("beta"), renamed)
    plan = shop.run("plan")
    assert "Note: A manifest may have been renamed and edited at once" in plan.out
    assert f"      tuneform state mv gamma delta --manifests {shop.manifests}\n" in plan.out
    assert 0 == shop.run("state", "mv", "gamma", "delta").code
    assert {"alpha": TUNED, "beta": TUNED, "delta": ("create", "spec_changed")} == shop.plan()
    out = shop.run("plan").out
    assert "hyperParameters.epochCount  2 -> 3  forces a new job" in out
    assert "renamed and edited" not in out
    shop.models(model("alpha"), model("beta"), renamed | {"spec": model("gamma")["spec"]})
    assert TUNED == shop.plan()["delta"]
    assert 0 == shop.apply().code
    assert ["alpha", "beta", "gamma"] == shop.jobs()


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("delta", "epsilon", "The state knows no delta."),
        ("alpha", "beta", "The state already knows beta."),
        ("alpha", "alpha", "The state already knows alpha."),
    ],
)
def test_a_rename_that_cannot_be_changes_nothing(shop: Shop, old: str, new: str, says: str) -> None:
    """An unknown old name and a taken new one are refused before anything is written."""
    shop.apply()
    before = shop.state.read_bytes()
    ran = shop.run("state", "mv", old, new)
    assert ExitCode.ERROR == ran.code
    assert says in ran.err
    assert before == shop.state.read_bytes()


def test_a_rename_onto_a_retired_address_keeps_its_model_too(shop: Shop) -> None:
    """What was known of the new name stays among its attempts, so that going back to it costs nothing."""
    shop.apply()
    shop.models(model("alpha"), model("beta"))
    shop.apply("--allow-forget", "1")
    assert 0 == shop.run("state", "mv", "beta", "gamma").code
    shop.models(model("alpha"), model("gamma"))
    assert ("adopt", "rolled_back") == shop.plan()["gamma"]
    assert 0 == shop.apply().code
    assert ["alpha", "beta", "gamma"] == shop.jobs()


def test_a_pulled_state_can_be_edited_and_pushed(shop: Shop, tmp_path: Path) -> None:
    """A hand edit of a pulled document becomes the state, with serial and epoch moving on."""
    shop.apply()
    before = stored(shop)
    document = shop.run("state", "pull").document
    assert document == json.loads(shop.state.read_text(encoding="utf-8"))
    del document["records"]["beta"]
    (tmp_path / "edited.json").write_text(json.dumps(document), encoding="utf-8")
    pushed = shop.run("state", "push", str(tmp_path / "edited.json"))
    assert 0 == pushed.code, pushed.err
    after = stored(shop)
    assert ["alpha", "gamma"] == sorted(after.records)
    assert (after.serial > before.serial, after.epoch) == (True, before.epoch + 1)
    assert 0 == shop.run("history", "verify").code


def test_a_push_of_another_lineage_is_refused(shop: Shop, tmp_path: Path) -> None:
    """A document of another lineage describes other jobs, so it is refused, both lineages named."""
    shop.apply()
    before = shop.state.read_bytes()
    (tmp_path / "other.json").write_text(edited(shop, lineage="somebody-else"), encoding="utf-8")
    ran = shop.run("state", "push", str(tmp_path / "other.json"))
    assert ExitCode.ERROR == ran.code
    assert f"is of lineage somebody-else, and the state of {stored(shop).lineage}" in " ".join(ran.err.split())
    assert before == shop.state.read_bytes()


@pytest.mark.parametrize("behind", [1, 2, 7])
def test_a_push_of_an_older_serial_is_refused(shop: Shop, tmp_path: Path, behind: int) -> None:
    """A document that misses even one write is refused before anything is written, by what the state has come to."""
    shop.apply()
    before, serial = shop.state.read_bytes(), stored(shop).serial
    (tmp_path / "old.json").write_text(edited(shop, serial=serial - behind), encoding="utf-8")
    ran = shop.run("state", "push", str(tmp_path / "old.json"))
    assert ExitCode.ERROR == ran.code
    assert f"has serial {serial - behind}, and the state has moved on to {serial} since" in " ".join(ran.err.split())
    assert before == shop.state.read_bytes()


@pytest.mark.parametrize(("key", "other"), [("project", "other"), ("stack", "other"), ("endpoint", "https://other")])
def test_a_push_that_no_command_could_read_again_is_refused(shop: Shop, tmp_path: Path, key: str, other: str) -> None:
    """A document of another stack, project or endpoint would lock its owner out, so it is refused."""
    shop.apply()
    before = shop.state.read_bytes()
    (tmp_path / "other.json").write_text(edited(shop, **{key: other}), encoding="utf-8")
    ran = shop.run("state", "push", str(tmp_path / "other.json"))
    assert ExitCode.ERROR == ran.code
    assert f"The file belongs to another {key}" in ran.err
    assert before == shop.state.read_bytes()


def test_a_push_of_what_is_no_state_changes_nothing(shop: Shop, tmp_path: Path) -> None:
    """An unsound document, a torn one and a missing file are refused by name."""
    shop.apply()
    before = shop.state.read_bytes()
    text = shop.state.read_text(encoding="utf-8")
    files = {
        "torn.json": text[: len(text) // 2],
        "unsound.json": edited(shop, serial=-1),
        "newer.json": edited(shop, format=2),
    }
    for name, content in files.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
        ran = shop.run("state", "push", str(tmp_path / name))
        assert (ExitCode.ERROR, True) == (ran.code, name in ran.err), ran.err
    assert ExitCode.USAGE == shop.run("state", "push", str(tmp_path / "missing.json")).code
    assert before == shop.state.read_bytes()


def test_an_edit_in_place_is_noticed_and_accepted_by_a_push(shop: Shop) -> None:
    """A state edited where it lies is refused by every command; the push that the error names accepts it."""
    shop.apply()
    records = json.loads(shop.state.read_text(encoding="utf-8"))["records"]
    del records["beta"]
    shop.state.write_text(edited(shop, records=records), encoding="utf-8")
    ran = shop.run("plan")
    assert ExitCode.ERROR == ran.code
    assert "The state was changed outside tuneform" in ran.err
    assert "tuneform state push FILE" in ran.err
    pushed = shop.run("state", "push", str(shop.state))
    assert 0 == pushed.code, pushed.err
    assert ["alpha", "gamma"] == sorted(stored(shop).records)
    assert ("adopt", "unrecorded") == shop.plan()["beta"]


def test_unlock_says_when_nobody_holds_the_lease(shop: Shop) -> None:
    """There is nothing to free before the first apply, and after one that gave the lease back."""
    assert "Nobody holds the lease." in shop.run("state", "unlock", "--auto-approve").err
    shop.apply()
    ran = shop.run("state", "unlock", "--auto-approve")
    assert (0, "Nobody holds the lease.\n") == (ran.code, ran.err)


def test_a_lost_state_is_not_begun_anew(shop: Shop) -> None:
    """Without its state the stack's own jobs are another owner's: plan and apply refuse, and name `state recover`."""
    shop.apply()
    shop.state.unlink()
    for words in (("plan",), ("apply", "--auto-approve")):
        ran = shop.run(*words)
        assert ExitCode.ERROR == ran.code
        assert "tuneform state recover" in ran.out
    assert not shop.state.exists()
    assert ["alpha", "beta", "gamma"] == shop.jobs()


def test_recover_takes_everything_back(shop: Shop) -> None:
    """After a recover every address is left as it is under the old lineage, and an apply tunes nothing."""
    shop.apply()
    lineage = stored(shop).lineage
    shop.state.unlink()
    ran = shop.run("state", "recover")
    assert 0 == ran.code, ran.err
    assert f"Recovered lineage {lineage}: 3 addresses with 3 jobs" in ran.err
    assert dict.fromkeys(("alpha", "beta", "gamma"), TUNED) == shop.plan()
    assert 0 == shop.apply().code
    assert ["alpha", "beta", "gamma"] == shop.jobs()
    assert lineage == stored(shop).lineage
    assert 0 == shop.run("history", "verify").code


def test_recover_counts_past_attempts(shop: Shop) -> None:
    """A declared retry that was used up stays used up, and a failed model stays failed until somebody asks."""
    shop.models(model("alpha", labels=FAILS, lifecycle={"retries": 1}), model("beta", labels=FAILS), model("gamma"))
    assert ExitCode.MODEL_FAILED == shop.apply().code
    assert ["alpha", "alpha", "beta", "gamma"] == shop.jobs()
    shop.state.unlink()
    assert 0 == shop.run("state", "recover").code
    numbers = {
        name: [attempt.number for attempt in record.attempts] for name, record in sorted(stored(shop).records.items())
    }
    assert {"alpha": [1, 2], "beta": [1], "gamma": [1]} == numbers
    failed = ("no-op", "failed")
    assert {"alpha": failed, "beta": failed, "gamma": TUNED} == shop.plan()
    assert ExitCode.MODEL_FAILED == shop.apply().code
    assert ["alpha", "alpha", "beta", "gamma"] == shop.jobs()
    shop.run("retry", "beta", "--auto-approve")
    assert [1, 2] == [attempt.number for attempt in stored(shop).records["beta"].attempts]


def test_recover_while_jobs_run_goes_on_with_them(shop: Shop) -> None:
    """Running jobs are taken back as running; only what never was submitted is submitted."""
    shop.stack(speed=REAL_TIME)
    shop.apply("--no-wait")
    shop.state.unlink()
    assert 0 == shop.run("state", "recover").code
    running = ("no-op", "in_progress")
    assert {"alpha": running, "beta": running, "gamma": ("create", "new")} == shop.plan()
    shop.stack()
    assert 0 == shop.apply().code
    assert ["alpha", "beta", "gamma"] == shop.jobs()


def test_recover_keeps_the_job_that_stood_before_a_cancelled_duplicate(shop: Shop) -> None:
    """Of two jobs of one submission the cancelled one never stands for the address, though it is the newer."""
    shop.models(model("alpha"))
    shop.apply()
    kept = world(shop).jobs()[0]
    slow = Simulator.on_file(shop.world, speed=REAL_TIME)
    twin = slow.inject_foreign_job("demo-project", labels=kept["labels"])
    slow.cancel_elsewhere(twin)
    shop.state.unlink()
    assert 0 == shop.run("state", "recover").code
    attempts = [(attempt.job, attempt.because) for attempt in stored(shop).records["alpha"].attempts]
    assert [(twin, Because.DUPLICATE), (kept["name"], None)] == attempts
    assert {"alpha": TUNED} == shop.plan()


def test_recover_asks_which_of_two_owners(shop: Shop) -> None:
    """Where two lineages used the stack's name, nothing is guessed: both are named, and --owner chooses."""
    shop.apply()
    first = stored(shop).lineage
    shop.state.unlink()
    shop.models(model("delta"))
    assert ExitCode.DONE == shop.apply("--new-owner").code
    second = stored(shop).lineage
    assert first != second
    shop.state.unlink()
    shop.models(model("alpha"), model("beta"), model("gamma"))
    asked = shop.run("state", "recover")
    assert ExitCode.USAGE == asked.code
    assert f"{first}: 3 jobs" in asked.err
    assert f"{second}: 1 job" in asked.err
    assert f"tuneform state recover --owner {first}" in asked.err
    assert ExitCode.USAGE == shop.run("state", "recover", "--owner", "nobody").code
    assert not shop.state.exists()
    assert 0 == shop.run("state", "recover", "--owner", first).code
    assert dict.fromkeys(("alpha", "beta", "gamma"), TUNED) == shop.plan()


def test_a_new_owner_tunes_nothing_that_another_owner_tuned(shop: Shop) -> None:
    """Even with --new-owner, what a lost state tuned is not paid again: it is left as another owner's."""
    shop.apply()
    shop.state.unlink()
    shop.models(model("alpha"), model("delta"))
    ran = shop.apply("--new-owner")
    assert "foreign" == shop.plan("--new-owner")["alpha"][1]
    assert "tuneform import --take-over alpha" in ran.out
    assert ["alpha", "beta", "delta", "gamma"] == shop.jobs()


def test_recover_is_refused_while_a_state_is_there(shop: Shop) -> None:
    """A state that exists, sound or damaged, is never overwritten."""
    shop.apply()
    for content in (shop.state.read_bytes(), b"{", b"\xff"):
        shop.state.write_bytes(content)
        assert ExitCode.ERROR == shop.run("state", "recover").code
        assert content == shop.state.read_bytes()


def test_recover_without_jobs_says_so(shop: Shop) -> None:
    """Where no live job bears the stack's name there is nothing to recover, and nothing is written."""
    ran = shop.run("state", "recover")
    assert ExitCode.USAGE == ran.code
    assert "There is nothing to recover" in ran.err
    assert not shop.state.exists()


def test_recover_refuses_half_a_look(shop: Shop) -> None:
    """A location that cannot be read may hide jobs, and hidden jobs would be tuned again: nothing is written."""
    shop.apply()
    shop.state.unlink()
    world(shop).set_faults(unread_locations=("europe-west4",))
    ran = shop.run("state", "recover")
    assert ExitCode.ERROR == ran.code
    assert "Not every location could be read" in ran.err
    assert "europe-west4" in ran.err
    assert not shop.state.exists()


def test_what_was_recovered_is_not_cancelled_before_it_is_confirmed(shop: Shop) -> None:
    """A job known by its labels alone is left running until the `import` that the plan names has confirmed it."""
    shop.stack(speed=REAL_TIME, slots=4)
    shop.apply("--no-wait")
    shop.state.unlink()
    shop.run("state", "recover")
    shop.models(model("alpha"), model("beta"))
    assert ("no-op", "look_alike") == shop.plan()["gamma"]
    plan = shop.run("plan")
    assert f"      tuneform import gamma --manifests {shop.manifests}\n" in plan.out
    assert 0 == shop.apply("--no-wait", "--allow-cancel", "1").code
    assert "pending" == shop.phases()["gamma"]
    assert 0 == shop.run("import", "gamma", "--auto-approve").code
    assert ("cancel", "removed") == shop.plan()["gamma"]
    cancelled = shop.apply("--no-wait", "--allow-cancel", "1")
    assert 0 == cancelled.code
    assert "gamma: cancel requested (removed)" in cancelled.err


def test_confirming_a_job_does_not_hide_an_edit(shop: Shop) -> None:
    """`import` confirms that a job is ours; that its manifest asks for something else by now still shows."""
    shop.stack(speed=REAL_TIME, slots=4)
    shop.apply("--no-wait")
    shop.state.unlink()
    shop.run("state", "recover")
    shop.models(model("alpha", epochs=5), model("beta"), model("gamma"))
    assert ("no-op", "look_alike") == shop.plan()["alpha"]
    assert 0 == shop.run("import", "alpha", "--auto-approve").code
    assert ("delete/create", "spec_changed") == shop.plan()["alpha"]


def test_a_kept_file_of_format_1_is_still_read(shop: Shop) -> None:
    """A state written in the first format is read by this version, as it was."""
    kept = (Path(__file__).parents[1] / "golden" / "state-format-1.json").read_text(encoding="utf-8")
    shop.state.parent.mkdir()
    shop.state.write_text(kept, encoding="utf-8")
    listed = shop.run("state", "list", "--json")
    assert 0 == listed.code, listed.err
    assert [
        ("recorded", "support-classifier"),
        ("intended", "intent-sweep[epochCount=4]"),
        ("queued", "intent-sweep[epochCount=8]"),
        ("retired", "old"),
    ] == [(one["kind"], one["address"]) for one in listed.document["entries"]]
    state = decode_state(kept, "kept")
    assert state == decode_state(encode_state(state), "again")


# What a state file may hold instead of a state, and how the error calls it; `text` stands for the good document.
DAMAGED: dict[str, tuple[Callable[[str], str | bytes], str]] = {
    "empty": (lambda text: "", "The state is empty"),
    "zeroes": (lambda text: "\0" * len(text), "The state is empty"),
    "torn in half": (lambda text: text[: len(text) // 2], "The state is cut short"),
    "without its last line": (lambda text: text[: text.rstrip().rindex("\n")], "The state is cut short"),
    "followed by its own tail": (lambda text: text + text[-40:], "The state is not JSON"),
    "a flipped digit": (lambda text: text.replace('"serial": ', '"serial": 1'), "changed outside tuneform"),
    "a flipped letter": (lambda text: text.replace("alpha", "alphb", 1), "changed outside tuneform"),
    "bytes that are no text": (lambda text: text.encode()[:100] + b"\xff\xfe" + text.encode()[100:], "not text"),
    "a page of HTML": (lambda text: "<html>Sign in</html>", "The state is not JSON"),
    "another tool's file": (lambda text: '{"version": 4, "terraform_version": "1.9.0"}', "This file is not a state"),
    "a list": (lambda text: "[]", "The state is not a state"),
    "a newer format": (lambda text: text.replace('"format": 1', '"format": 2'), "written by a newer tuneform"),
    "nested without end": (lambda text: "[" * 200_000, "The state is not JSON"),
    "huge and no state": (lambda text: json.dumps({"padding": "x" * 20_000_000}), "This file is not a state"),
    "another stack's state": (lambda text: resigned(text, stack="billing"), "belongs to another stack"),
    "another project's state": (lambda text: resigned(text, project="other"), "belongs to another project"),
    "another endpoint's state": (lambda text: resigned(text, endpoint="vertex-ai"), "belongs to another endpoint"),
}
# These are sound or of another kind, so recovering from labels is no answer to them.
WITHOUT_RECOVER = frozenset(
    {
        "a flipped digit",
        "a flipped letter",
        "bytes that are no text",
        "another tool's file",
        "a newer format",
        "huge and no state",
        "another stack's state",
        "another project's state",
        "another endpoint's state",
    }
)


def resigned(text: str, **changes: str) -> str:
    """The state's document with some of its head changed and a digest that fits."""
    document = json.loads(text) | changes
    return encode_state(decode_state(json.dumps(document), "changed", accept_edits=True))


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_state_stops_everything_and_is_not_overwritten(shop: Shop, kind: str) -> None:
    """Every command says what is wrong with the file and what to do, exits 1, writes nothing and creates no job."""
    shop.apply()
    spoil, says = DAMAGED[kind]
    spoiled = spoil(shop.state.read_text(encoding="utf-8"))
    content = spoiled if isinstance(spoiled, bytes) else spoiled.encode()
    shop.state.write_bytes(content)
    shop.models(model("alpha"), model("beta"), model("gamma"), model("delta"))
    files = (shop.state, shop.state.with_name("support.json.backup"))
    kept = [path.read_bytes() for path in files]
    for words in (
        ("plan",),
        ("apply", "--auto-approve"),
        ("status",),
        ("destroy", "--auto-approve"),
        ("retry", "alpha", "--auto-approve"),
        ("state", "rm", "alpha"),
        ("state", "recover"),
        ("import", "--all", "--auto-approve"),
    ):
        ran = shop.run(*words)
        assert (words, ExitCode.ERROR) == (words, ran.code), ran.err
        assert "Traceback" not in ran.err
        if words != ("state", "recover"):
            assert says in " ".join(ran.err.split()), ran.err
            assert (kind not in WITHOUT_RECOVER) == ("tuneform state recover" in ran.err)
    assert kept == [path.read_bytes() for path in files]
    assert ["alpha", "beta", "gamma"] == shop.jobs()


def test_the_backup_beside_a_damaged_state_can_be_put_back(shop: Shop) -> None:
    """The version before the damage is kept beside the file, and put back in its place the next apply goes on."""
    shop.apply()
    backup = shop.state.with_name("support.json.backup")
    shop.state.write_text("{", encoding="utf-8")
    assert "ending in .backup" in " ".join(shop.run("plan").err.split())
    backup.replace(shop.state)
    assert dict.fromkeys(("alpha", "beta", "gamma"), TUNED) == shop.plan()
    assert 0 == shop.apply().code
    assert ["alpha", "beta", "gamma"] == shop.jobs()
