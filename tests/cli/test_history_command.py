"""`tuneform history`: who did what, told run by run, and every way of changing the record of it found."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.errors import ExitCode
from reconciler.state.codec import decode_state
from tests.cli.harness import Shop, model


def head(shop: Shop) -> str:
    """The head that the state covers."""
    covered = decode_state(shop.state.read_text(encoding="utf-8"), "state").history_head
    assert covered is not None
    return covered


def run_file(shop: Shop, number: int) -> Path:
    """The document of one run."""
    return shop.root / "state" / "support.json.history" / f"{number:06d}.jsonl"


def rewritten(path: Path, change: Callable[[list[str]], list[str]]) -> None:
    """Changes the lines of a run's document."""
    lines = change(path.read_text(encoding="utf-8").splitlines())
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


@pytest.fixture
def told(shop: Shop) -> Shop:
    """A stack with two applies behind it."""
    shop.apply()
    shop.models(model("alpha", epochs=5), model("beta"), model("gamma"))
    shop.apply("--allow-retrain", "1")
    return shop


def test_history_tells_each_run(told: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each run has its command, person, actions and outcomes, the newest last."""
    monkeypatch.setenv("GITHUB_ACTOR", "someone-in-ci")
    told.run("state", "rm", "gamma")
    ran = told.run("history")
    assert 0 == ran.code
    first, second, third = ran.out.split("\n\n")
    assert first.startswith("run 1  apply  ")
    assert 3 == first.count("approved: create (new)")
    assert 3 == first.count("  submitted  tuningJobs/")
    assert "  succeeded, " in first
    assert first.endswith("ended: done")
    assert "alpha  approved: create (spec_changed)" in second
    assert third.startswith("run 3  state rm gamma  ")
    assert "someone-in-ci on " in third


def test_history_as_json_holds_every_line(told: Shop) -> None:
    """The JSON document has a list of lines for each run, as they are written."""
    document = told.run("history", "--json").document
    assert "1.0" == document["format_version"]
    lines = [json.loads(line) for line in run_file(told, 2).read_text(encoding="utf-8").splitlines()]
    assert lines == document["runs"][1]
    started = document["runs"][0][0]["facts"]
    assert {"command", "who", "host", "stack", "lineage", "version", "plan"} <= started.keys()
    assert 64 == len(started["plan"])


def test_an_apply_prints_the_head_that_verify_expects(told: Shop) -> None:
    """The head printed at the end of an apply is the last line, is in the state, and is what --expect-head takes."""
    told.models(model("alpha", epochs=5), model("beta"), model("gamma"), model("delta"))
    printed = told.apply().err.splitlines()
    noted = next(line.removeprefix("History: ") for line in printed if line.startswith("History: "))
    assert head(told) == noted
    ran = told.run("history", "verify", "--expect-head", noted)
    assert 0 == ran.code
    assert ran.out.startswith("The history holds: ")
    assert f"in 3 runs, head {noted}." in ran.out
    assert "" == ran.err


def test_verify_says_what_it_cannot_find_alone(told: Shop) -> None:
    """Without --expect-head a cut of history and state together goes unseen, and verify says so."""
    ran = told.run("history", "verify")
    assert 0 == ran.code
    assert "could cut its tail unseen; --expect-head tells" in ran.err


@pytest.mark.parametrize("text", ["", "abc", "1-abc", f"x-{'0' * 64}", f"1-{'0' * 63}"])
def test_what_is_no_head_is_wrong_usage(told: Shop, text: str) -> None:
    """A head that does not look like one is refused as such."""
    ran = told.run("history", "verify", "--expect-head", text)
    assert ExitCode.USAGE == ran.code
    assert "This is not a head" in ran.err


def test_a_head_of_another_history_is_not_there(told: Shop) -> None:
    """A head that somebody kept and that no line has is a cut or rewritten tail."""
    ran = told.run("history", "verify", "--expect-head", f"2-{'0' * 64}")
    assert ExitCode.ERROR == ran.code
    assert "the head that you named" in ran.err


# What is done to which run's lines, and what verify says about it.
TAMPERING: dict[str, tuple[int, Callable[[list[str]], list[str]], str]] = {
    "a flipped byte": (
        1,
        lambda lines: [lines[0].replace("apply", "applx"), *lines[1:]],
        "run 1, line 2 does not follow the line before it",
    ),
    "a dropped line": (1, lambda lines: lines[:1] + lines[2:], "run 1, line 2 does not follow the line before it"),
    "two swapped lines": (
        1,
        lambda lines: [lines[0], lines[2], lines[1], *lines[3:]],
        "run 1, line 2 says that it is run 1, line 3",
    ),
    "a line that is none": (1, lambda lines: [lines[0], "{", *lines[1:]], "run 1, line 2 cannot be read"),
    "an added line": (1, lambda lines: [*lines, lines[-1]], "does not follow the line before it"),
    "a cut tail of an earlier run": (1, lambda lines: lines[:-1], "run 2, line 1 does not follow the line before it"),
    "a cut tail of the last run": (2, lambda lines: lines[:-1], "the head that the state named"),
    "an emptied last run": (2, lambda lines: [], "the head that the state named"),
    "a changed last line": (
        2,
        lambda lines: [*lines[:-1], lines[-1].replace("done", "dona")],
        "the head that the state named",
    ),
}


@pytest.mark.parametrize("kind", TAMPERING)
def test_every_change_of_the_history_is_found(told: Shop, kind: str) -> None:
    """A changed, dropped, swapped, added or cut line is found and named, and nothing is repaired behind one's back."""
    number, change, says = TAMPERING[kind]
    rewritten(run_file(told, number), change)
    before = run_file(told, number).read_bytes()
    ran = told.run("history", "verify")
    assert ExitCode.ERROR == ran.code
    assert "The history does not hold" in ran.err
    assert says in ran.err
    assert before == run_file(told, number).read_bytes()


@pytest.mark.parametrize("number", [1, 2])
def test_a_missing_run_is_found(told: Shop, number: int) -> None:
    """Without the document of a run the head of the state is not there."""
    run_file(told, number).unlink()
    ran = told.run("history", "verify")
    assert ExitCode.ERROR == ran.code
    assert "the head that the state named" in ran.err


def test_a_tail_cut_with_the_state_is_found_by_the_head_that_was_kept(told: Shop) -> None:
    """Who rewrites history and state together is found against a head kept elsewhere, and only so."""
    kept = head(told)
    first = json.loads(run_file(told, 2).read_text(encoding="utf-8").splitlines()[0])
    cut = json.loads(told.state.read_text(encoding="utf-8")) | {"historyHead": f"1-{first['prev']}"}
    run_file(told, 2).unlink()
    told.state.write_text(json.dumps(cut), encoding="utf-8")
    # The state's own digest does not stop who can compute it; a push does so here.
    assert 0 == told.run("state", "push", str(told.state)).code
    assert 0 == told.run("history", "verify").code
    ran = told.run("history", "verify", "--expect-head", kept)
    assert ExitCode.ERROR == ran.code
    assert f"the head that you named, {kept}, is not there: the tail was cut or rewritten" in ran.err


def test_a_run_that_ended_before_its_state_is_unfinished_and_no_tampering(told: Shop) -> None:
    """Lines after the state's head are told as of a run that was killed; the next run goes on after them."""
    before = told.state.read_bytes()
    told.models(model("alpha", epochs=5), model("beta"), model("gamma"), model("delta"))
    told.apply()
    lines = len(run_file(told, 3).read_text(encoding="utf-8").splitlines())
    told.state.write_bytes(before)
    ran = told.run("history", "verify")
    assert 0 == ran.code
    assert f"The last {lines} lines are of a run that ended before it wrote the state." in ran.err
    assert 0 == told.apply().code
    again = told.run("history", "verify")
    assert (0, True) == (again.code, "in 4 runs" in again.out)
    assert "ended before" not in again.err


def test_a_run_that_was_killed_is_ended_by_the_next(told: Shop) -> None:
    """A killed run is told as abandoned, which keeps anything from being added to it behind what follows."""
    rewritten(run_file(told, 2), lambda lines: lines[:-1])
    killed = json.loads(run_file(told, 2).read_text(encoding="utf-8").splitlines()[-1])
    document = json.loads(told.state.read_text(encoding="utf-8")) | {"historyHead": f"2-{killed['prev']}"}
    told.state.write_text(json.dumps(document), encoding="utf-8")
    assert 0 == told.run("state", "push", str(told.state)).code
    second, third = told.run("history").out.split("\n\n")[1:]
    assert second.endswith("ended: abandoned")
    assert third.startswith("run 3  state push")
    assert 0 == told.run("history", "verify").code


def test_a_damaged_tail_stops_an_apply(told: Shop) -> None:
    """Nothing can follow a line that cannot be read: apply says so before it submits anything, and names verify."""
    run_file(told, 2).write_text("{", encoding="utf-8")
    told.models(model("alpha", epochs=5), model("beta"), model("gamma"), model("delta"))
    ran = told.apply()
    assert ExitCode.ERROR == ran.code
    assert "The history is damaged" in ran.err
    assert "tuneform history verify" in ran.err
    assert ["alpha", "alpha", "beta", "gamma"] == told.jobs()


def test_a_line_that_cannot_be_read_is_shown_as_such(told: Shop) -> None:
    """History shows what is there, and hides no line."""
    rewritten(run_file(told, 1), lambda lines: [lines[0], "{", *lines[1:]])
    assert "(a line that cannot be read)" in told.run("history").out
    assert None is told.run("history", "--json").document["runs"][0][1]


def test_without_a_state_there_is_no_history(shop: Shop) -> None:
    """Before the first apply there is nothing to show or verify."""
    for words in (("history",), ("history", "verify")):
        ran = shop.run(*words)
        assert (ExitCode.USAGE, True) == (ran.code, "There is no state yet" in ran.err)
