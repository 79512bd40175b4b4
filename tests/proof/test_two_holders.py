"""Two processes that apply one stack at once, each paused for any time at any step: one job is left for each attempt.

Both do what `tuneform apply` does, from waiting for the lease to giving it back. A pause may outlast the lease, so each
may go on after the other has taken over, with a create on its way, too. Orders of steps that differ only by steps which
do not meet are one schedule.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice

import pytest

from reconciler.errors import StateConflict, StateLocked
from reconciler.model.desired import Desired
from reconciler.state.unseen import SETTLE_TIME
from tests.builders import AT
from tests.proof.project import Perform, Project, Step, apply, models, problems, stack_of, survivors
from tests.proof.turns import Choose, Orders, Process, play

SAMPLED = 60
PLAYED_IN_ORDER = 40
# A pause of one stride outlasts the lease and the settle time both.
STRIDE = SETTLE_TIME + timedelta(seconds=10)
UNTIL = AT + timedelta(minutes=14)
# What a pause is worth, in steps of the other: now and then a whole apply.
BURSTS = (1, 1, 2, 3, 5, 8, 13, 21)


@dataclass(frozen=True, slots=True)
class Scene:
    """What the two find, and what goes wrong for them."""

    name: str
    desired: Desired
    before: Desired | None = None
    faults: dict[str, float] = field(default_factory=dict)

    def project(self) -> Project:
        """The project, with what was applied before running."""
        project = Project()
        if self.before is not None:
            apply(project, self.before, wait=False)
            project.clock.advance(timedelta(minutes=10))
        project.simulator.set_faults(**self.faults)
        return project


NEW = stack_of(models("alpha"))
SCENES = [
    Scene("new", NEW),
    Scene("lag", NEW, faults={"list_lag_s": 200}),
    Scene("lost", NEW, faults={"lost_create_answers": 1}),
    Scene("lag+lost", NEW, faults={"list_lag_s": 200, "lost_create_answers": 1}),
    Scene("replace", stack_of(models("alpha", epochs=2)), before=NEW),
]


@dataclass(slots=True)
class Tally:
    """What a series of schedules came to; a schedule is named by its turns."""

    schedules: int = 0
    doubled: int = 0
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.schedules} schedules, a second job made in {self.doubled}, {len(self.wrong)} problems"


def both(scene: Scene, project: Project) -> list[Process]:
    """One that applies in one pass, as in CI, and one that waits."""

    def in_one_pass(perform: Perform) -> object:
        return apply(project, scene.desired, perform, who="A", wait=False, stride=STRIDE)

    def waiting(perform: Perform) -> object:
        return apply(project, scene.desired, perform, who="B", until=UNTIL, stride=STRIDE)

    return [in_one_pass, waiting]


def judge(scene: Scene, choose: Choose, tally: Tally, name: str) -> None:
    """Plays one schedule, lets a third process finish what is left, and notes what is wrong."""
    project = scene.project()
    made_before = len(project.jobs())
    ends = play(both(scene, project), choose)
    if ends is None:
        return
    tally.schedules += 1
    tally.doubled += len(project.jobs()) - made_before > 1
    wrong = [f"ended by {end!r}" for end in ends if not isinstance(end, StateConflict | StateLocked | None)]
    # A cancel takes half a minute.
    project.clock.advance(timedelta(minutes=1))
    if not scene.faults.get("list_lag_s"):
        wrong += [f"at once, {count} jobs survive for {key}" for key, count in survivors(project).items() if count > 1]
    apply(project, scene.desired, who="C")
    wrong += problems(project, scene.desired)
    tally.wrong += [f"{scene.name}, {name}: {one}" for one in wrong]


def at_random(seed: int) -> Choose:
    """Turns in bursts, the same for the same seed."""
    chance = random.Random(seed)
    turns: list[int] = []

    def choose(steps: Mapping[int, Step]) -> int:
        if not turns or turns[-1] not in steps:
            turns[:] = [chance.choice(sorted(steps))] * chance.choice(BURSTS)
        return turns.pop()

    return choose


def in_order(scene: Scene, orders: Orders, tally: Tally) -> Iterator[None]:
    """Plays schedule after schedule."""
    for choose in orders:
        judge(scene, choose, tally, "turns made anew by Orders")
        yield


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_a_sample_of_all_orders_leaves_one_job(scene: Scene) -> None:
    """However two processes take turns, one job survives for each attempt, and the history holds."""
    tally = Tally()
    for seed in range(SAMPLED):
        judge(scene, at_random(seed), tally, f"seed {seed}")
    assert (SAMPLED, []) == (tally.schedules, tally.wrong)


def test_some_orders_make_a_second_job() -> None:
    """The sample is worth something: in some schedules the service does make two jobs, and one is ended."""
    tally = Tally()
    for seed in range(4 * SAMPLED):
        judge(SCENES[0], at_random(seed), tally, f"seed {seed}")
    assert tally.doubled > 0
