"""Forecasts held against what came: a queue replayed with lengths that the forecast could not know.

The history of a project is drawn, then a queue of new jobs of the same kinds; the forecast sees the history and the
queue alone. Reported is the share of actual starts inside P10 to P90; starts that were certain do not count.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from random import Random

from bench.workload import START, Job, serve, ticket_of
from reconciler.durations import Durations, learn
from reconciler.forecast import Waiting, forecast
from reconciler.model.desired import Priority
from reconciler.model.fields import Fields
from reconciler.model.job import JobState, LiveJob
from reconciler.state.queue import CLASS_WORTH, queue_order

NOW = START

# Seconds for a million billable tokens and epoch; a job of a median dataset over two epochs takes an hour or two.
_RATES_S: Mapping[str, float] = {"gemini-2.5-flash": 900.0, "gemini-2.5-pro": 1800.0}
_SIGMA = 0.35
_TOKENS_MEDIAN, _TOKENS_SIGMA = 2_000_000, 0.8
_DATASETS = 8
_LINKED_SHARE = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """How a replay differs from what a forecast takes for granted.

    `overhead_s` is what every job takes beyond its work, `failure_share` of the jobs end early, `new_share` of the
    queue's datasets were never tuned on.
    """

    history: int = 40
    queue: int = 40
    slots: int = 2
    overhead_s: float = 0.0
    failure_share: float = 0.0
    new_share: float = 0.0


@dataclass(frozen=True, slots=True)
class _Drawn:
    fields: Fields
    tokens: int
    length_s: float


def covered(seed: int, world: World) -> tuple[int, int]:
    """Of one replayed queue: how many starts were inside the range that was told, and how many could have missed."""
    chance = Random(seed)
    sizes = [round(chance.lognormvariate(math.log(_TOKENS_MEDIAN), _TOKENS_SIGMA)) for _ in range(_DATASETS)]
    lessons = learn(_past_job(number, _draw(chance, world, sizes, 0.0)) for number in range(world.history))
    drawn = [_draw(chance, world, sizes, world.new_share) for _ in range(world.queue)]
    jobs = [_job(chance, world, number, one.length_s) for number, one in enumerate(drawn)]
    waiting = _waiting(jobs, {job.address: one.fields for job, one in zip(jobs, drawn, strict=True)}, lessons)
    expected = forecast(waiting, (), {"global": world.slots}, now=NOW)
    served = serve(jobs, world.slots, lambda tickets, slots, busy_s, now: queue_order(tickets))
    inside = counted = 0
    for one in expected:
        if one.start is None or one.start.p10 == one.start.p90:
            continue
        actual = NOW + timedelta(seconds=served.started_s[one.address])
        counted += 1
        inside += one.start.p10 <= actual <= one.start.p90
    return inside, counted


def _draw(chance: Random, world: World, sizes: Sequence[int], new_share: float) -> _Drawn:
    base, dataset, epochs = chance.choice(sorted(_RATES_S)), chance.randrange(_DATASETS), chance.choice((1, 2, 3, 4))
    tokens, uri = sizes[dataset], f"gs://demo-data/{dataset}.jsonl"
    if chance.random() < new_share:
        tokens, uri = round(chance.lognormvariate(math.log(_TOKENS_MEDIAN), _TOKENS_SIGMA)), "gs://demo-data/new.jsonl"
    work_s = _RATES_S[base] * tokens * epochs / 1e6
    fields: Fields = {"baseModel": base, "trainingDatasetUri": uri, "hyperParameters.epochCount": epochs}
    return _Drawn(fields, tokens, world.overhead_s + work_s * chance.lognormvariate(0.0, _SIGMA))


def _past_job(number: int, drawn: _Drawn) -> LiveJob:
    ended_at = NOW - timedelta(hours=number + 1)
    return LiveJob(
        name=f"projects/p/locations/us-central1/tuningJobs/{number}",
        location="us-central1",
        state=JobState.SUCCEEDED,
        created_at=ended_at - timedelta(seconds=drawn.length_s),
        started_at=ended_at - timedelta(seconds=drawn.length_s),
        ended_at=ended_at,
        fields=drawn.fields,
        billable_token_count=drawn.tokens,
    )


def _job(chance: Random, world: World, number: int, length_s: float) -> Job:
    parent = None if number == 0 or chance.random() >= _LINKED_SHARE else f"m{chance.randrange(number):04}"
    if chance.random() < world.failure_share:
        length_s *= chance.uniform(0.05, 1.0)
    return Job(
        address=f"m{number:04}",
        estimate_s=length_s,
        attempts_s=(length_s,),
        parent=parent,
        priority=chance.choice(tuple(Priority)),
    )


def _waiting(jobs: Sequence[Job], fields: Mapping[str, Fields], lessons: Durations) -> list[Waiting]:
    tickets = queue_order(ticket_of(job, NOW) for job in jobs)
    return [
        Waiting(
            address=one.address,
            needs={"global": 1},
            samples_s=lessons.samples_s(str(fields[one.address]["baseModel"]), fields[one.address]),
            after=one.parent,
            since=one.enqueued_at,
            credit=one.priority.rank * CLASS_WORTH,
        )
        for one in tickets
    ]
