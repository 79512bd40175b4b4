"""A stack of thousands of tuned models that nothing changed: how long a plan takes, stage by stage, and a start.

Writes manifests, a state and a simulated Vertex AI in which every model is tuned into a temporary folder, then runs the
real commands on them as processes of their own, and the stages of a plan in this one. Prints medians in seconds, and
each stage as a share of its plan; judges nothing.

    python bench/run.py [MODELS] [TIMES]
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from reconciler.cli.session import check_manifests, open_session
from reconciler.executor.cycle import run_cycle
from reconciler.manifest.load import load_manifests
from reconciler.model.desired import Desired, DesiredModel
from reconciler.model.job import JobState
from reconciler.model.labels import ownership_labels
from reconciler.plan import encode_plan
from reconciler.planner.make import make_plan
from reconciler.providers.protocol import JobRequest
from reconciler.providers.wire.tuning_jobs import body_from_request
from reconciler.reconcile import look
from reconciler.renderers.plan_text import render_plan
from reconciler.renderers.text import Style
from reconciler.simulator.outcomes import Outcome
from reconciler.simulator.world import Job, World, encode_world, project_number
from reconciler.state.codec import decode_state, encode_state
from reconciler.state.records import Attempt, Origin, Record, State

START = datetime(2026, 11, 20, 12, tzinfo=UTC)
LINEAGE = "1b4e28ba-2fa1-4d3e-883f-0016d3cca427"
MODELS_PER_FILE = 100
# A plan reads every location; real fleets are not all in one.
LOCATIONS = ("us-central1", "europe-west4")

STACK = """apiVersion: tuneform/v1
kind: Stack
metadata: {name: bench}
spec:
  project: demo-project
  location: us-central1
  endpoint: simulator
  state: ../state/bench.json
  catalogueAsOf: 2026-11-20
  quota: {concurrentJobs: 2}
  simulator: {world: ../state/world.json, concurrentJobs: 2}
  defaults: {hyperParameters: {epochCount: 4}, labels: {team: support}}
"""
MODEL = """---
apiVersion: tuneform/v1
kind: TunedModel
metadata: {{name: model-{number:05d}}}
spec:
  baseModel: gemini-3.5-flash
  location: {location}
  trainingDatasetUri: gs://demo-data/model-{number:05d}/train.jsonl
  hyperParameters: {{adapterSize: 4, learningRateMultiplier: 1.0}}
  tunedModelDisplayName: Model {number}
