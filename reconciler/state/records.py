"""The state's values: what we did (records), are about to do (intents) and were asked to do (tickets)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from reconciler.errors import Source
from reconciler.model.desired import Lifecycle, Priority
from reconciler.model.fields import FINGERPRINT_VERSION, Fields

STATE_FORMAT = 1


class Origin(StrEnum):
    """How a job came into a record. LABEL alone is one key of two: such a job is never cancelled or deleted."""

    CREATED = "created"
    IMPORTED = "imported"
    LABEL = "label"


class Because(StrEnum):
    """Why we cancelled a job, or deleted its model."""

    REMOVED = "removed"
    REPLACED = "replaced"
    DESTROYED = "destroyed"
    DUPLICATE = "duplicate"
    REQUESTED = "requested"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One job of an address. `fields` are what the manifest said when it was submitted or adopted.

    `because` is set once we asked to cancel it, or deleted its model. `submissions` counts the create calls that were
    sent for it: only where it is above 1 can a second job with its nonce be ours. `ended_as` is the job state it was
    seen to end in, with the tokens billed for it where the service told.
    """

    number: int
    fingerprint: str
    job: str
    location: str
    origin: Origin
    recorded_at: datetime
    fields: Fields = field(default_factory=dict)
    nonce: str | None = None
    because: Because | None = None
    submissions: int = 1
    ended_as: str | None = None
    billable_token_count: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What we did for one address. The last attempt is the one that counts; there is always one."""

    address: str
    attempts: tuple[Attempt, ...]
    lifecycle: Lifecycle = field(default_factory=Lifecycle)
    source: Source | None = None

    @property
    def current(self) -> Attempt:
        """The attempt whose job stands for the address."""
        return self.attempts[-1]

    def attempts_of(self, fingerprint: str) -> tuple[Attempt, ...]:
        """All attempts at one fingerprint, oldest first."""
        return tuple(one for one in self.attempts if one.fingerprint == fingerprint)

    def attempts_made(self, fingerprint: str) -> int:
        """How many attempts at one fingerprint there were, those the state has lost included.

        The surplus job of a duplicate is none of its own.
        """
        made = [one for one in self.attempts_of(fingerprint) if one.because is not Because.DUPLICATE]
        return max(len(made), max((one.number for one in made), default=0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """The durable note "I am about to create this", written before the call.

    `written_at` is the server's time when it was written; the settle time counts from it. `submissions` counts the
    create calls for this nonce, the one announced here included.
    """

    address: str
    fingerprint: str
    attempt: int
    nonce: str
    location: str
    written_at: datetime
    fields: Fields = field(default_factory=dict)
    submissions: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """An approved create that waits for a slot. `enqueued_at` never changes while it waits.

    `ready_at` is when the model it is tuned from was there, from when on its waiting counts; None where it depends on
    nothing, or on what is not there yet. `after` is a job that must have ended first (the one this replaces).
    `not_before` None means: as soon as there is room. `refusals` counts refused submissions, for the back-off, and
    `refused_by` is the kind of the last; `submissions` counts create calls whose answer never came.
    """

    address: str
    fingerprint: str
    attempt: int
    reason: str
    priority: Priority
    location: str
    enqueued_at: datetime
    ready_at: datetime | None = None
    not_before: datetime | None = None
    after: str | None = None
    parent: str | None = None
    refusals: int = 0
    refused_by: str | None = None
    submissions: int = 0
    approved_by: str = ""
    plan_checksum: str = ""

    @property
    def nonce(self) -> str:
        """The mark of this attempt, the same however often it is submitted; also a valid pipeline job id.

        It follows from the ticket alone, so that two appliers that read the same state mark their jobs alike.
        """
        text = f"{self.address}|{self.fingerprint}|{self.attempt}|{self.enqueued_at.isoformat()}"
        return f"t{hashlib.sha256(text.encode()).hexdigest()[:20]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Slots kept free for people, until an instant."""

    slots: int
    until: datetime
    reason: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Everything tuneform remembers of one stack. Keys of the mappings are addresses.

    `serial` rises by one with every write. `epoch` rises whenever another applier takes over. `retired` are forgotten
    records, kept so that a re-declared address takes its model back. `applied` is false until the first apply.
    """

    lineage: str
    stack: str
    project: str
    endpoint: str
    serial: int = 0
    epoch: int = 0
    applied: bool = False
    fingerprint_version: str = FINGERPRINT_VERSION
    records: Mapping[str, Record] = field(default_factory=dict)
    retired: Mapping[str, Record] = field(default_factory=dict)
    intents: Mapping[str, Intent] = field(default_factory=dict)
    queue: Mapping[str, Ticket] = field(default_factory=dict)
    holds: tuple[Hold, ...] = ()
    history_head: str | None = None
    write_id: str = ""
