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
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from reconciler.model.job import JobState
from reconciler.state.history import read_head, verify
from reconciler.state.records import Attempt, State
from tests.kill.arena import FAILING, PATIENCE_S, QUOTA, RETRIES, Arena, Job, Tally, arena, edit, fresh, strike

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


def check_whenever(here: Arena) -> None:
    """What must hold after every kill: a sound state, a history that verifies, and no job that nobody knows of."""
    jobs, state = here.jobs(), here.state()
    if state is None:
        assert [] == jobs
        return
    found = verify(here.runs(), covered=read_head(state.history_head))
    assert () == found.problems, here.said()
    known = {one.nonce for one in _attempts(state)} | {intent.nonce for intent in state.intents.values()}
    assert [] == [job["name"] for job in jobs if job["labels"]["tuneform-nonce"] not in known]
    assert {state.lineage} >= {job["labels"]["tuneform-owner"] for job in jobs}
    for address in _addresses(jobs):
        assert 1 >= len([job for job in jobs if _address(job) == address and _is_running(job)]), (address, here.said())


def check_at_the_end(here: Arena, tally: Tally) -> None:
    """What must hold once an apply has ended by itself: every wanted job was made once, is recorded, and has ended."""
    check_whenever(here)
    jobs, state = here.jobs(), here.state()
    assert state is not None
    assert {} == dict(state.intents)
    assert {} == dict(state.queue)
    assert [] == _running(jobs), here.said()
    assert sorted(job["name"] for job in jobs) == sorted(one.job for one in _attempts(state)), here.said()
    survivors = Counter(_mark(job) for job in jobs if job["state"] != JobState.CANCELLED)
    assert {} == {mark: number for mark, number in survivors.items() if number > 1}
    for name in here.epochs:
        record = state.records[name]
        wanted = [one for one in jobs if one["labels"]["tuneform-spec"] == record.current.fingerprint]
        states = Counter(job["state"] for job in wanted if job["state"] != JobState.CANCELLED)
        expected = {JobState.FAILED: RETRIES + 1} if name == FAILING else {JobState.SUCCEEDED: 1}
        assert (name, expected) == (name, dict(states)), here.said()
    assert QUOTA >= _most_at_once(jobs)
    tally.jobs += len(jobs)
    tally.duplicates += sum(number - 1 for number in Counter(_mark(job) for job in jobs).values())


def _running(jobs: Sequence[Job]) -> list[str]:
    return [job["name"] for job in jobs if "endTime" not in job]


def _attempts(state: State) -> list[Attempt]:
    return [one for part in (state.records, state.retired) for record in part.values() for one in record.attempts]


def _addresses(jobs: Sequence[Job]) -> set[str]:
    return {_address(job) for job in jobs}


def _address(job: Job) -> str:
    return str(job["labels"]["tuneform-name"])


def _is_running(job: Job) -> bool:
    return "endTime" not in job and job["state"] != JobState.CANCELLING


def _mark(job: Job) -> tuple[str, str, str]:
    """Address, fingerprint and attempt: what at most one job may survive of."""
    labels = job["labels"]
    return labels["tuneform-name"], labels["tuneform-spec"], labels["tuneform-attempt"]


def _most_at_once(jobs: Sequence[Job]) -> int:
    """How many jobs used the quota at one time."""
    steps = sorted([(job["createTime"], 1) for job in jobs] + [(job["endTime"], -1) for job in jobs])
    running, most = 0, 0
    for _, step in steps:
        running += step
        most = max(most, running)
    return most


def run_to_the_end(here: Arena, tally: Tally) -> None:
    """Applies until nothing is left to do or to wait for; one model fails by its nature, which is exit code 3."""
    for _ in range(APPLY_ENDS_WITHIN_RUNS):
        tally.runs += 1
        code = here.apply().wait(PATIENCE_S)
        if MODEL_FAILED == code and [] == _running(here.jobs()):
            return
        # An apply that finds nothing to submit leaves what runs to `wait`.
        here.start("wait").wait(PATIENCE_S)
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
