"""Random worlds keep every promise. A failing one is told as the fewest of its steps that still fail, and its seed."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from reconciler.model.desired import Priority
from tests.worlds.world import (
    DATASETS,
    LOCATIONS,
    Declare,
    Foreign,
    Interfere,
    Manifest,
    Pass,
    Quota,
    Remove,
    Rename,
    Run,
    Step,
    Weather,
    World,
)

NAMES = ("a", "b", "c", "d")
CHILDREN = ("kid", "cousin")
STEPS_MAX_COUNT = 22
WORLDS_COUNT = 40
MANY_WORLDS_COUNT = 2_000

Draw = Callable[[Random], Step]


def a_quota(random: Random) -> Quota:
    """Slots the project has, slots the manifests count on, what happens over quota, and our own cap."""
    return Quota(
        slots=random.randint(1, 3),
        told=random.randint(1, 3),
        over_quota=random.choice(("wait", "refuse")),
        max_slots=random.choice((None, None, 1)),
    )


def a_declaration(random: Random) -> Step:
    """Some manifest for some address."""
    manifest = Manifest(
        epochs=random.randint(1, 3),
        dataset=random.choice(DATASETS),
        location=random.choice(LOCATIONS),
        simulate=random.choice(("succeed", "succeed", "succeed", "fail", "fail-dataset")),
        retries=random.randint(0, 2),
        priority=random.choice(tuple(Priority)),
    )
    return Declare(random.choice(NAMES), manifest)


def a_child(random: Random) -> Step:
    """A model that is tuned on from one of the others."""
    return Declare(random.choice(CHILDREN), Manifest(epochs=random.randint(1, 2), parent=random.choice(NAMES[:2])))


def a_run(random: Random) -> Step:
    """A run that waits or not, and that may be killed at any of its first effects."""
    return Run(
        waits_minutes=random.choice((0, 0, 5, 25)),
        is_cautious=random.random() < 0.2,
        dies_at=random.choice((None, random.randint(1, 14))),
    )


def bad_weather(random: Random) -> Step:
    """Lists that lag, though never for as long as the settle time, lost answers and unreadable locations."""
    return Weather(
        list_lag_s=random.choice((0, 1, 30, 200, 290)),
        lost_create_answers=random.randint(0, 2),
        unread=random.choice((None, None, None, *LOCATIONS)),
    )


USUAL: tuple[tuple[int, Draw], ...] = (
    (22, a_declaration),
    (8, a_child),
    (32, a_run),
    (6, lambda random: Remove(random.choice((*NAMES, *CHILDREN)))),
    (6, lambda random: Rename(random.choice(NAMES), random.choice(NAMES))),
    (8, lambda random: Pass(random.choice((1, 4, 6, 20, 60)))),
    (4, lambda random: Foreign(random.choice(LOCATIONS), random.choice((3, 20, 90)))),
    (4, lambda random: Interfere(random.randint(0, 3), fails=random.random() < 0.5)),
)


def story(random: Random, kinds: tuple[tuple[int, Draw], ...]) -> list[Step]:
    """What happens, one thing after another; each kind of step as often as its weight says."""
    weights, draws = [weight for weight, _ in kinds], [draw for _, draw in kinds]
    return [draw(random) for draw in random.choices(draws, weights, k=random.randint(4, STEPS_MAX_COUNT))]


def calm(random: Random) -> list[Step]:
    """Nothing goes wrong but what people and kills do."""
    return story(random, USUAL)


def bad(random: Random) -> list[Step]:
    """The weather changes as often as anything else."""
    return story(random, (*USUAL, (10, bad_weather)))


def hidden(random: Random) -> list[Step]:
    """Every list is late by more than the settle time, and answers are lost."""
    lag_s = random.choice((310, 900))

    def lost_answers(random: Random) -> Step:
        return Weather(list_lag_s=lag_s, lost_create_answers=random.randint(0, 2))

    return [lost_answers(random), *story(random, (*USUAL, (10, lost_answers)))]


def problem(quota: Quota, steps: list[Step]) -> str | None:
    """The promise that such a world breaks; None where it keeps them all."""
    world = World(quota)
    try:
        for step in steps:
            world.take(step)
        world.settle()
    except AssertionError as error:
        return str(error)
    return None


def keeps_its_promises(seed: int, tell: Callable[[Random], list[Step]]) -> None:
    """Runs the world of a seed; fails with what is broken and the fewest steps that break something."""
    random = Random(seed)
    quota, steps = a_quota(random), tell(random)
    found = problem(quota, steps)
    if found is None:
        return
    for index in reversed(range(len(steps))):
        fewer = steps[:index] + steps[index + 1 :]
        still = problem(quota, fewer)
        if still is not None:
            steps, found = fewer, still
    pytest.fail("\n  ".join([f"seed {seed}: {found}", str(quota), *map(str, steps)]))


TELLERS = pytest.mark.parametrize("tell", [calm, bad, hidden])


@TELLERS
@pytest.mark.parametrize("seed", range(WORLDS_COUNT))
def test_worlds_keep_their_promises(tell: Callable[[Random], list[Step]], seed: int) -> None:
    """Manifests come, go and change, people interfere, processes die: every promise holds and all comes to rest."""
    keeps_its_promises(seed, tell)


@pytest.mark.long
@TELLERS
def test_thousands_of_worlds_keep_their_promises(tell: Callable[[Random], list[Step]]) -> None:
    """The same for thousands of worlds."""
    for seed in range(WORLDS_COUNT, WORLDS_COUNT + MANY_WORLDS_COUNT):
        keeps_its_promises(seed, tell)
