"""Guards around a create that only rare courses reach: the looks right before and after it, and whose retries count."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler.events import Kind
from reconciler.executor.cycle import Round
from reconciler.model.desired import Lifecycle
from reconciler.model.labels import NONCE
from reconciler.plan import only
from reconciler.state.records import Origin
from reconciler.state.unseen import SETTLE_TIME
from tests.builders import AT, PROJECT, a_model, a_stack, desired_of, minutes
from tests.worlds.service import Killed, Service

ALPHA = a_model("alpha")
DESIRED = desired_of(ALPHA, stack=a_stack())
HIDDEN_S = minutes(2 * 24 * 60).total_seconds()


def a_service_with_a_hidden_job(age: timedelta = SETTLE_TIME) -> Service:
    """A process has made the job of alpha so long ago, and died before it heard so; no list shows the job yet."""
    service = Service(concurrent_jobs=2)
    service.simulator.set_faults(list_lag_s=HIDDEN_S)

    def die(what: str) -> None:
        if what == "after create":
            raise Killed

    service.wire.on_effect = die
    with pytest.raises(Killed):
        service.apply(DESIRED)
    service.wire.on_effect = lambda what: None
    service.clock.advance(age + minutes(1))
    return service


def show_the_job_once(service: Service, moment: str) -> None:
    """From that moment on, while a create is announced in the state, lists show every job."""

    def on_effect(what: str) -> None:
        if what == moment and service.state.intents:
            service.simulator.set_faults()

    service.store.on_effect = service.wire.on_effect = on_effect


@pytest.mark.parametrize(("age", "state"), [(SETTLE_TIME, "running"), (minutes(24 * 60), "succeeded")])
def test_a_job_that_is_listed_right_before_the_create_is_adopted(age: timedelta, state: str) -> None:
    """A job of the same submission that appears after the intent was written is taken, and no second one is sent."""
    service = a_service_with_a_hidden_job(age)
    show_the_job_once(service, "after write")
    service.apply(DESIRED, wait=False)
    current = service.state.records["alpha"].current
    assert (1, [state]) == (len(service.wire.creates), service.states_of(service.own()))
    assert (service.own()[0]["name"], Origin.CREATED) == (current.job, current.origin)
    assert ["alpha"] == service.told(Kind.ADOPTED)


def test_a_running_job_of_another_submission_is_adopted_by_its_labels() -> None:
    """A running job of the same address and spec that no record names is taken, and trusted by its labels alone."""
    service = a_service_with_a_hidden_job()
    # An older state was put back, which knows of no submission at all.
    service.store.text = None
    show_the_job_once(service, "after write")
    service.apply(DESIRED, wait=False)
    current = service.state.records["alpha"].current
    assert (1, 1) == (len(service.wire.creates), len(service.own()))
    assert (service.own()[0]["name"], Origin.LABEL) == (current.job, current.origin)


def test_a_duplicate_that_the_create_reveals_is_ended_in_the_same_pass() -> None:
    """A run of one pass leaves no two jobs of one attempt behind once both are listed."""
    service = a_service_with_a_hidden_job()
    show_the_job_once(service, "after create")
    service.apply(DESIRED, wait=False)
    first, second = service.own()
    assert first["labels"][NONCE] == second["labels"][NONCE]
    assert [second["name"]] == service.wire.cancels
    assert first["name"] == service.state.records["alpha"].current.job


def test_a_run_retries_only_what_it_is_about() -> None:
    """A run for one address leaves the failed job of another alone, though a retry is declared for both."""
    service = Service(concurrent_jobs=2, stride=minutes(30))
    failing = [a_model(name, fields={"labels.simulate": "fail"}) for name in ("alpha", "beta")]
    service.apply(desired_of(*failing))
    desired = desired_of(*(replace(one, lifecycle=Lifecycle(retries=1)) for one in failing))
    planned = service.plan(desired)
    targeted = replace(planned, plan=only(planned.plan, frozenset({"alpha"}), ("alpha",)))
    service.apply(desired, targeted)
    assert {"alpha": 2, "beta": 1} == {name: len(one.attempts) for name, one in service.state.records.items()}


def test_a_slot_taken_where_nobody_watched_is_seen_before_a_create() -> None:
    """Waiting watches the locations of our own jobs only, but before a create all of them are looked at."""
    service = Service(concurrent_jobs=2, stride=minutes(5))
    theirs: list[str] = []

    def take_the_next_slot(last: Round) -> None:
        # Shortly before the first job ends, and long before everything is looked at again.
        if last.observation.at >= AT + minutes(65) and not theirs:
            theirs.append(service.simulator.inject_foreign_job(PROJECT, "europe-west4", duration_s=24 * 3600))

    service.apply(desired_of(ALPHA, a_model("beta")), show=take_the_next_slot)
    _, second = service.own()
    foreign = next(job for job in service.simulator.jobs() if job["name"] == theirs[0])
    assert second["createTime"] > foreign["endTime"]
