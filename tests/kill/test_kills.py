"""The real command, killed at random moments and run again, against a Vertex AI in another process.

    python -m pytest tests/kill -m long                 400 kills
    TUNEFORM_KILLS=1000 TUNEFORM_KILL_SEED=7 python -m pytest tests/kill -m long

The seed decides what is killed when and how; what the kill meets depends on the machine as well.
"""

from __future__ import annotations

import os
import random
import sys
import time
from pathlib import Path

import pytest

from tests.kill.arena import PATIENCE_S, Arena, Tally, arena, check_at_the_end, check_whenever, edit, fresh, strike

KILLS_MOST_A_STACK = 6
APPLY_ENDS_WITHIN_RUNS = 3
# What goes wrong beside the kills, a line for each stack in turn.
FAULTS: tuple[tuple[str, ...], ...] = (
    (),
    ("lost_create_answers=2",),
    ("list_lag_s=120",),
    ("fail_before=1", "reset_after=1"),
    ("list_lag_s=120", "lost_create_answers=1", "reset_after=1"),
)
MODEL_FAILED = 3


def run_to_the_end(here: Arena, tally: Tally) -> None:
    """Applies until an apply has nothing left to do; one model fails by its nature, which is exit code 3."""
    for _ in range(APPLY_ENDS_WITHIN_RUNS):
        tally.runs += 1
        if MODEL_FAILED == here.apply().wait(PATIENCE_S):
            return
    raise AssertionError(here.said())


def kill_stack(here: Arena, tally: Tally, random_: random.Random, kills: int) -> None:
    """Kills applies of one stack so many times, checking after each; at times its manifests change in between."""
    killed = 0
    while killed < kills:
        tally.runs += 1
        ended = strike(here.apply(), here.state_file, random_)
        check_whenever(here)
        if ended is not None:
            killed += 1
            tally.kills[ended] += 1
        if ended is None or random_.random() < 0.25:
            edit(here, random_)
    run_to_the_end(here, tally)
    check_at_the_end(here, tally)
    # Nothing is left to do, and that is what the next plan says.
    assert 0 == here.start("plan", "--detailed-exitcode").wait(PATIENCE_S), here.said()


def kill(root: Path, kills: int, seed: int) -> Tally:
    """So many kills, over as many stacks as they take."""
    random_, tally, folders = random.Random(seed), Tally(), fresh(root)
    while tally.kills.total() < kills:
        wanted = min(kills - tally.kills.total(), random_.randint(1, KILLS_MOST_A_STACK))
        with arena(next(folders), FAULTS[tally.stacks % len(FAULTS)]) as here:
            kill_stack(here, tally, random_, wanted)
        tally.stacks += 1
    return tally


def test_killed_anywhere_every_model_is_tuned_once(tmp_path: Path) -> None:
    """However applies are ended, the next one goes on: each wanted job is made once, recorded, and none is lost."""
    tally = kill(tmp_path, kills=8, seed=8)
    assert 8 == tally.kills.total()


@pytest.mark.long
def test_killed_hundreds_of_times_every_model_is_tuned_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same for hundreds of kills, with a seed of its own each time."""
    seed = int(os.environ.get("TUNEFORM_KILL_SEED") or time.time())
    kills = int(os.environ.get("TUNEFORM_KILLS") or 400)
    with capsys.disabled():
        sys.stdout.write(f"\nseed {seed}\n")
        tally = kill(tmp_path, kills=kills, seed=seed)
        sys.stdout.write(f"{tally}\n")
    assert kills == tally.kills.total()
