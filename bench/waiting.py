"""The waiting apply, end to end over the simulator in simulated time: how busy it keeps the slots, how often it asks.

Beside it the loop of Google's own samples, one thread a job that sleeps a minute and asks for its job, submitting the
next when one has ended. Prints slot utilisation (the final drain left out) and requests an hour for both.

    python bench/waiting.py [JOBS_PER_SLOT]
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random

from reconciler.errors import Source
from reconciler.executor.cycle import carry_out
from reconciler.executor.effects import Effects
from reconciler.executor.loop import follow
from reconciler.model.desired import Desired, DesiredModel, QuotaSettings, Stack
from reconciler.model.fields import Fields, fingerprint
from reconciler.model.labels import ownership_labels
from reconciler.providers.auth import FixedToken
from reconciler.providers.connection import Connection
from reconciler.providers.http import Http
from reconciler.providers.limited import LimitedProvider
from reconciler.providers.protocol import JobRequest
from reconciler.providers.vertex import VertexClient
from reconciler.reconcile import plan_stack
from reconciler.simulator.clock import ManualClock
from reconciler.simulator.simulator import Simulator
from reconciler.state.held import Held
from reconciler.state.records import State
from reconciler.state.store import Stored

START = datetime(2026, 11, 20, 12, tzinfo=UTC)
# The samples sleep a minute between requests, and a request takes its time too.
SAMPLE_PAUSE = timedelta(seconds=60.7)
WHERE = Source("bench", 1, 1)
# As many as the catalogue names; a full look asks each of them.
LOCATIONS = ("us-central1", "europe-west4", *(f"asia-east{number}" for number in range(1, 30)))


class Memory:
    """A state kept in memory."""

    where = "memory"

    def __init__(self) -> None:
        self.stored: Stored | None = None

    def read(self) -> Stored | None:
        return self.stored

    def write(self, text: str, *, expected: str | None) -> str:
        self.stored = Stored(text, f"{int(expected or 0) + 1}")
        return self.stored.version


def a_model(number: int) -> DesiredModel:
    fields: Fields = {
        "baseModel": "gemini-3.5-flash",
        "location": "us-central1",
        "method": "supervised",
        "trainingDatasetUri": "gs://demo-data/tickets/train.jsonl",
        "hyperParameters.epochCount": 3,
        "hyperParameters.learningRateMultiplier": 1 + number / 1000,
    }
    return DesiredModel(address=f"model-{number:04}", fields=fields, fingerprint=fingerprint(fields), source=WHERE)


def setting(slots: int) -> tuple[Simulator, ManualClock, LimitedProvider]:
    clock = ManualClock(START)
    simulator = Simulator.in_memory(clock, concurrent_jobs=slots)
    http = Http(connection=Connection(transport=simulator.transport()), tokens=FixedToken("bench"), clock=clock)
    return simulator, clock, LimitedProvider(VertexClient(project="bench", http=http), clock)


def tuneform(slots: int, jobs: int) -> tuple[float, float, float]:
    simulator, clock, provider = setting(slots)
    stack = Stack(
        name="bench",
        project="bench",
        location="us-central1",
        state="memory",
        source=WHERE,
        quota=QuotaSettings(concurrent_jobs=slots),
    )
    desired = Desired(stack=stack, models=tuple(a_model(number) for number in range(jobs)), digests={})
    ids = iter(range(10**9))
    effects = Effects(
        provider=provider,
        store=Memory(),
        clock=clock,
        locations=LOCATIONS,
        new_id=lambda: str(next(ids)),
        report=lambda event: None,
        jitter=Random(1).random,
    )
    held = Held(State(lineage="bench", stack="bench", project="bench", endpoint="simulator"), None)
    planned = plan_stack(effects, desired, held)
    held = carry_out(effects, held, desired, planned.plan.changes, planned.observation)
    follow(effects, held, desired, frozenset(desired.by_address()), wait=True)
    return figures(simulator, slots, provider.request_count)


def threads(slots: int, jobs: int) -> tuple[float, float, float]:
    """The samples' loop: a thread a job sleeps a minute, asks for its job, and takes the next when it has ended."""
    simulator, clock, provider = setting(slots)
    waiting = [a_model(number) for number in range(jobs)]
    at: list[tuple[datetime, str | None]] = [(START + timedelta(seconds=n), None) for n in range(slots)]
    while at:
        at.sort()
        when, job = at.pop(0)
        clock.advance_to(when)
        if job is not None and provider.get_job(job).is_active:
            at.append((when + SAMPLE_PAUSE, job))
            continue
        if waiting:
            model = waiting.pop(0)
            labels = ownership_labels(
                owner="o", stack="s", address=model.address, fingerprint=model.fingerprint, attempt=1, nonce="n"
            )
            request = JobRequest(location="us-central1", fields=model.fields, labels=labels, nonce="n")
            at.append((when + SAMPLE_PAUSE, provider.create_job(request).name))
    return figures(simulator, slots, provider.request_count)


def figures(simulator: Simulator, slots: int, requests: int) -> tuple[float, float, float]:
    """Mean length in minutes, utilisation until the first slot has nobody left to serve, requests an hour."""
    spans = sorted((instant(job["createTime"]), instant(job["endTime"])) for job in simulator.jobs())
    last_start = spans[-1][0]
    busy = sum((min(end, last_start) - start).total_seconds() for start, end in spans)
    whole = (last_start - spans[0][0]).total_seconds() * slots
    length = sum((end - start).total_seconds() for start, end in spans) / len(spans) / 60
    hours = (max(end for _, end in spans) - spans[0][0]).total_seconds() / 3600
    return length, busy / whole, requests / hours


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def main(arguments: Sequence[str]) -> None:
    per_slot = int(arguments[0]) if arguments else 20
    print("slots  job min   tuneform: busy  requests/h   threads: busy  requests/h   requests ratio  idle ratio")
    for slots in (1, 4, 100):
        length, busy, asked = tuneform(slots, slots * per_slot)
        _, other_busy, other_asked = threads(slots, slots * per_slot)
        ratio, idle = asked / other_asked, (1 - busy) / (1 - other_busy)
        row = f"{slots:5}  {length:7.1f}  {busy:15.2%}  {asked:10.1f}  {other_busy:13.2%}  {other_asked:10.1f}"
        print(f"{row}  {ratio:15.2f}  {idle:10.2f}")


if __name__ == "__main__":
    main(sys.argv[1:])
