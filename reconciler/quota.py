"""The ledger: how many tuning jobs may run at once, how many do, and how many more may start.

Active jobs of the whole project count, in every location, ours and foreign alike: the quota is one number per project.
Source: "Global concurrent tuning jobs", shared across all regions and supported models,
https://cloud.google.com/vertex-ai/generative-ai/docs/models/gemini-supervised-tuning, section Quota.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from reconciler.model.desired import QuotaSettings
from reconciler.model.fields import Fields
from reconciler.model.job import LiveJob
from reconciler.model.observation import Observation
from reconciler.plan import QuotaView
from reconciler.state.records import State
from reconciler.state.unseen import unseen_attempts

# Every project may run at least one tuning job; what is above that is only known where somebody says so.
ASSUMED_LIMIT = 1

# The lane of the quota that all Gemini tuning jobs share. Other lanes are named by the catalogue.
GLOBAL_LANE = "global"
Needs = Mapping[str, int]


def one_slot(fields: Fields) -> Needs:
    """What a job takes where nothing else is known: one global slot."""
    return {GLOBAL_LANE: 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneRules:
    """What jobs take from which lane, and how much each lane has. `source` says who told the limits."""

    needs_of: Callable[[Fields], Needs] = one_slot
    limits: Mapping[str, int] = field(default_factory=dict)
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One quota beside the global one, in its own units: accelerators of a region, or jobs of open models."""

    name: str
    limit: int
    own_units: int
    foreign_units: int

    @property
    def free(self) -> int:
        """The units that are left, never below 0."""
        return max(0, self.limit - self.own_units - self.foreign_units)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """Limits and usage at one instant.

    `intents` are submissions whose job has not been seen yet, answered or not; each holds a slot. `max_slots` None
    means no limit of our own. `lanes` are quotas beside the global one. `unread` maps a location that could not be read
    to the reason; while there is one, free slots are unknown.
    """

    limit: int
    limit_source: str
    own: tuple[LiveJob, ...]
    foreign: tuple[LiveJob, ...]
    intents: int = 0
    held: int = 0
    max_slots: int | None = None
    unread: Mapping[str, str]
    lanes: tuple[Lane, ...] = ()

    def free_units(self) -> dict[str, int] | None:
        """The units that are left in each lane; None while a location is unread."""
        free = self.free
        return None if free is None else {GLOBAL_LANE: free, **{lane.name: lane.free for lane in self.lanes}}

    @property
    def free(self) -> int | None:
        """How many more jobs may start, never below 0; None while a location is unread."""
        if self.unread:
            return None
        free = self.limit - len(self.own) - len(self.foreign) - self.intents - self.held
        if self.max_slots is not None:
            free = min(free, self.max_slots - len(self.own) - self.intents)
        return max(0, free)

    def view(self) -> QuotaView:
        """The figures for a plan or a person."""
        return QuotaView(
            limit=self.limit,
            limit_source=self.limit_source,
            own_active=len(self.own),
            foreign_active=len(self.foreign),
            intents=self.intents,
            held=self.held,
            free=self.free,
            foreign_jobs=tuple(sorted(job.name for job in self.foreign)),
            unread_locations=tuple(sorted(self.unread)),
        )


def take_ledger(
    settings: QuotaSettings, state: State, observation: Observation, rules: LaneRules | None = None
) -> Ledger:
    """Limits and usage as the settings, the state and one observation have them."""
    rules = rules or LaneRules()
    ours = own_job_names(state, observation.jobs)
    active = [(job, rules.needs_of(job.fields)) for job in observation.jobs if job.is_active]
    unanswered = [rules.needs_of(fields) for fields in _unseen_fields(state, observation)]
    limit, source = _global_limit(settings, rules)
    return Ledger(
        limit=limit,
        limit_source=source,
        own=tuple(job for job, needs in active if job.name in ours and GLOBAL_LANE in needs),
        foreign=tuple(job for job, needs in active if job.name not in ours and GLOBAL_LANE in needs),
        intents=sum(1 for needs in unanswered if GLOBAL_LANE in needs),
        held=_held_slots(state, observation.at),
        max_slots=settings.max_slots,
        unread=observation.unread,
        lanes=tuple(
            Lane(
                name=lane,
                limit=units,
                own_units=sum(needs.get(lane, 0) for job, needs in active if job.name in ours)
                + sum(needs.get(lane, 0) for needs in unanswered),
                foreign_units=sum(needs.get(lane, 0) for job, needs in active if job.name not in ours),
            )
            for lane, units in sorted(rules.limits.items())
            if lane != GLOBAL_LANE
        ),
    )


def _global_limit(settings: QuotaSettings, rules: LaneRules) -> tuple[int, str]:
    if settings.concurrent_jobs is not None:
        return settings.concurrent_jobs, "the stack's manifest"
    if GLOBAL_LANE in rules.limits and rules.source:
        return rules.limits[GLOBAL_LANE], rules.source
    return ASSUMED_LIMIT, "assumed, the documented minimum"


def _unseen_fields(state: State, observation: Observation) -> list[Fields]:
    """The fields of submissions whose job no list shows: sent without an answer, or answered a moment ago."""
    live_nonces = {job.nonce for job in observation.jobs if job.owner == state.lineage}
    sent = [intent.fields for intent in state.intents.values() if intent.nonce not in live_nonces]
    return sent + [attempt.fields for attempt in unseen_attempts(state, observation).values()]


def own_job_names(state: State, jobs: Collection[LiveJob]) -> frozenset[str]:
    """The jobs that are ours: named by a record, or bearing our owner label."""
    recorded = {attempt.job for record in state.records.values() for attempt in record.attempts}
    recorded |= {attempt.job for record in state.retired.values() for attempt in record.attempts}
    return frozenset(job.name for job in jobs if job.name in recorded or job.owner == state.lineage)


def _held_slots(state: State, now: datetime) -> int:
    return sum(hold.slots for hold in state.holds if hold.until > now)
