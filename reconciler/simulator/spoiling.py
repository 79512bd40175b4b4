"""A create on its way in and its answer on its way out -> the fault it meets there. Memory is the world's faults."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import assert_never

from reconciler.simulator import answers
from reconciler.simulator.answers import Delivery, Response
from reconciler.simulator.faults import AfterEffect, BeforeEffect, CreateFault, first_of
from reconciler.simulator.world import World


def before_create(world: World, project: str, location: str) -> Response | None:
    """What the client of a create gets that is to have no effect, None for one to carry out; raises Problem."""
    faults = world.faults
    match _met(world, BeforeEffect):
        case None:
            return None
        case BeforeEffect.REFUSE_PERMISSION:
            raise answers.permission_denied("aiplatform.tuningJobs.create", project)
        case BeforeEffect.REFUSE_INVALID:
            raise answers.invalid_fields([answers.Violation("tuning_job.base_model", "base_model is not supported.")])
        case BeforeEffect.REFUSE_ACCELERATOR:
            raise answers.over_accelerators()
        case BeforeEffect.REFUSE_QUOTA:
            raise answers.over_quota()
        case BeforeEffect.REFUSE_RATE:
            raise answers.over_rate(location, retry_after_s=faults.retry_after_s or None)
        case BeforeEffect.FAIL:
            raise answers.unavailable() if faults.fail_before % 2 else answers.internal("Internal error encountered.")
        case BeforeEffect.RESET:
            return Response(status=0, headers={}, body=b"", delivery=Delivery.RESET)
        case BeforeEffect.SLOW:
            return Response(status=0, headers={}, body=b"", delivery=Delivery.NOT_YET, delay_s=faults.slow_s)
        case never:
            assert_never(never)


def after_create(world: World, answer: Response) -> Response:
    """What the client of a create gets that took effect."""
    faults = world.faults
    match _met(world, AfterEffect):
        case None:
            return answer
        case AfterEffect.LOST:
            problem = answers.unavailable()
            return replace(answer, status=problem.status, body=json.dumps(problem.as_json()).encode())
        case AfterEffect.RESET:
            return replace(answer, delivery=Delivery.RESET)
        case AfterEffect.SLOW:
            return replace(answer, delivery=Delivery.LATE, delay_s=faults.slow_s)
        case AfterEffect.MALFORMED:
            return replace(answer, body=answer.body[: len(answer.body) // 2])
        case AfterEffect.TRUNCATED:
            return replace(answer, delivery=Delivery.TRUNCATED)
        case never:
            assert_never(never)


def _met(world: World, order: type[CreateFault]) -> CreateFault | None:
    met, left = first_of(world.faults, order)
    if met is not None:
        world.faults = left
        world.revision += 1
    return met
