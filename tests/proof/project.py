"""One project that outlives the processes working on it, and those processes: what the proofs kill, pause and count.

A `Project` is a simulated Vertex AI with its clock and the documents beside it: state, lease and history. `apply` is
what `tuneform apply --auto-approve` does from taking the lease to giving it back, each step of it through `perform`,
which may let it happen, end the process before or after it, or make the process wait for its turn.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

import httpx

from reconciler.errors import StateLocked
from reconciler.events import Event
from reconciler.executor.effects import Effects, save
from reconciler.executor.loop import Followed
from reconciler.model.address import address_label
from reconciler.model.desired import Desired, DesiredModel, Lifecycle, QuotaSettings
from reconciler.model.job import ENDED_STATES, JobState
from reconciler.model.labels import ATTEMPT, NAME, OWNER, SPEC
from reconciler.providers.auth import FixedToken
from reconciler.providers.connection import Connection
from reconciler.providers.http import Http
from reconciler.providers.vertex import VertexClient
from reconciler.reconcile import apply_changes, opened, plan_stack
from reconciler.simulator.clock import ManualClock
from reconciler.simulator.simulator import Simulator
from reconciler.state.chronicle import RunChronicle
from reconciler.state.codec import decode_state
from reconciler.state.history import Entry, EntryKind, read_head, verify
from reconciler.state.lease import LEASE_TIME, HeldLease, Lease, confirm_lease, release_lease, renew_lease, take_lease
from reconciler.state.records import State
from reconciler.state.store import StateStore, Stored, changed_elsewhere
from reconciler.state.unseen import SETTLE_TIME
from tests.builders import AT, LINEAGE, LOCATION, PROJECT, a_model, a_stack, desired_of

Resource = dict[str, Any]
T = TypeVar("T")

# Just below the settle time, so that an open intent is looked at once more before it is given up.
STRIDE = SETTLE_TIME - timedelta(seconds=10)
_GONE = frozenset({JobState.CANCELLED.value, JobState.CANCELLING.value})


@dataclass(frozen=True, slots=True)
class Step:
    """One thing a process does outside itself. `thing` is what it touches: jobs, state, lease, clock or "run 1"."""

    thing: str
    verb: str
    changes: bool

    def __str__(self) -> str:
        return f"{self.verb} {self.thing}"


class Perform(Protocol):
    """Who decides about each step of a process: it calls `act`, or does not, or later."""

    def __call__(self, step: Step, act: Callable[[], T]) -> T:
        """What `act` gives."""


def freely(step: Step, act: Callable[[], T]) -> T:
    """Nothing stands in the way."""
    return act()


@dataclass(slots=True)
class Document:
    """A StateStore in memory. `versions` are all the texts it ever held, each with who wrote it."""

    where: str
    versions: list[tuple[str, str]] = field(default_factory=list)

    def read(self) -> Stored | None:
        """What was written last."""
        return Stored(self.versions[-1][1], str(len(self.versions))) if self.versions else None

    def write(self, text: str, *, expected: str | None, writer: str = "") -> str:
        """Replace it, for who has seen the last version."""
        if expected != (str(len(self.versions)) if self.versions else None):
            raise changed_elsewhere(self.where)
        self.versions.append((writer, text))
        return str(len(self.versions))


@dataclass(frozen=True, slots=True)
class Opened:
    """A document as one process has it."""

    document: Document
    thing: str
    writer: str
    perform: Perform

    @property
    def where(self) -> str:
        """Its name."""
        return self.document.where

    def read(self) -> Stored | None:
        """One step."""
        return self.perform(Step(self.thing, "read", False), self.document.read)

    def write(self, text: str, *, expected: str | None) -> str:
        """One step."""
        step = Step(self.thing, "write", True)
        return self.perform(step, lambda: self.document.write(text, expected=expected, writer=self.writer))


@dataclass(frozen=True, slots=True)
class Wire(httpx.BaseTransport):
    """The way of one process to the service; no two changes happen at the same instant."""

    service: httpx.BaseTransport
    clock: ManualClock
    perform: Perform

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """One step."""
        verb = "list" if request.method == "GET" else "cancel" if request.url.path.endswith(":cancel") else "create"

        def answer() -> httpx.Response:
            if verb != "list":
                self.clock.advance(timedelta(milliseconds=1))
            return self.service.handle_request(request)

        return self.perform(Step("jobs", verb, verb != "list"), answer)


@dataclass(slots=True)
class ProcessClock:
    """The clock of one process: it looks at most once in a stride, and its lease beats while it waits."""

    clock: ManualClock
    perform: Perform
    stride: timedelta
    beat: Callable[[], None] = lambda: None

    def now(self) -> datetime:
        """The present simulated instant."""
        return self.clock.now()

    def sleep(self, seconds: float) -> None:
        """One step: be that much later, or a stride; whatever happens in it, the lease is renewed as it ends."""

        def pass_time() -> None:
            self.clock.advance(max(self.stride, timedelta(seconds=seconds)))
            self.beat()

        self.perform(Step("clock", "sleep", True), pass_time)


class Still:
    """A clock that does not wait, for repeated reads."""

    def __init__(self, clock: ManualClock) -> None:
        self.now = clock.now

    def sleep(self, seconds: float) -> None:
        """Return at once."""


class Project:
    """One project on an in-memory Vertex AI, and the documents of one stack."""

    def __init__(self, *, concurrent_jobs: int = 2, seed: int = 0, failure_rate: float = 0.0) -> None:
        self.clock = ManualClock(AT)
        self.simulator = Simulator.in_memory(
            self.clock, concurrent_jobs=concurrent_jobs, seed=seed, failure_rate=failure_rate
        )
        self.state = Document("state.json")
        self.lease = Document("state.json.lease")
        self.runs: dict[int, Document] = {}
        self.ids = itertools.count(1)
        self.events: list[Event] = []

    def run(self, number: int) -> Document:
        """The history of one run."""
        return self.runs.setdefault(number, Document(f"state.json.history/{number:06d}.jsonl"))

    def jobs(self) -> list[Resource]:
        """Every job that bears our owner label, oldest first; no list lag."""
        return [job for job in self.simulator.jobs() if job["labels"].get(OWNER) == LINEAGE]

    def history(self) -> list[str]:
        """The documents of all runs, oldest first."""
        written = itertools.takewhile(lambda one: one.versions, (self.runs[run] for run in sorted(self.runs)))
        return [document.versions[-1][1] for document in written]


def models(*addresses: str, epochs: int = 1, retries: int = 0) -> tuple[DesiredModel, ...]:
    """Models of their own addresses that are tuned in a quarter of an hour."""
    return tuple(
        a_model(
            one,
            fields={"hyperParameters.epochCount": epochs, "trainingDatasetUri": f"gs://data/{one}/small.jsonl"},
            lifecycle=Lifecycle(retries=retries),
        )
        for one in addresses
    )


def stack_of(wanted: Iterable[DesiredModel], *, concurrent_jobs: int = 2) -> Desired:
    """A stack of these models."""
    return desired_of(*wanted, stack=a_stack(quota=QuotaSettings(concurrent_jobs=concurrent_jobs)))


def apply(
    project: Project,
    desired: Desired,
    perform: Perform = freely,
    *,
    who: str = "somebody",
    wait: bool = True,
    stride: timedelta = STRIDE,
    until: datetime | None = None,
) -> Followed:
    """One process that applies, from the lease to the end. Raises what ends it."""
    clock = ProcessClock(project.clock, perform, stride)
    leases = Opened(project.lease, "lease", who, perform)
    beats = replace(leases, perform=freely)
    held_lease = _taken(leases, who, clock)

    def beat() -> None:
        nonlocal held_lease
        try:
            held_lease = renew_lease(beats, held_lease, now=clock.now())
        except StateLocked:
            # As the heartbeat of the command does: whoever wants to change something asks and is told.
            return

    clock.beat = beat
    effects = Effects(
        provider=VertexClient(project=PROJECT, http=_http(project, perform)),
        store=Opened(project.state, "state", who, perform),
        clock=clock,
        locations=(LOCATION,),
        new_id=lambda: f"write-{next(project.ids)}",
        report=project.events.append,
        check=lambda: confirm_lease(leases, held_lease, now=clock.now()),
    )
    held = opened(effects, desired.stack, "simulator", lineage=LINEAGE)
    chronicle = RunChronicle(
        lambda run: Opened(project.run(run), f"run {run}", who, perform), read_head(held.state.history_head)
    )
    chronicle.add(Entry(kind=EntryKind.RUN_STARTED, at=clock.now(), facts={"command": "apply", "who": who}))
    effects = replace(effects, chronicle=chronicle)
    held = save(effects, held, replace(held.state, epoch=held.state.epoch + 1))
    planned = plan_stack(effects, desired, held)
    followed = apply_changes(
        effects, desired, planned, planned.plan.changes, wait=wait, until=until, approved_by=who, plan_checksum="0"
    )
    chronicle.add(Entry(kind=EntryKind.RUN_ENDED, at=clock.now(), facts={"ended": followed.ended.value}))
    save(effects, followed.held, followed.held.state)
    release_lease(leases, held_lease)
    return followed


def _http(project: Project, perform: Perform) -> Http:
    return Http(
        connection=Connection(transport=Wire(project.simulator.transport(), project.clock, perform)),
        tokens=FixedToken("token"),
        clock=Still(project.clock),
        jitter=lambda: 0.0,
    )


def _taken(leases: StateStore, who: str, clock: ProcessClock) -> HeldLease:
    """The lease, waited for as `--lock-timeout` does."""
    while True:
        now = clock.now()
        wish = Lease(
            token=f"{who}-{now.isoformat()}",
            who=who,
            host="host",
            pid=1,
            purpose="apply",
            since=now,
            heartbeat_at=now,
            expires_at=now + LEASE_TIME,
        )
        try:
            return take_lease(leases, wish)
        except StateLocked:
            clock.sleep(LEASE_TIME.total_seconds())


def survivors(project: Project) -> Counter[tuple[str, str, str]]:
    """How many jobs that nobody cancelled there are for each address, fingerprint and attempt.

    One that failed before anybody could see that it is one too many is not counted beside another.
    """
    alive: Counter[tuple[str, str, str]] = Counter()
    failed = set()
    for job in project.jobs():
        key = (job["labels"][NAME], job["labels"][SPEC], job["labels"][ATTEMPT])
        if job["state"] == JobState.FAILED:
            failed.add(key)
        elif job["state"] not in _GONE:
            alive[key] += 1
    return alive + Counter(failed - alive.keys())


def problems(project: Project, desired: Desired) -> list[str]:
    """Everything that breaks the promise once all work is done, in words; empty where it is kept."""
    states = [decode_state(text, project.state.where) for _, text in project.state.versions]
    return [
        *_miscounted(project, desired, states[-1]),
        *_unfinished(project, desired, states[-1]),
        *_unnamed(project, states[-1]),
        *_chain_problems(project, states[-1]),
        *_epoch_problems(project, states),
    ]


def _miscounted(project: Project, desired: Desired, state: State) -> Iterator[str]:
    counts = survivors(project)
    expected = {
        (address_label(model.address), model.fingerprint, str(attempt.number))
        for model in desired.models
        for attempt in state.records[model.address].attempts_of(model.fingerprint)
    }
    for key in sorted(counts.keys() | expected):
        if counts[key] > 1 or (key in expected and counts[key] != 1):
            yield f"{counts[key]} jobs survive for {key}"


def _unfinished(project: Project, desired: Desired, state: State) -> Iterator[str]:
    live = {job["name"]: job["state"] for job in project.jobs()}
    for model in desired.models:
        job = state.records[model.address].current.job
        if live.get(job) != JobState.SUCCEEDED:
            yield f"{model.address} is {live.get(job)}"
    yield from (f"{name} is still {found}" for name, found in live.items() if found not in ENDED_STATES)
    if state.intents or state.queue:
        yield f"left open: {sorted(state.intents)} {sorted(state.queue)}"


def _unnamed(project: Project, state: State) -> Iterator[str]:
    remembered = [*state.records.values(), *state.retired.values()]
    named = {attempt.job for record in remembered for attempt in record.attempts}
    yield from (f"no record names {job['name']} ({job['state']})" for job in project.jobs() if job["name"] not in named)


def _chain_problems(project: Project, state: State) -> Iterator[str]:
    found = verify(project.history(), covered=read_head(state.history_head))
    yield from found.problems
    if found.unfinished:
        yield f"{found.unfinished} lines of the history are not covered by the state"


def _epoch_problems(project: Project, states: list[State]) -> Iterator[str]:
    """Each epoch is written by one process alone, and never again once a later one has begun."""
    begun: dict[int, str] = {}
    for (writer, _), before, state in zip(project.state.versions[1:], states, states[1:], strict=False):
        if state.epoch < before.epoch:
            yield f"{writer} wrote epoch {state.epoch} after {before.epoch}"
        if begun.setdefault(state.epoch, writer) != writer:
            yield f"{writer} wrote in epoch {state.epoch} of {begun[state.epoch]}"
