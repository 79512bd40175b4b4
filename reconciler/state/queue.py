"""The orders of the queue, as plain functions over tickets. Nobody who runs is ever passed; only who waits is ordered.

Virtual-time FIFO, the default: a ticket stands where it would stand had it been enqueued 24 hours earlier for each
class of priority. So no ticket enqueued more than 24 h x (difference of classes) after another can pass it.

Soonest, where asked for: who waited too long, first come, first served; then who would set the end of the whole queue;
then the shortest for its class. It about halves the mean wait of FIFO, and a long job pays for that.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from datetime import datetime, timedelta
from math import sqrt
from statistics import median

from reconciler.state.records import Ticket

CLASS_WORTH = timedelta(hours=24)
# How long shorter jobs may go before one that is ready.
AGE_CAP = timedelta(hours=72)
# By class, low to high: of two jobs the more urgent goes first unless it takes that many times longer.
CLASS_WEIGHTS = (1.0, 1.5, 2.0)
# In expected lengths: what one job may take beyond its own. Lower serves short jobs sooner and ends later.
OVERRUN = 0.8


def waits_since(ticket: Ticket) -> datetime:
    """The instant from which its waiting counts: when it was enqueued, or when what it depends on was there."""
    return ticket.enqueued_at if ticket.ready_at is None else max(ticket.enqueued_at, ticket.ready_at)


def queue_key(ticket: Ticket) -> tuple[datetime, datetime, str]:
    """Where a ticket stands in the queue; it never changes while the ticket is ready and waits."""
    since = waits_since(ticket)
    return since - ticket.priority.rank * CLASS_WORTH, since, ticket.address


def queue_order(tickets: Iterable[Ticket]) -> tuple[Ticket, ...]:
    """The tickets in the order they are served."""
    return tuple(sorted(tickets, key=queue_key))


def queue_places(tickets: Iterable[Ticket]) -> dict[str, int]:
    """The place of each address in the queue, from 1."""
    return {ticket.address: place for place, ticket in enumerate(queue_order(tickets), start=1)}


def soonest_order(
    tickets: Iterable[Ticket],
    expected_s: Mapping[str, float | None],
    *,
    slots: int,
    busy_s: float = 0.0,
    now: datetime,
) -> tuple[Ticket, ...]:
    """The tickets in an order that makes the mean wait short and the end of the whole queue hardly later.

    `expected_s` are lengths by address, absent or None where not known: such tickets keep the order of FIFO among
    themselves. `slots` are all that may be used at once, taken or free; `busy_s` is what the jobs that hold some are
    still expected to take, summed.
    """
    line = queue_order(tickets)
    known = {one.address: length_s for one in line if (length_s := expected_s.get(one.address)) is not None}
    if not known:
        return line
    typical_s = median(known.values())
    lengths_s = {one.address: known.get(one.address, typical_s) for one in line}
    overdue = [one for one in line if _is_overdue(one, now)]
    passed = {one.address for one in overdue}
    critical = [
        one for one in _critical(line, lengths_s, slots, busy_s) if one.address in known and one.address not in passed
    ]
    passed.update(one.address for one in critical)
    rest = [one for one in line if one.address not in passed]
    return (*overdue, *critical, *_shortest_first(rest, lengths_s, known.keys()))


def _is_overdue(ticket: Ticket, now: datetime) -> bool:
    if ticket.parent is not None and ticket.ready_at is None:
        return False
    return now - waits_since(ticket) >= AGE_CAP


def _critical(line: Sequence[Ticket], lengths_s: Mapping[str, float], slots: int, busy_s: float) -> list[Ticket]:
    """Those whose own path could well take longer than all there is to do on all slots, the longest first."""
    if slots <= 1:
        # On a single slot no order ends sooner than another.
        return []
    end_s = (sum(lengths_s.values()) + busy_s) / slots
    paths_s = _paths_s(line, lengths_s)
    # The sort keeps the order of FIFO where paths are equal.
    return sorted((one for one in line if paths_s[one.address] >= end_s), key=lambda one: -paths_s[one.address])


def _paths_s(line: Iterable[Ticket], lengths_s: Mapping[str, float]) -> dict[str, float]:
    """For each address, how long it and the longest line of its descendants could take.

    Overruns of several jobs partly cancel out, so it is their squares that add up.
    """
    parents = {one.address: one.parent for one in line}
    undone = Counter(one.parent for one in line)
    below: dict[str, tuple[float, float]] = {}
    paths_s = dict(lengths_s)
    leaves = [address for address in parents if not undone[address]]
    while leaves:
        address = leaves.pop()
        length_s = lengths_s[address]
        sum_s, squares = below.get(address, (0.0, 0.0))
        path = (sum_s + length_s, squares + length_s**2)
        paths_s[address] = path[0] + OVERRUN * sqrt(path[1])
        parent = parents[address]
        if parent is None or parent not in parents:
            continue
        below[parent] = max(path, below.get(parent, path))
        undone[parent] -= 1
        if not undone[parent]:
            leaves.append(parent)
    return paths_s


def _shortest_first(line: Sequence[Ticket], lengths_s: Mapping[str, float], known: Set[str]) -> Iterable[Ticket]:
    """Smith's rule: the least length for its weight first; the unknown count as typical, in their own order."""

    def ratio(ticket: Ticket) -> float:
        return lengths_s[ticket.address] / CLASS_WEIGHTS[ticket.priority.rank]

    first = sorted((one for one in line if one.address in known), key=ratio)
    return heapq.merge(first, (one for one in line if one.address not in known), key=ratio)
