"""The command line in processes of its own: terminals, signals, kills, broken pipes and the served simulator."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.harness import REAL_TIME, ROOT, Shop, environment, model
from tests.cli.terminals import Terminal, in_terminal, screen

PATIENCE_S = 30.0
# A job of a quarter of an hour takes a third of a second.
BRISK = 3000


@contextmanager
def apply_in_terminal(shop: Shop, *words: str, **env: str) -> Iterator[Terminal]:
    """`tuneform apply` on a terminal, where it asks."""
    given = environment(**env)
    with in_terminal(shop.words("apply", *words), env=given, cwd=shop.root, columns=100) as terminal:
        yield terminal


# ---- the question


@pytest.mark.parametrize("words", [("apply",), ("destroy",), ("retry", "alpha"), ("cancel", "alpha")])
def test_without_a_terminal_and_a_yes_nothing_is_begun(shop: Shop, words: tuple[str, ...]) -> None:
    """Where nobody can be asked, the command refuses before it reads or makes anything, exit 64."""
    process = shop.start(*words)
    out, err = process.communicate(timeout=PATIENCE_S)
    assert (64, "") == (process.returncode, out)
    assert "Nobody can be asked" in err
    assert not shop.world.exists()


def test_yes_applies_and_leaves_no_table_on_the_screen(shop: Shop) -> None:
    """On a terminal the plan is asked about; a table shows the work and is gone at the end."""
    shop.stack(speed=BRISK)
    with apply_in_terminal(shop) as terminal:
        terminal.until("Only yes is accepted: ")
        assert not shop.state.exists()
        terminal.type("yes\n")
        assert 0 == terminal.end()
    assert "slots [##] 2 of 2 used" in terminal.seen
    shown = screen(terminal.seen)
    assert [] == [line for line in shown if "slots [" in line]
    assert "3 models: 3 succeeded." in shown
    # The queue is the table's to show; only what happened stays as a line.
    told = [line[9:] for line in shown if line[2:3] == ":" and line[5:6] == ":"]
    assert [] == [line for line in told if "queued" in line or "pending" in line]
    assert 3 == len([line for line in told if ": succeeded" in line])


@pytest.mark.parametrize("answer", ["no\n", "y\n", "YES\n", "\n", "\x04"])
def test_anything_but_yes_does_nothing(shop: Shop, answer: str) -> None:
    """No, an abbreviation, an empty line or the end of input: nothing is done, exit 1."""
    with apply_in_terminal(shop) as terminal:
        terminal.until("Only yes is accepted: ")
        terminal.type(answer)
        assert 1 == terminal.end()
    assert "Nothing was done." in terminal.seen
    assert ([], False) == (shop.jobs(), shop.state.exists())


def test_ctrl_c_at_the_question_does_nothing(shop: Shop) -> None:
    """Interrupting the question ends in 4 without a traceback and without a state."""
    with apply_in_terminal(shop) as terminal:
        terminal.until("Only yes is accepted: ")
        terminal.type("\x03")
        assert 4 == terminal.end()
    assert "Traceback" not in terminal.seen
    assert ([], False) == (shop.jobs(), shop.state.exists())


def test_a_plan_that_moved_while_it_was_asked_about_is_not_applied(shop: Shop) -> None:
    """What somebody else did between the plan and the yes makes the yes worth nothing: exit 7, nothing done."""
    with apply_in_terminal(shop) as terminal:
        terminal.until("Only yes is accepted: ")
        assert 0 == shop.apply("--target", "alpha").code
        terminal.type("yes\n")
        assert 7 == terminal.end()
    assert ["alpha"] == shop.jobs()


# ---- what a terminal gets


@pytest.mark.parametrize(
    ("env", "coloured", "drawn_over"),
    [
        ({}, True, True),
        ({"NO_COLOR": "1"}, False, True),
        ({"NO_COLOR": ""}, True, True),
        ({"TERM": "dumb"}, False, False),
        ({"TERM": "dumb", "FORCE_COLOR": "1"}, True, False),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, False, True),
    ],
)
def test_colour_and_cursor_follow_the_environment(
    shop: Shop, env: dict[str, str], coloured: bool, drawn_over: bool
) -> None:
    """NO_COLOR wins over FORCE_COLOR, and a dumb terminal is not drawn over."""
    shop.models(model("alpha"))
    with apply_in_terminal(shop, "--auto-approve", **env) as terminal:
        assert 0 == terminal.end()
    assert coloured == ("\x1b[32m" in terminal.seen)
    assert drawn_over == ("\x1b[J" in terminal.seen)


@pytest.mark.parametrize(("env", "coloured"), [({}, False), ({"FORCE_COLOR": "1"}, True)])
def test_a_pipe_gets_plain_lines(shop: Shop, env: dict[str, str], coloured: bool) -> None:
    """Without a terminal nothing is drawn over, wrapped or cut, and colour comes only when it is forced."""
    long = "a-name-that-is-rather-long-for-a-terminal-of-eighty-columns"
    shop.models(model(long))
    ran = subprocess.run(
        shop.words("apply", "--auto-approve"),
        env=environment(COLUMNS="40", **env),
        cwd=shop.root,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    everything = ran.stdout + ran.stderr
    assert "\x1b[J" not in everything
    assert coloured == ("\x1b[" in everything)
    assert [] == [line for line in everything.splitlines() if "…" in line]
    assert f"{long}: submitted" in ran.stderr
    assert "/metadataStores/default/contexts/tuning-experiment-" in ran.stdout


@pytest.mark.parametrize("columns", [70, 80, 160])
def test_what_is_read_fits_the_terminal(shop: Shop, columns: int) -> None:
    """On a terminal no line of a plan, status or queue runs over its edge, whatever its width."""
    names = [f"a-classifier-of-middling-length-{number}" for number in range(4)]
    shop.models(*(model(name) for name in names[:3]))
    shop.apply()
    # Some tuned, one running, one to be replaced, some waiting.
    shop.stack(speed=REAL_TIME, slots=1)
    shop.models(model(names[0], epochs=3), model(names[1], epochs=4), *(model(name) for name in names[2:]))
    shop.apply("--no-wait", "--allow-retrain", "2")
    shop.models(model(names[0], epochs=5), *(model(name, epochs=4) for name in names[1:]))
    for command in ("plan", "status", "queue"):
        with in_terminal(shop.words(command), env=environment(), cwd=shop.root, columns=columns) as terminal:
            assert 0 == terminal.end()
        shown = screen(terminal.seen)
        assert [] == [line for line in shown if len(line) > columns and "tuneform " not in line]
        assert names[0] in "".join(shown)


# ---- signals and kills


def lines_until(process: subprocess.Popen[str], text: str) -> list[str]:
    """The lines of stderr up to one that holds the text."""
    assert process.stderr is not None
    lines: list[str] = []
    while not lines or text not in lines[-1]:
        line = process.stderr.readline()
        assert line, f"{text!r} never came:\n{''.join(lines)}"
        lines.append(line)
    return lines


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_stops_submitting_and_leaves_jobs_alone(shop: Shop, number: signal.Signals) -> None:
    """The first Ctrl-C or SIGTERM ends an apply cleanly, exit 4: what runs goes on, what waits stays queued."""
    shop.stack(speed=REAL_TIME, slots=1)
    process = shop.start("apply", "--auto-approve")
    lines_until(process, "beta: queued")
    process.send_signal(number)
    out, err = process.communicate(timeout=PATIENCE_S)
    assert 4 == process.returncode
    assert "Stopping: nothing more is submitted, jobs go on." in err
    assert "1 job running on, 2 queued in the state. The next apply goes on from here:" in err
    assert "1 pending, 2 queued" in out or "2 queued, 1 pending" in out
    assert {"alpha": "pending", "beta": "queued", "gamma": "queued"} == shop.phases()
    shop.stack(slots=1)
    assert 0 == shop.apply().code
    assert ["alpha", "beta", "gamma"] == shop.jobs()


def test_ctrl_c_on_a_terminal_leaves_a_clean_screen(shop: Shop) -> None:
    """The table goes when Ctrl-C comes; what was said stays, each line once."""
    shop.stack(speed=REAL_TIME, slots=1)
    with apply_in_terminal(shop, "--auto-approve") as terminal:
        terminal.until("2 queued, 1 pending.")
        terminal.type("\x03")
        assert 4 == terminal.end()
    shown = screen(terminal.seen)
    assert [] == [line for line in shown if "slots [" in line]
    assert 1 == len([line for line in shown if "Stopping: nothing more is submitted, jobs go on." in line])
    assert 1 == len([line for line in shown if "alpha: submitted" in line])


@pytest.mark.parametrize("lines", [1, 2, 4, 6])
def test_a_killed_apply_is_taken_up_by_the_next(shop: Shop, lines: int) -> None:
    """Killed wherever it was, an apply leaves a sound state, and the next one tunes nothing twice."""
    shop.stack(speed=BRISK)
    process = shop.start("apply", "--auto-approve")
    assert process.stderr is not None
    for _ in range(lines):
        process.stderr.readline()
    process.kill()
    process.communicate(timeout=PATIENCE_S)
    assert -signal.SIGKILL == process.returncode
    shop.stack()
    for _ in range(3):
        shop.apply()
    assert {"alpha": "succeeded", "beta": "succeeded", "gamma": "succeeded"} == shop.phases()
    assert ["alpha", "beta", "gamma"] == shop.jobs()


def test_only_one_applies_at_a_time(shop: Shop) -> None:
    """While one apply works, another is refused with exit 6 and told who; reading goes on."""
    shop.stack(speed=REAL_TIME, slots=1)
    process = shop.start("apply", "--auto-approve")
    lines_until(process, "beta: queued")
    refused = shop.apply("--target", "alpha")
    assert (6, True) == (refused.code, f"(process {process.pid}) holds {shop.state}" in refused.err)
    assert {"alpha": "pending", "beta": "queued", "gamma": "queued"} == shop.phases()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE_S)


# ---- pipes


@pytest.mark.parametrize(
    "words", [("version",), ("--help",), ("plan", "--help"), ("plan",), ("plan", "--json"), ("catalogue",), ("schema",)]
)
def test_a_reader_that_went_away_is_no_traceback(shop: Shop, words: tuple[str, ...]) -> None:
    """`… | head -1` ends quietly."""
    with_stack = [*words, "--manifests", str(shop.manifests)] if words[0] == "plan" else list(words)
    read, write = os.pipe()
    os.close(read)
    ran = subprocess.run(
        [sys.executable, "-m", "reconciler", *with_stack],
        env=environment(),
        cwd=ROOT,
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    os.close(write)
    assert (1, "") == (ran.returncode, ran.stderr)


# ---- the served simulator


@contextmanager
def served(shop: Shop, speed: float, *more: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`tuneform simulator` on a free port: the process and its URL; killed at the end if it still runs."""
    words = ["simulator", "--port", "0", "--world", str(shop.root / "served.json"), "--speed", str(speed)]
    process = subprocess.Popen(
        [sys.executable, "-m", "reconciler", *words, "--quota", "2", *more],
        env=environment(),
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert "http://127.0.0.1:" in line, line
        yield process, next(word for word in line.split() if word.startswith("http://"))
    finally:
        process.kill()
        process.communicate()


def test_tuneform_drives_a_served_simulator(shop: Shop) -> None:
    """Over plain http to this machine, apply to status work as against Vertex AI; Ctrl-C ends the server in 0."""

    def run(*words: str) -> tuple[int, str]:
        process = shop.start(*words, env=given)
        out, _ = process.communicate(timeout=PATIENCE_S)
        return process.returncode, out

    with served(shop, 100_000) as (server, url):
        given = environment(TUNEFORM_ENDPOINT=url, TUNEFORM_ACCESS_TOKEN="any")
        code, out = run("apply", "--auto-approve")
        assert (0, True) == (code, url in out)
        code, out = run("status", "--json")
        assert ["succeeded"] * 3 == [one["phase"] for one in json.loads(out)["models"]]
        server.send_signal(signal.SIGINT)
        assert 0 == server.wait(PATIENCE_S)
    assert (shop.root / "served.json").exists()


def test_a_second_signal_ends_at_once(shop: Shop) -> None:
    """Where the service hangs, the first Ctrl-C is answered at once and the second ends the command, exit 4."""
    with served(shop, 100, "--fault", "slow_after=1", "--fault", "slow_s=60") as (_, url):
        given = environment(TUNEFORM_ENDPOINT=url, TUNEFORM_ACCESS_TOKEN="any")
        process = shop.start("apply", "--auto-approve", env=given)
        # Told before the creates are sent, the first of which is answered after a minute.
        lines_until(process, "gamma: queued")
        process.send_signal(signal.SIGINT)
        lines_until(process, "Stopping: nothing more is submitted, jobs go on.")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE_S)
    assert (4, "Stopped at once. Jobs go on; the next run picks everything up.\n") == (process.returncode, err)


def test_the_world_file_of_a_server_may_not_be_a_folder(shop: Shop, tmp_path: Path) -> None:
    """A world that cannot be kept is said at once."""
    ran = shop.run_bare("simulator", "--port", "0", "--world", str(tmp_path))
    assert 64 == ran.code
    assert "is a directory" in ran.err
