"""The order of the queue, as plain functions over tickets.

Virtual-time FIFO: a ticket stands where it would stand had it been enqueued 24 hours earlier for each class of
priority. So no ticket enqueued more than 24 h x (difference of classes) after another can pass it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from reconciler.state.records import Ticket

CLASS_WORTH = timedelta(hours=24)


def waits_since(ticket: Ticket) -> datetime:
    """The instant from which its waiting counts: when it was enqueued, or when what it depends on was there."""
    return ticket.enqueued_at if ticket.ready_at is None else max(ticket.enqueued_at, ticket.ready_at)


def queue_key(ticket: Ticket) -> tuple[datetime, datetime, str]:
    """Where a ticket stands in the queue; it never changes while the ticket waits."""
    since = waits_since(ticket)
    return since - ticket.priority.rank * CLASS_WORTH, since, ticket.address


def queue_order(tickets: Iterable[Ticket]) -> tuple[Ticket, ...]:
    """The tickets in the order they are served."""
    return tuple(sorted(tickets, key=queue_key))


def queue_places(tickets: Iterable[Ticket]) -> dict[str, int]:
    """The place of each address in the queue, from 1."""
    return {ticket.address: place for place, ticket in enumerate(queue_order(tickets), start=1)}
