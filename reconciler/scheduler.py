"""One admission cycle: tickets and the ledger in, who gets a slot and why the others wait out. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from reconciler.quota import GLOBAL_LANE, Ledger, Needs
from reconciler.state.parents import ParentState
from reconciler.state.records import Ticket


class Waits(StrEnum):
    """Why a ticket was deferred."""

    NO_SLOT = "no_slot"
    SLOTS_UNKNOWN = "slots_unknown"
    BACK_OFF = "back_off"
    OLD_JOB = "old_job"
    SUBMITTING = "submitting"
    PARENT = "parent"
    PARENT_FAILED = "parent_failed"
    PARENT_NOT_SERVED = "parent_not_served"
    NOT_DESIRED = "not_desired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deferral:
    """A ticket that does not get a slot in this cycle, and why in words. `look_again_at` None: with the next look."""

    ticket: Ticket
    waits: Waits
    why: str
    look_again_at: datetime | None = None

    @property
    def is_hopeless(self) -> bool:
        """Whether waiting alone will never help."""
        return self.waits in (Waits.PARENT_FAILED, Waits.PARENT_NOT_SERVED, Waits.NOT_DESIRED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a ticket's own eligibility rests on, gathered by whoever looked.

    `active_jobs` are the names of jobs that have not ended, `submitting` the addresses with an open intent, `wanted`
    the fingerprint the manifests ask for by address, `parents` the state of each parent by the child's address, `needs`
    the units each takes from which lane, one global slot where it is not said.
    """

    active_jobs: Set[str]
    submitting: Set[str]
    wanted: Mapping[str, str]
    parents: Mapping[str, ParentState]
    needs: Mapping[str, Needs] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cycle:
    """What one cycle decided, both in the order of the queue."""

    admitted: tuple[Ticket, ...]
    deferred: tuple[Deferral, ...]


def admit(tickets: Iterable[Ticket], ledger: Ledger, around: Surroundings, *, now: datetime) -> Cycle:
    """Who gets a slot now; `tickets` come in the order they are to be served.

    Never admits more than the ledger has free, and nobody while that is unknown. A ticket that lacks room closes the
    lanes it lacks for those behind it, and no other lane.
    """
    admitted: list[Ticket] = []
    deferred: list[Deferral] = []
    free, closed = ledger.free_units(), set[str]()
    for ticket in tickets:
        needs = around.needs.get(ticket.address, _ONE_SLOT)
        deferral = _not_eligible(ticket, around, now) or _no_room(ticket, needs, ledger, free, closed)
        if deferral is not None:
            deferred.append(deferral)
            closed |= _closes(ticket, needs, deferral, free)
            continue
        admitted.append(ticket)
        for lane, units in needs.items():
            if free is not None:
                free[lane] = free.get(lane, 0) - units
    return Cycle(admitted=tuple(admitted), deferred=tuple(deferred))


_ONE_SLOT: Needs = {GLOBAL_LANE: 1}


def _closes(ticket: Ticket, needs: Needs, deferral: Deferral, free: Mapping[str, int] | None) -> Set[str]:
    """The lanes that nobody behind this ticket may take from: what it waits for would never come free for it."""
    if deferral.waits is Waits.NO_SLOT and free is not None:
        return {lane for lane, units in needs.items() if free.get(lane, 0) < units}
    if deferral.waits is Waits.BACK_OFF and ticket.refused_by == "quota":
        # The server said that the quota is used up; asking again for the next in line would be asking the same.
        return {GLOBAL_LANE} & needs.keys()
    if deferral.waits is Waits.BACK_OFF and ticket.refused_by == "accelerator":
        return needs.keys() - {GLOBAL_LANE}
    return frozenset()


