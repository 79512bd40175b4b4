"""Random worlds keep every promise; a failing one is printed as the steps that lead there."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.model.desired import Priority
from reconciler.simulator.settings import OverQuota
from tests.worlds.world import (
    DATASETS,
    LOCATIONS,
    Declare,
    Foreign,
    Interfere,
    Manifest,
    Pass,
    Remove,
    Rename,
    Run,
    Step,
    Weather,
    World,
    run_world,
)

NAMES = ("a", "b", "c", "d")
CHILDREN = ("kid", "cousin")

manifests = st.builds(
    Manifest,
    epochs=st.integers(1, 3),
    dataset=st.sampled_from(DATASETS),
    location=st.sampled_from(LOCATIONS),
    simulate=st.sampled_from(("succeed", "succeed", "succeed", "fail", "fail-dataset")),
    retries=st.integers(0, 2),
    priority=st.sampled_from(Priority),
)
children = st.builds(Manifest, epochs=st.integers(1, 2), parent=st.sampled_from(NAMES[:2]))
declarations = st.builds(Declare, st.sampled_from(NAMES), manifests) | st.builds(
    Declare, st.sampled_from(CHILDREN), children
)
runs = st.builds(
    Run,
    waits_minutes=st.sampled_from((0, 0, 5, 25)),
    is_cautious=st.booleans(),
    dies_at=st.none() | st.integers(1, 14),
)
calm_weather = st.just(Weather())
bad_weather = st.builds(
    Weather,
    list_lag_s=st.sampled_from((0, 1, 30, 200, 290)),
    lost_create_answers=st.integers(0, 2),
    unread=st.sampled_from((None, None, None, *LOCATIONS)),
)
long_lags = st.builds(Weather, list_lag_s=st.sampled_from((310, 900)), lost_create_answers=st.integers(0, 2))
others: st.SearchStrategy[Step] = st.one_of(
    st.builds(Remove, st.sampled_from((*NAMES, *CHILDREN))),
    st.builds(Rename, st.sampled_from(NAMES), st.sampled_from(NAMES)),
    st.builds(Pass, st.sampled_from((1, 4, 6, 20, 60))),
    st.builds(Foreign, st.sampled_from(LOCATIONS), st.sampled_from((3, 20, 90))),
    st.builds(Interfere, st.integers(0, 3), st.booleans()),
)


def steps(weather: st.SearchStrategy[Weather]) -> st.SearchStrategy[list[Step]]:
    """Stories in which runs are as frequent as all else together."""
    return st.lists(st.one_of(declarations, runs, runs, others, weather), min_size=1, max_size=14)


def quotas() -> st.SearchStrategy[tuple[int, int, OverQuota, int | None]]:
    """Slots of the project, slots the manifests count on, what happens over quota, and our own cap."""
    modes: st.SearchStrategy[OverQuota] = st.sampled_from(("wait", "refuse"))
    return st.tuples(st.integers(1, 3), st.integers(1, 3), modes, st.sampled_from((None, None, 1)))


def a_world(quota: tuple[int, int, OverQuota, int | None]) -> World:
    """A new world with such a quota."""
    slots, told, over_quota, max_slots = quota
    return World(slots=slots, told=told, over_quota=over_quota, max_slots=max_slots)


@given(quotas(), steps(calm_weather))
@settings(max_examples=25)
def test_worlds_in_calm_weather(quota: tuple[int, int, OverQuota, int | None], story: list[Step]) -> None:
    """Manifests come, go and change, people interfere, processes die: every promise holds and all comes to rest."""
    run_world(a_world(quota), story)


@given(quotas(), steps(bad_weather))
@settings(max_examples=25)
def test_worlds_in_bad_weather(quota: tuple[int, int, OverQuota, int | None], story: list[Step]) -> None:
    """The same with lists that lag, answers that are lost and locations that cannot be read."""
    run_world(a_world(quota), story)


@given(quotas(), steps(long_lags))
@settings(max_examples=10)
def test_worlds_in_which_jobs_stay_hidden(quota: tuple[int, int, OverQuota, int | None], story: list[Step]) -> None:
    """Where lists lag longer than the settle time a second job may be made, and one is left in the end."""
    run_world(a_world(quota), story)


@pytest.mark.long
@given(quotas(), steps(calm_weather | bad_weather))
def test_many_worlds(quota: tuple[int, int, OverQuota, int | None], story: list[Step]) -> None:
    """Thousands of worlds in any weather short of lists that hide a job for too long."""
    run_world(a_world(quota), story)


@pytest.mark.long
@given(quotas(), steps(calm_weather | bad_weather | long_lags))
def test_many_worlds_in_which_jobs_stay_hidden(
    quota: tuple[int, int, OverQuota, int | None], story: list[Step]
) -> None:
    """Thousands of worlds in any weather."""
    run_world(a_world(quota), story)
