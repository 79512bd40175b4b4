"""The queue as people ask about it: who waits at which place, for what, until when; who holds the slots. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from reconciler.durations import Durations, learn
from reconciler.forecast import Expected, Range, Running, Waiting, forecast, left_s
from reconciler.model.desired import Desired
from reconciler.model.job import LiveJob
from reconciler.model.observation import Observation
from reconciler.quota import LaneRules, Ledger, own_job_names, take_ledger
from reconciler.scheduler import Surroundings, admit
from reconciler.serving import serving_order
from reconciler.state.parents import parent_states
from reconciler.state.queue import CLASS_WORTH, waits_since
from reconciler.state.records import State, Ticket
from reconciler.state.unseen import unseen_attempts


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueRow:
    """One ticket. `why` is what it waits for, "" where it would start now; `start` and `end` None: no estimate."""

    address: str
    place: int
    base_model: str | None
    priority: str
    enqueued_at: datetime
    waits: str
    why: str
    start: Range | None
    end: Range | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One job that holds a slot. `address` is None for a job of others; `end` None: no estimate."""

    address: str | None
    job: str
    location: str
    since: datetime
    end: Range | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """The whole queue and who holds the slots now, at one instant."""

    at: datetime
    ledger: Ledger
    rows: tuple[QueueRow, ...]
    slots: tuple[Slot, ...]

    def expected(self, address: str) -> QueueRow | None:
        """The row of one address; None where it does not wait."""
        return next((row for row in self.rows if row.address == address), None)


def look_out(desired: Desired, state: State, observation: Observation, rules: LaneRules | None = None) -> Outlook:
    """The outlook from one look at the project; the forecast assumes that nobody else starts jobs meanwhile."""
    rules = rules or LaneRules()
    ledger = take_ledger(desired.stack.quota, state, observation, rules)
    tickets = serving_order(desired, state.queue.values(), observation, ledger)
    lessons = learn(observation.jobs)
    running = _running(state, observation, rules, lessons)
    expected = _expected(desired, tickets, running, ledger, rules, lessons, observation.at)
    reasons = _reasons(desired, state, observation, ledger, rules, tickets)
    places = {ticket.address: place for place, ticket in enumerate(tickets, start=1)}
    wanted = desired.by_address()
    return Outlook(
        at=observation.at,
        ledger=ledger,
        rows=tuple(
            QueueRow(
                address=ticket.address,
                place=places[ticket.address],
                base_model=wanted[ticket.address].base_model if ticket.address in wanted else None,
                priority=ticket.priority.value,
                enqueued_at=ticket.enqueued_at,
                waits=reasons.get(ticket.address, ("", ""))[0],
                why=reasons.get(ticket.address, ("", ""))[1],
                start=expected[ticket.address].start,
                end=expected[ticket.address].end,
            )
            for ticket in tickets
        ),
        slots=_slots(state, observation, running, observation.at),
    )


def _reasons(
    desired: Desired,
    state: State,
    observation: Observation,
    ledger: Ledger,
    rules: LaneRules,
    tickets: tuple[Ticket, ...],
) -> dict[str, tuple[str, str]]:
    wanted = desired.by_address()
    around = Surroundings(
        active_jobs=frozenset(job.name for job in observation.jobs if job.is_active),
        submitting=state.intents.keys() | unseen_attempts(state, observation).keys(),
        wanted={address: model.fingerprint for address, model in wanted.items()},
        parents=parent_states(tickets, desired, state, observation),
        needs={one.address: rules.needs_of(wanted[one.address].fields) for one in tickets if one.address in wanted},
    )
    cycle = admit(tickets, ledger, around, now=observation.at)
    return {one.ticket.address: (one.waits.value, one.why) for one in cycle.deferred}


def _running(state: State, observation: Observation, rules: LaneRules, lessons: Durations) -> dict[str, Running]:
    """What holds slots now, by job name."""
    addresses = {record.current.job: address for address, record in state.records.items()}
    return {
        job.name: Running(
            address=addresses.get(job.name, ""),
            needs=rules.needs_of(job.fields),
            samples_s=lessons.samples_s(_base_model(job), job.fields),
            elapsed_s=(observation.at - (job.started_at or job.created_at)).total_seconds(),
        )
        for job in observation.jobs
        if job.is_active
    }


def _base_model(job: LiveJob) -> str | None:
    value = job.fields.get("baseModel")
    return str(value) if value is not None else None


def _expected(
    desired: Desired,
    tickets: tuple[Ticket, ...],
    running: Mapping[str, Running],
    ledger: Ledger,
    rules: LaneRules,
    lessons: Durations,
    now: datetime,
) -> dict[str, Expected]:
    wanted = desired.by_address()
    free = ledger.free_units()
    known = [ticket for ticket in tickets if ticket.address in wanted]
    if free is None:
        return {ticket.address: Expected(address=ticket.address, start=None, end=None) for ticket in tickets}
    # A dependency that is met later falls back in the line only where the line goes by age.
    is_fifo = desired.stack.quota.order == "fifo"
    waiting = [
        Waiting(
            address=ticket.address,
            needs=rules.needs_of(wanted[ticket.address].fields),
            samples_s=lessons.samples_s(wanted[ticket.address].base_model, wanted[ticket.address].fields),
            after=ticket.parent,
            not_before=ticket.not_before,
            since=waits_since(ticket) if is_fifo else None,
            credit=ticket.priority.rank * CLASS_WORTH if is_fifo else timedelta(0),
        )
        for ticket in known
    ]
    found = {one.address: one for one in forecast(waiting, tuple(running.values()), free, now=now)}
    nothing = {
        one.address: Expected(address=one.address, start=None, end=None) for one in tickets if one.address not in found
    }
    return {**found, **nothing}


def _slots(state: State, observation: Observation, running: Mapping[str, Running], now: datetime) -> tuple[Slot, ...]:
    ours = own_job_names(state, observation.jobs)
    lone = forecast(
        [
            Waiting(
                address=name,
                needs={},
                samples_s=None if one.samples_s is None else left_s(one.samples_s, one.elapsed_s),
            )
            for name, one in running.items()
        ],
        (),
        {"": 1},
        now=now,
    )
    ends = {one.address: one.end for one in lone}
    return tuple(
        Slot(
            address=(running[job.name].address or job.name) if job.name in ours else None,
            job=job.name,
            location=job.location,
            since=job.started_at or job.created_at,
            end=ends.get(job.name),
        )
        for job in sorted(observation.jobs, key=lambda one: (one.created_at, one.name))
        if job.is_active
    )