def _not_eligible(ticket: Ticket, around: Surroundings, now: datetime) -> Deferral | None:
    """Why this ticket could not start even if all slots were free."""
    if around.wanted.get(ticket.address) != ticket.fingerprint:
        # What was approved is no longer what the manifests say; only a new plan may decide.
        return Deferral(
            ticket=ticket, waits=Waits.NOT_DESIRED, why="the manifests ask for something else since; plan again"
        )
    if ticket.address in around.submitting:
        return Deferral(
            ticket=ticket, waits=Waits.SUBMITTING, why="a submission is under way, its job is not listed yet"
        )
    if ticket.after is not None and ticket.after in around.active_jobs:
        return Deferral(ticket=ticket, waits=Waits.OLD_JOB, why=f"waits for {_short(ticket.after)} to end")
    parent = around.parents.get(ticket.address, ParentState.READY)
    if parent is not ParentState.READY:
        return _waits_for_parent(ticket, parent)
    if ticket.not_before is not None and ticket.not_before > now:
        why = "was refused, tries again later"
        return Deferral(ticket=ticket, waits=Waits.BACK_OFF, why=why, look_again_at=ticket.not_before)
    return None


def _waits_for_parent(ticket: Ticket, parent: ParentState) -> Deferral:
    name = f"{ticket.parent}, which it is tuned from"
    if parent is ParentState.FAILED:
        return Deferral(ticket=ticket, waits=Waits.PARENT_FAILED, why=f"there is no usable model of {name}")
    if parent is ParentState.NOT_SERVED:
        why = f"waits for {name} and which this run leaves in the queue"
        return Deferral(ticket=ticket, waits=Waits.PARENT_NOT_SERVED, why=why)
    return Deferral(ticket=ticket, waits=Waits.PARENT, why=f"waits for {name}")


def _no_room(
    ticket: Ticket, needs: Needs, ledger: Ledger, free: Mapping[str, int] | None, closed: Set[str]
) -> Deferral | None:
    if free is None:
        where = ", ".join(sorted(ledger.unread))
        return Deferral(
            ticket=ticket, waits=Waits.SLOTS_UNKNOWN, why=f"{where} could not be read, so free slots are unknown"
        )
    short = [lane for lane, units in needs.items() if lane in closed or free.get(lane, 0) < units]
    if not short:
        return None
    if GLOBAL_LANE in short:
        return Deferral(ticket=ticket, waits=Waits.NO_SLOT, why=_blocker(ledger))
    lane = short[0]
    return Deferral(ticket=ticket, waits=Waits.NO_SLOT, why=_lane_blocker(ledger, lane, needs[lane]))


def _lane_blocker(ledger: Ledger, name: str, units: int) -> str:
    lane = next((one for one in ledger.lanes if one.name == name), None)
    if lane is None:
        return f"needs {units} of quota {name}, of which nobody told the limit"
    used = f"{lane.own_units} used here, {lane.foreign_units} elsewhere"
    return f"needs {units} of quota {name}, which has {lane.limit}: {used}"


def _blocker(ledger: Ledger) -> str:
    """Who holds the slots, in words; the foreign jobs by name, since nobody here can end those."""
    limit = f"{ledger.limit} slot{'' if ledger.limit == 1 else 's'}"
    if ledger.foreign:
        names = ", ".join(f"{_short(job.name)} in {job.location}" for job in ledger.foreign[:3])
        more = f" and {len(ledger.foreign) - 3} more" if len(ledger.foreign) > 3 else ""
        return f"{limit}, {len(ledger.foreign)} used by jobs not managed here ({names}{more})"
    if ledger.max_slots is not None and len(ledger.own) + ledger.intents >= ledger.max_slots:
        which = "only slot" if ledger.max_slots == 1 else f"{ledger.max_slots} slots"
        return f"all used of the {which} that this stack may use"
    if ledger.held:
        return f"{limit}, {ledger.held} held"
    return "the only slot is used" if ledger.limit == 1 else f"all {limit} used"


def _short(name: str) -> str:
    return "/".join(name.split("/")[-2:])
