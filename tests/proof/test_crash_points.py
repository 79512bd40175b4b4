"""Every crash point: an apply is killed before and after each thing it changes, started again, and its jobs counted.

A schedule says at which moment each life ends; the last life is not killed. One killed life in all its moments runs
always, two killed lives in all pairs of moments with `-m long`, a sample of the pairs always.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from reconciler.model.desired import Desired, DesiredModel
from reconciler.model.labels import NONCE
from reconciler.state.unseen import SETTLE_TIME
from tests.proof.project import Project, Step, T, apply, models, problems, stack_of

SAMPLED_PAIRS = 8
# Its first job fails by chance, and no other of the first dozen does.
FIRST_JOB_FAILS_SEED, FAILURE_RATE = 41, 0.1


class Killed(BaseException):
    """The process ends here; no Exception, so that no error handling survives its own death."""


@dataclass(slots=True)
class Mortal:
    """A process that dies at its Nth moment: right before or right after a change. None: it never does.

    To die while it waits is to die after the change before.
    """

    dies_at: int | None
    moments: int = 0
    is_dead: bool = False

    def __call__(self, step: Step, act: Callable[[], T]) -> T:
        """The step, unless this is the end."""
        if not step.changes or step.thing == "clock":
            return act()
        self._live_on()
        result = act()
        self._live_on()
        return result

    def _live_on(self) -> None:
        self.moments += 1
        self.is_dead = self.is_dead or self.moments == self.dies_at
        if self.is_dead:
            raise Killed


@dataclass(frozen=True, slots=True)
class Scene:
    """What stands when the killed apply begins, and what it is to do."""

    name: str
    desired: Desired
    before: Desired | None = None
    seed: int = 0
    failure_rate: float = 0.0
    faults: dict[str, float] = field(default_factory=dict)

    def project(self) -> Project:
        """The project, with what was applied before running."""
        project = Project(seed=self.seed, failure_rate=self.failure_rate)
        if self.before is not None:
            apply(project, self.before, wait=False)
            project.clock.advance(timedelta(minutes=10))
        project.simulator.set_faults(**self.faults)
        return project


def three() -> tuple[DesiredModel, ...]:
    """More models than slots."""
    return models("alpha", "beta", "gamma")


ACTIONS = {
    "new": Scene("new", stack_of(three())),
    "replace": Scene(
        "replace",
        stack_of((*models("alpha", epochs=2), *models("beta"))),
        before=stack_of(models("alpha")),
    ),
    "retry": Scene(
        "retry",
        stack_of((*models("alpha", retries=1), *models("beta"))),
        seed=FIRST_JOB_FAILS_SEED,
        failure_rate=FAILURE_RATE,
    ),
}
# The settle time is 300 s: a shorter lag must cost nothing, a longer one must not leave a second job.
FAULTS: dict[str, dict[str, float]] = {
    "none": {},
    "lag": {"list_lag_s": 200},
    "long-lag": {"list_lag_s": 700},
    "lost": {"lost_create_answers": 2},
    "lag+lost": {"list_lag_s": 200, "lost_create_answers": 2},
    "long-lag+lost": {"list_lag_s": 700, "lost_create_answers": 2},
}
SCENES = [
    Scene(f"{name}, {fault}", scene.desired, scene.before, scene.seed, scene.failure_rate, faults)
    for name, scene in ACTIONS.items()
    for fault, faults in FAULTS.items()
]


def live(project: Project, desired: Desired, dies_at: int | None) -> Mortal:
    """One life; whether and when it was killed is in what is returned."""
    mortal = Mortal(dies_at)
    try:
        apply(project, desired, mortal)
    except Killed:
        assert mortal.is_dead
    return mortal


def run(scene: Scene, *deaths: int) -> tuple[Project, list[Mortal]]:
    """The project after lives that died at these moments, and one that did not."""
    project = scene.project()
    lives = [live(project, scene.desired, dies_at) for dies_at in (*deaths, None)]
    if scene.faults.get("list_lag_s", 0.0) > SETTLE_TIME.total_seconds():
        # What no list shows after the settle time is not waited for; the next applies see to it, as in a CI schedule.
        for _ in range(5):
            project.clock.advance(timedelta(minutes=6))
            live(project, scene.desired, None)
    return project, lives


def verdict(scene: Scene, *deaths: int) -> list[str]:
    """What is wrong after this schedule, with the schedule, so that a failure can be repeated."""
    project, _ = run(scene, *deaths)
    return [f"{scene.name}, killed at {deaths}: {problem}" for problem in problems(project, scene.desired)]


def moments_of(scene: Scene, *deaths: int) -> int:
    """How many moments the life after these deaths has when nobody kills it."""
    project = scene.project()
    return [live(project, scene.desired, dies_at).moments for dies_at in (*deaths, None)][-1]


def all_pairs(scene: Scene) -> Iterator[tuple[int, int]]:
    """Every moment of a first life with every moment of the one after it."""
    for first in range(1, moments_of(scene) + 1):
        yield from ((first, second) for second in range(1, moments_of(scene, first) + 1))


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_a_kill_at_any_moment_costs_nothing(scene: Scene) -> None:
    """Killed before or after any change and started again, it leaves one job for each attempt, and all succeed."""
    moments = moments_of(scene)
    assert moments > 20
    assert [] == [one for dies_at in range(1, moments + 1) for one in verdict(scene, dies_at)]


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_two_kills_cost_nothing(scene: Scene) -> None:
    """The same where the second life is killed, too: a sample of all pairs of moments, the same in every run."""
    moments = moments_of(scene)
    chance = random.Random(scene.name)
    sample = [(chance.randint(1, moments), chance.randint(1, moments)) for _ in range(SAMPLED_PAIRS)]
    assert [] == [one for deaths in sample for one in verdict(scene, *deaths)]


@pytest.mark.long
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_two_kills_at_any_moments_cost_nothing(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    """The same for all pairs of moments."""
    schedules, doubled, wrong = 0, 0, list[str]()
    for deaths in all_pairs(scene):
        project, _ = run(scene, *deaths)
        schedules += 1
        doubled += has_duplicate(project)
        wrong += [f"killed at {deaths}: {problem}" for problem in problems(project, scene.desired)]
    with capsys.disabled():
        sys.stdout.write(
            f"\n{scene.name}: {schedules} schedules, a second job made in {doubled}, {len(wrong)} problems\n"
        )
    assert [] == wrong


def has_duplicate(project: Project) -> bool:
    """Whether the service ever made two jobs for one attempt."""
    made = [job["labels"][NONCE] for job in project.jobs()]
    return len(made) > len(set(made))
