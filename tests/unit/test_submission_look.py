"""The look right before a create, and the one right after: what a slow list kept from the plan is still found."""

from __future__ import annotations

import pytest

from reconciler.events import Kind
from reconciler.model.labels import NONCE
from reconciler.state.records import Origin
from reconciler.state.unseen import SETTLE_TIME
from tests.builders import a_model, a_stack, desired_of, minutes
from tests.worlds.service import Killed, Service

ALPHA = a_model("alpha")
DESIRED = desired_of(ALPHA, stack=a_stack())
HIDDEN_S = SETTLE_TIME.total_seconds() + 3600


def a_service_with_a_hidden_job() -> Service:
    """A process has made the job of alpha and died before it heard so; no list shows the job yet."""
    service = Service(concurrent_jobs=2)
    service.simulator.set_faults(list_lag_s=HIDDEN_S)

    def die(what: str) -> None:
        if what == "after create":
            raise Killed

    service.wire.on_effect = die
    with pytest.raises(Killed):
        service.apply(DESIRED)
    service.wire.on_effect = lambda what: None
    service.clock.advance(SETTLE_TIME + minutes(1))
    return service


def show_the_job_once(service: Service, moment: str) -> None:
    """From that moment on, while a create is announced in the state, lists show every job."""

    def on_effect(what: str) -> None:
        if what == moment and service.state.intents:
            service.simulator.set_faults()

    service.store.on_effect = service.wire.on_effect = on_effect


def test_a_job_that_is_listed_right_before_the_create_is_adopted() -> None:
    """A job of the same submission that appears after the intent was written is taken, and no second one is sent."""
    service = a_service_with_a_hidden_job()
    show_the_job_once(service, "after write")
    service.apply(DESIRED, wait=False)
    current = service.state.records["alpha"].current
    assert (1, 1) == (len(service.wire.creates), len(service.own()))
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