"""


def write_stack(folder: Path, count: int) -> Path:
    """The folder of manifests of a stack of so many models, all tuned, with its state and its world beside it."""
    manifests, beside = folder / "manifests", folder / "state"
    manifests.mkdir()
    beside.mkdir()
    (manifests / "stack.yaml").write_text(STACK)
    for first in range(0, count, MODELS_PER_FILE):
        numbers = range(first, min(first + MODELS_PER_FILE, count))
        texts = (MODEL.format(number=number, location=LOCATIONS[number % len(LOCATIONS)]) for number in numbers)
        (manifests / f"models-{first:05d}.yaml").write_text("".join(texts))
    desired, _ = load_manifests(manifests)
    jobs = {model.address: tuned_job(model, number) for number, model in enumerate(desired.models, start=1)}
    (beside / "world.json").write_text(json.dumps(encode_world(world_of(jobs.values()))))
    (beside / "bench.json").write_text(encode_state(state_of(desired, jobs)))
    return manifests


def tuned_job(model: DesiredModel, number: int) -> Job:
    """The job that tuned the model, as the simulated Vertex AI remembers it."""
    labels = ownership_labels(
        owner=LINEAGE,
        stack="bench",
        address=model.address,
        fingerprint=model.fingerprint,
        attempt=1,
        nonce=f"t{number:020d}",
    )
    request = JobRequest(location=model.location, fields=model.fields, labels=labels, nonce=labels["tuneform-nonce"])
    begun = START - timedelta(minutes=number)
    parent = f"projects/{project_number('demo-project')}/locations/{model.location}"
    return Job(
        name=f"{parent}/tuningJobs/{10**18 + number}",
        sequence=number,
        base_model=str(model.base_model),
        spec=body_from_request(request),
        created_at=begun,
        run_s=1800,
        outcome=Outcome.SUCCEED,
        slot_at=begun,
        running_at=begun + timedelta(minutes=2),
        ends_at=begun + timedelta(minutes=32),
        end_state=JobState.SUCCEEDED,
        tuned_model={"model": f"{parent}/models/{10**18 + number}@1", "endpoint": f"{parent}/endpoints/{number}"},
    )


def world_of(jobs: Any) -> World:
    """A world in which these jobs have ended."""
    world = World(seed=1, at=START, issued=10**6)
    for job in jobs:
        world.put(job)
    return world


def state_of(desired: Desired, jobs: dict[str, Job]) -> State:
    """The state that made these jobs."""
    records = {
        model.address: Record(
            address=model.address,
            attempts=(
                Attempt(
                    number=1,
                    fingerprint=model.fingerprint,
                    job=jobs[model.address].name,
                    location=model.location,
                    origin=Origin.CREATED,
                    recorded_at=jobs[model.address].created_at,
                    fields=model.fields,
                    nonce=jobs[model.address].spec["labels"]["tuneform-nonce"],
                    ended_as=JobState.SUCCEEDED,
                ),
            ),
            lifecycle=model.lifecycle,
            source=model.source,
        )
        for model in desired.models
    }
    return State(
        lineage=LINEAGE, stack="bench", project="demo-project", endpoint="simulator", applied=True, records=records
    )


@dataclass(frozen=True, slots=True)
class Spent:
    """Wall and processor seconds of one run."""

    wall_s: float
    cpu_s: float


def spent_by(act: Callable[[], object], who: int) -> Spent:
    """What a call cost this process or its children."""
    before, begun = resource.getrusage(who), time.perf_counter()
    act()
    after = resource.getrusage(who)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Spent(time.perf_counter() - begun, cpu_s)


def median(runs: list[Spent]) -> Spent:
    """The median of each figure."""
    return Spent(statistics.median(run.wall_s for run in runs), statistics.median(run.cpu_s for run in runs))


def command(*arguments: str) -> Callable[[], object]:
    """A tuneform command as a process of its own."""

    def run() -> object:
        return subprocess.run([sys.executable, "-m", "reconciler", *arguments], check=True, stdout=subprocess.DEVNULL)

    return run


def stages(manifests: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    """What a plan consists of, each with what the one before left."""
    checked = check_manifests(manifests)
    desired = checked.desired
    session = open_session(manifests)
    observation = look(session.effects)
    stored = session.effects.store.read()
    assert stored is not None

    def planned() -> Any:
        return make_plan(desired, session.held.state, observation, now=START, defaults=session.effects.defaults)

    plan = planned()
    # Another name for every model, so that each has to be found among those that are leaving.
    renamed = replace(desired, models=tuple(replace(one, address=f"new-{one.address}") for one in desired.models))
    yield "read the manifests", lambda: load_manifests(manifests)
    yield "… and hold them against the catalogue", lambda: check_manifests(manifests)
    yield "decode the state", lambda: decode_state(stored.text, "bench")
    yield "encode the state", lambda: encode_state(session.held.state)
    yield "list the jobs of all locations (simulated)", lambda: look(session.effects)
    yield "decide", planned
    yield (
        "decide, every model renamed",
        lambda: make_plan(renamed, session.held.state, observation, now=START, defaults=session.effects.defaults),
    )
    scope = frozenset(one.address for one in desired.models)
    yield (
        "one pass of an apply, that full look included",
        lambda: run_cycle(session.effects, session.held, desired, scope),
    )
    yield "render for people", lambda: render_plan(plan, Style())
    yield "render as JSON", lambda: json.dumps(encode_plan(plan))


def report(name: str, spent: Spent, whole: Spent) -> None:
    """One line."""
    share = spent.cpu_s / whole.cpu_s if whole.cpu_s else 0.0
    sys.stdout.write(f"{name:<46} {spent.wall_s:7.2f} s wall {spent.cpu_s:7.2f} s cpu {share:6.0%}\n")


def main(count: int, times: int) -> None:
    """Measures, and prints."""
    with tempfile.TemporaryDirectory() as folder:
        manifests = write_stack(Path(folder), count)
        children, here = resource.RUSAGE_CHILDREN, resource.RUSAGE_SELF
        where = ("--manifests", str(manifests))
        start = median([spent_by(command("version"), children) for _ in range(max(5, times))])
        whole = median([spent_by(command("plan", *where), children) for _ in range(times)])
        sys.stdout.write(f"{count} models that nothing changed, median of {times}; shares are of the plan command\n")
        report("start (tuneform version)", start, whole)
        report("tuneform validate", median([spent_by(command("validate", *where), children)]), whole)
        report("tuneform plan", whole, whole)
        report("tuneform status", median([spent_by(command("status", *where), children)]), whole)
        for name, act in stages(manifests):
            report(name, median([spent_by(act, here) for _ in range(times)]), whole)


if __name__ == "__main__":
    given = [int(one) for one in sys.argv[1:]]
    main(*(given + [10_000, 3][len(given) :]))
