"""How long the waiting loop pauses: by the wanted idle share, and by how likely it is that a job ends."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.polling import adaptive, fixed, one_loop
from reconciler.polling import FIXED_S, LONGEST_S, SHORTEST_S, Watched, pause_s

HOUR_S = 3600.0
DAY_S = 24 * HOUR_S
MIDDLE = 0.5
# Half as long to half as long again, with a mean of 1.
SPREAD = tuple(math.exp(0.45 * z - 0.5 * 0.45**2) for z in (-1.6, -1.0, -0.7, -0.4, -0.1, 0.1, 0.4, 0.7, 1.0, 1.6))

samples = st.none() | st.lists(st.floats(1, 1e6), min_size=1, max_size=5)
watched = st.lists(st.builds(Watched, st.floats(0, 1e7), samples), max_size=5)


def lengths_s(mean_s: float) -> tuple[float, ...]:
    """Lengths around a mean."""
    return tuple(mean_s * each for each in SPREAD)


def pause_at(age_s: float, mean_s: float = HOUR_S, **changes: bool | float) -> float:
    """The pause, without jitter, beside one job of that age while another waits."""
    given_s = {"is_waiting": True, "jitter": MIDDLE} | changes
    return pause_s([Watched(age_s, lengths_s(mean_s))], **given_s)  # type: ignore[arg-type]  # a table of changes


@pytest.mark.parametrize("running", [[], [Watched(600.0, None)], [Watched(600.0, ()), Watched(5.0, (60.0, 70.0))]])
@pytest.mark.parametrize("is_waiting", [True, False])
def test_without_an_estimate_the_pause_is_fixed(running: list[Watched], is_waiting: bool) -> None:
    """Where the length of a running job is not known, or nothing runs, a look comes every 30 s."""
    assert FIXED_S == pause_s(running, is_waiting=is_waiting, jitter=MIDDLE)


@pytest.mark.parametrize(("jitter", "factor"), [(0.0, 0.8), (0.25, 0.9), (0.5, 1.0), (1.0, 1.2)])
@pytest.mark.parametrize("running", [[], [Watched(1800.0, lengths_s(HOUR_S))]])
def test_jitter_moves_the_pause_by_a_fifth(running: list[Watched], jitter: float, factor: float) -> None:
    """The number passed in moves a pause by up to 20 % either way."""
    still = pause_s(running, is_waiting=True, jitter=MIDDLE)
    assert pytest.approx(factor * still) == pause_s(running, is_waiting=True, jitter=jitter)


@pytest.mark.parametrize("length_s", [900.0, HOUR_S, 4 * HOUR_S])
def test_many_jobs_are_looked_at_by_the_wanted_idle_share(length_s: float) -> None:
    """With jobs of all ages the pause is 2 x idle share x mean length, so that slots stand idle for just that share."""
    lengths = lengths_s(length_s)
    # As many of each age as live to see it.
    ages = [age * length_s / 50 for age in range(150)]
    running = [Watched(age_s, lengths) for age_s in ages for each in lengths if each > age_s]
    pause = pause_s(running, is_waiting=True, jitter=MIDDLE, idle_share=0.01)
    assert pytest.approx(2 * 0.01 * length_s, rel=0.15) == pause


def test_a_young_job_is_looked_at_rarely_and_one_that_is_due_often() -> None:
    """The pause falls while an end becomes likelier, from minutes to well below half of that."""
    young, grown, due = (pause_at(share * HOUR_S) for share in (0.05, 0.5, 1.0))
    assert young > grown > due
    assert young > 90
    assert due < 40


def test_a_failure_may_come_at_any_age() -> None:
    """However sharp the estimate, a job that cannot have succeeded yet is looked at: it may have failed."""
    assert pause_s([Watched(0.0, (HOUR_S,) * 5)], is_waiting=True, jitter=MIDDLE) < 120


def test_a_job_older_than_all_before_is_still_watched() -> None:
    """A job that outlives every estimate by far may end any moment: it is looked at far more often than a young one."""
    assert SHORTEST_S <= pause_at(50 * HOUR_S) <= 0.6 * pause_at(0.05 * HOUR_S)


@pytest.mark.parametrize(("length_s", "expected"), [(120.0, SHORTEST_S), (20 * DAY_S, LONGEST_S)])
def test_pauses_stay_within_bounds(length_s: float, expected: float) -> None:
    """Jobs of minutes are not looked at without a break, and jobs of days not by the hour."""
    assert expected == pause_at(length_s, length_s)


def test_while_nobody_waits_there_is_no_hurry() -> None:
    """An end that frees a slot for nobody may be seen later."""
    assert SHORTEST_S == pause_at(300.0, 300.0)
    assert FIXED_S == pause_at(300.0, 300.0, is_waiting=False)


def test_a_stricter_share_looks_more_often() -> None:
    """Half of the idle share takes twice the looks."""
    assert pytest.approx(2.0) == pause_at(HOUR_S) / pause_at(HOUR_S, idle_share=0.0025)


@given(watched, st.booleans(), st.floats(0, 1, exclude_max=True))
def test_every_pause_is_a_sound_one(running: list[Watched], is_waiting: bool, jitter: float) -> None:
    """Whatever the ages and lengths, a pause is between 8 s and 12 min."""
    assert 0.8 * SHORTEST_S <= pause_s(running, is_waiting=is_waiting, jitter=jitter) <= 1.2 * LONGEST_S


@pytest.mark.parametrize(("every_s", "busy"), [(60.0, 0.9905), (30.0, 0.9949), (10.0, 0.9978)])
def test_the_measure_agrees_with_the_formula(every_s: float, busy: float) -> None:
    """Polled at a fixed interval, hour-long jobs keep a slot busy for 1 - (interval / 2 + create) / length."""
    assert pytest.approx(busy, abs=0.0012) == one_loop(4, 0.15, 20 * DAY_S, fixed(every_s)).busy


@pytest.mark.parametrize("sigma", [0.15, 0.45])
def test_one_slot_is_kept_busy_with_few_calls(sigma: float) -> None:
    """At the default quota, jobs of an hour: over 99 % busy with fewer than 200 calls an hour."""
    figures = one_loop(1, sigma, 20 * DAY_S, adaptive(sigma))
    assert figures.busy >= 0.99
    assert figures.calls < 200


def test_a_known_shape_saves_looks() -> None:
    """For the same idle time, looking when an end is likely takes far fewer looks than looking evenly."""
    figures = one_loop(1, 0.15, 20 * DAY_S, adaptive(0.15))
    even = one_loop(1, 0.15, 20 * DAY_S, fixed(30.0))
    assert figures.busy > even.busy - 0.001
    assert figures.pause_s > 1.4 * even.pause_s
