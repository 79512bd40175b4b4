"""The ledger: how many tuning jobs may run at once, how many do, and how many more may start.

Active jobs of the whole project count, in every location, ours and foreign alike: the quota is one number per project.
Source: "Global concurrent tuning jobs", shared across all regions and supported models,
https://cloud.google.com/vertex-ai/generative-ai/docs/models/gemini-supervised-tuning, section Quota.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from reconciler.model.desired import QuotaSettings
from reconciler.model.job import LiveJob
from reconciler.model.observation import Observation
from reconciler.plan import QuotaView
from reconciler.state.records import State
from reconciler.state.unseen import unseen_attempts

# Every project may run at least one tuning job; what is above that is only known where somebody says so.
ASSUMED_LIMIT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """Limits and usage at one instant.

    `intents` are submissions whose job has not been seen yet, answered or not; each holds a slot. `max_slots` None
    means no limit of our own. `unread` maps a location that could not be read to the reason; while there is one, free
    slots are unknown.
    """

    limit: int
    limit_source: str
    own: tuple[LiveJob, ...]
    foreign: tuple[LiveJob, ...]
    intents: int = 0
    held: int = 0
    max_slots: int | None = None
    unread: Mapping[str, str]

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


def take_ledger(settings: QuotaSettings, state: State, observation: Observation) -> Ledger:
    """Limits and usage as the settings, the state and one observation have them."""
    ours = own_job_names(state, observation.jobs)
    active = [job for job in observation.jobs if job.is_active]
    live_nonces = {job.nonce for job in observation.jobs if job.owner == state.lineage}
    return Ledger(
        limit=ASSUMED_LIMIT if settings.concurrent_jobs is None else settings.concurrent_jobs,
        limit_source="assumed, the documented minimum" if settings.concurrent_jobs is None else "the stack's manifest",
        own=tuple(job for job in active if job.name in ours),
        foreign=tuple(job for job in active if job.name not in ours),
        intents=sum(1 for intent in state.intents.values() if intent.nonce not in live_nonces)
        + len(unseen_attempts(state, observation)),
        held=_held_slots(state, observation.at),
        max_slots=settings.max_slots,
        unread=observation.unread,
    )


def own_job_names(state: State, jobs: Collection[LiveJob]) -> frozenset[str]:
    """The jobs that are ours: named by a record, or bearing our owner label."""
    recorded = {attempt.job for record in state.records.values() for attempt in record.attempts}
    recorded |= {attempt.job for record in state.retired.values() for attempt in record.attempts}
    return frozenset(job.name for job in jobs if job.name in recorded or job.owner == state.lineage)


def _held_slots(state: State, now: datetime) -> int:
    return sum(hold.slots for hold in state.holds if hold.until > now)
