"""In which order this stack serves its queue, by what its manifest asks for. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.durations import learn
from reconciler.model.desired import Desired
from reconciler.model.observation import Observation
from reconciler.quota import Ledger
from reconciler.state.queue import queue_order, soonest_order
from reconciler.state.records import Ticket


def serving_order(
    desired: Desired, tickets: Iterable[Ticket], observation: Observation, ledger: Ledger
) -> tuple[Ticket, ...]:
    """The tickets as they are to be served: first come, first served, or with `order: soonest` the shortest first."""
    line = tuple(tickets)
    if desired.stack.quota.order == "fifo":
        return queue_order(line)
    lessons = learn(observation.jobs)
    wanted = desired.by_address()
    expected_s = {
        ticket.address: lessons.expected_s(wanted[ticket.address].base_model, wanted[ticket.address].fields)
        for ticket in line
        if ticket.address in wanted
    }
    busy_s = 0.0
    for job in (*ledger.own, *ledger.foreign):
        length_s = lessons.expected_s(str(job.fields.get("baseModel")), job.fields)
        elapsed_s = (observation.at - (job.started_at or job.created_at)).total_seconds()
        busy_s += 0.0 if length_s is None else max(0.0, length_s - elapsed_s)
    slots = ledger.limit - ledger.held
    slots = slots if ledger.max_slots is None else min(slots, ledger.max_slots)
    return soonest_order(line, expected_s, slots=max(1, slots), busy_s=busy_s, now=observation.at)
