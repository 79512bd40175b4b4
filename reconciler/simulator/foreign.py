"""Jobs of others: one on request, or a schedule by which they come. No I/O; memory is the World behind the engine.

The schedule is a Poisson process drawn from the world's seed: each job comes at its exact instant, whoever asks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timedelta

from reconciler.simulator.acceptance import accept
from reconciler.simulator.answers import Problem
from reconciler.simulator.engine import Engine
from reconciler.simulator.faults import drawn
from reconciler.simulator.world import Job, World, project_number

FOREIGN_BASE_MODEL = "gemini-2.5-flash"


def advance(engine: Engine, instant: datetime) -> None:
    """Let everything happen that happens until then, then included, foreign jobs that come by then among it."""
    while (comes_at := _next_at(engine.world)) is not None and comes_at <= instant:
        engine.advance_to(comes_at)
        _arrive(engine, comes_at)
    engine.advance_to(instant)


def create_foreign_job(
    engine: Engine, project: str, location: str, *, base_model: str, labels: Mapping[str, str], duration_s: int | None
) -> Job:
    """A job as somebody else would make it, now; raises Problem where the service would refuse it."""
    asked = {
        "baseModel": base_model,
        "labels": dict(labels),
        "supervisedTuningSpec": {"trainingDatasetUri": "gs://somebody-elses-bucket/train.jsonl"},
    }
    accepted = accept(engine, location, asked)
    parent = f"projects/{project_number(project)}/locations/{location}"
    return engine.create_job(parent, accepted.base_model, accepted.spec, duration_s=duration_s)


def _next_at(world: World) -> datetime | None:
    if world.faults.foreign_per_hour <= 0:
        return None
    if world.foreign_at is None:
        world.foreign_at = world.at + _gap(world)
        world.revision += 1
    return world.foreign_at


def _arrive(engine: Engine, instant: datetime) -> None:
    world, faults = engine.world, engine.world.faults
    span_s = faults.foreign_max_s - faults.foreign_min_s + 1
    duration_s = faults.foreign_min_s + int(drawn(world.seed, "foreign duration", world.foreign_count) * span_s)
    place = int(drawn(world.seed, "foreign location", world.foreign_count) * len(faults.foreign_locations))
    world.foreign_count += 1
    world.foreign_at = instant + _gap(world)
    world.revision += 1
    try:
        create_foreign_job(
            engine,
            faults.foreign_project,
            faults.foreign_locations[place],
            base_model=FOREIGN_BASE_MODEL,
            labels={"team": "somebody-else"},
            duration_s=duration_s,
        )
    except Problem:
        # Over quota the service refuses others as it refuses us, and they go away.
        return


def _gap(world: World) -> timedelta:
    chance = drawn(world.seed, "foreign gap", world.foreign_count)
    return timedelta(hours=-math.log(1 - chance) / world.faults.foreign_per_hour)
