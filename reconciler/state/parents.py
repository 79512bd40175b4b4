"""Continuous tuning between addresses: what became of the model another one is tuned from. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from enum import StrEnum

from reconciler.model.desired import Desired, DesiredModel
from reconciler.model.fields import PARENT_FINGERPRINT
from reconciler.model.job import LiveJob
from reconciler.model.observation import Observation
from reconciler.state.records import Record, State, Ticket
from reconciler.state.unseen import is_fresh


class ParentState(StrEnum):
    """What became of the model another one is tuned from."""

    READY = "ready"
    WAITING = "waiting"
    FAILED = "failed"
    NOT_SERVED = "not_served"


def parent_states(
    tickets: Iterable[Ticket], desired: Desired, state: State, observation: Observation
) -> dict[str, ParentState]:
    """The state of each ticket's parent by the ticket's address; only tickets that have a parent are in it.

    `tickets` are those that are served: a child of a queued parent that is not among them waits in vain.
    """
    tickets = tuple(tickets)
    wanted = desired.by_address()
    served = {ticket.address for ticket in tickets}
    jobs = observation.by_name()
    found = {}
    for ticket in tickets:
        model = wanted.get(ticket.address)
        if model is not None and model.parent is not None:
            found[ticket.address] = _parent_state(model, wanted, served, state, observation, jobs)
    return found


def _parent_state(
    model: DesiredModel,
    wanted: Mapping[str, DesiredModel],
    served: Set[str],
    state: State,
    observation: Observation,
    jobs: Mapping[str, LiveJob],
) -> ParentState:
    assert model.parent is not None
    parent = model.parent
    if parent in state.intents:
        return ParentState.WAITING
    if parent in state.queue:
        if parent not in served:
            return ParentState.NOT_SERVED
        itself = wanted.get(parent)
        if itself is None or itself.parent is None:
            return ParentState.WAITING
        # What keeps the parent from ever being tuned keeps its children too.
        above = _parent_state(itself, wanted, served, state, observation, jobs)
        return ParentState.WAITING if above is ParentState.READY else above
    return _recorded_state(model, state.records.get(parent), observation, jobs)


def _recorded_state(
    model: DesiredModel, record: Record | None, observation: Observation, jobs: Mapping[str, LiveJob]
) -> ParentState:
    if record is None:
        return ParentState.FAILED
    job = jobs.get(record.current.job)
    if job is None:
        is_hidden = is_fresh(record.current, observation) or record.current.location not in observation.read
        return ParentState.WAITING if is_hidden else ParentState.FAILED
    if job.is_active:
        return ParentState.WAITING
    # A parent that was tuned otherwise than the child's manifest counts on is not the parent that was approved.
    expected = model.fields.get(PARENT_FINGERPRINT)
    if job.has_succeeded and job.model is not None and expected in (None, record.current.fingerprint):
        return ParentState.READY
    return ParentState.FAILED


def parent_model(model: DesiredModel, state: State, observation: Observation) -> str | None:
    """The resource name of the model to go on from; None for a base model. Without I/O.

    A model named in the manifest is taken as written; a parent address gives what its recorded job made.
    """
    named = model.fields.get("preTunedModel.tunedModelName")
    if named is not None:
        return str(named)
    if model.parent is None:
        return None
    record = state.records.get(model.parent)
    job = None if record is None else observation.by_name().get(record.current.job)
    return None if job is None else job.model
