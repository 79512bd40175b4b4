"""Two processes that apply one stack at once, each paused for any time at any step: one job is left for each attempt.

Both do what `tuneform apply` does, from waiting for the lease to giving it back. A pause may outlast the lease, so each
may go on after the other has taken over, with a create on its way, too. Orders of steps that differ only by steps which
do not meet are one schedule.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from reconciler.errors import StateConflict, StateLocked
from reconciler.model.desired import Desired
from reconciler.state.unseen import SETTLE_TIME
from tests.proof.project import Perform, Project, Step, apply, models, problems, stack_of, survivors
from tests.proof.turns import Choose, Orders, Process, play

SAMPLED = 40
# More than either takes from the lease to its end.
STEPS_MAX = 45
# A pause of one stride outlasts the lease and the settle time both.
STRIDE = SETTLE_TIME + timedelta(seconds=10)
# How long the waiting one goes on looking; the short one keeps the number of orders within reach.
LONG, SHORT = timedelta(minutes=14), timedelta(minutes=1)
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
    """What a series of schedules came to. `doubled` counts those in which the service made a second job."""

    schedules: int = 0
    doubled: int = 0
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.schedules} schedules, a second job made in {self.doubled}, {len(self.wrong)} problems"


def both(scene: Scene, project: Project, waits: timedelta) -> list[Process]:
    """One that applies in one pass, as in CI, and one that goes on for a while."""
    until = project.clock.now() + waits

    def in_one_pass(perform: Perform) -> object:
        return apply(project, scene.desired, perform, who="A", wait=False, stride=STRIDE)

    def waiting(perform: Perform) -> object:
        return apply(project, scene.desired, perform, who="B", until=until, stride=STRIDE)

    return [in_one_pass, waiting]


def judge(scene: Scene, choose: Choose, tally: Tally, name: Callable[[], str], *, waits: timedelta = LONG) -> None:
    """Plays one schedule, lets a third process finish what is left, and notes what is wrong."""
    project = scene.project()
    made_before = len(project.jobs())
    ends = play(both(scene, project, waits), choose)
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
    tally.wrong += [f"{scene.name}, {name()}: {one}" for one in wrong]


def at_random(seed: int) -> Choose:
    """Turns in bursts, the same for the same seed."""
    chance = random.Random(seed)
    turns: list[int] = []

    def choose(steps: Mapping[int, Step]) -> int:
        if not turns or turns[-1] not in steps:
            turns[:] = [chance.choice(sorted(steps))] * chance.choice(BURSTS)
        return turns.pop()

    return choose


def paused_before_create(sleeper: int, steps: int) -> Choose:
    """The sleeper goes first, stands still before its first create for so many steps of the other, and goes on."""
    left = iter(range(steps))

    def choose(now: Mapping[int, Step]) -> int:
        other = 1 - sleeper
        is_paused = sleeper in now and now[sleeper].verb == "create"
        if sleeper not in now or (other in now and is_paused and next(left, None) is not None):
            return other
        return sleeper

    return choose


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_a_sample_of_all_orders_leaves_one_job(scene: Scene) -> None:
    """However two processes take turns, one job survives for each attempt, and the history holds."""
    tally = Tally()
    for seed in range(SAMPLED):
        judge(scene, at_random(seed), tally, lambda seed=seed: f"at_random({seed})")  # type: ignore[misc]
    assert (SAMPLED, []) == (tally.schedules, tally.wrong)


@pytest.mark.parametrize("sleeper", [0, 1])
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_a_create_on_its_way_for_any_time_leaves_one_job(scene: Scene, sleeper: int) -> None:
    """One is paused with its create on its way while the other takes over and gets any number of steps further."""
    tally = Tally()
    for steps in range(STEPS_MAX):
        judge(scene, paused_before_create(sleeper, steps), tally, lambda steps=steps: f"{steps} steps")  # type: ignore[misc]
    assert (STEPS_MAX, []) == (tally.schedules, tally.wrong)
    # Otherwise the pause was no danger, and nothing was shown. In one pass a replacement only cancels.
    assert (tally.doubled > 0) == ((scene.name, sleeper) != ("replace", 0))


@pytest.mark.long
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_every_order_leaves_one_job(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    """The same for every order of the steps of two processes that makes a difference, none left out."""
    tally, orders = Tally(), Orders()
    for choose in orders:
        judge(scene, choose, tally, lambda: f"turns {orders.turns()}", waits=SHORT)
    with capsys.disabled():
        sys.stdout.write(f"\n{scene.name}: {tally}\n")
    assert [] == tally.wrong
    assert tally.schedules > 1000
    assert tally.doubled > 0
