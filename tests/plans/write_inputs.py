"""Writes the inputs of the golden plans: for each case its manifests, what the service lists, and the state.

    python -m tests.plans.write_inputs

Needed when the format of the state changes before its first release; afterwards an old state.json must stay readable.
Then run the tests with --update-golden and read the difference.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from reconciler.manifest.load import load_manifests
from reconciler.model.desired import DesiredModel
from reconciler.model.labels import ownership_labels
from reconciler.providers.protocol import JobRequest
from reconciler.providers.wire.tuning_jobs import body_from_request
from reconciler.state.codec import encode_state
from reconciler.state.records import Attempt, Because, Origin, Record, State, Ticket

HERE = Path(__file__).parent
AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
LINEAGE = "0b5c7d1e-2f3a-4b5c-8d6e-7f8091a2b3c4"
ANOTHER = "9d2f0c44-1111-4222-8333-944445555666"
PROJECT = "projects/1234567890"
RUNNING = ("JOB_STATE_RUNNING", "JOB_STATE_PENDING", "JOB_STATE_CANCELLING")
Models = Mapping[str, DesiredModel]

STACK = """\
apiVersion: tuneform/v1
kind: Stack
metadata: {name: support}
spec:
  project: demo-project
  location: us-central1
  state: ../state.json
  catalogueAsOf: 2026-11-20
  quota: {concurrentJobs: 2}
  defaults:
    hyperParameters: {epochCount: 4}
    labels: {team: support}
"""
SWEEP = """\
apiVersion: tuneform/v1
kind: Sweep
metadata: {name: %s}
spec:
  template:
    baseModel: gemini-3.1-flash-lite
    trainingDatasetUri: gs://demo-data/intent/train.jsonl
    priority: low
  matrix:
    hyperParameters.epochCount: [2, 4]
    hyperParameters.adapterSize: [4, 8]
"""
GEMINI = "baseModel: gemini-3.5-flash"


def manifest(name: str, *lines: str, epochs: int | None = None, dataset: str | None = None, start: str = GEMINI) -> str:
    """The manifest of one model."""
    spec = [start, f"trainingDatasetUri: gs://demo-data/{dataset or name}/train.jsonl"]
    spec += [f"hyperParameters: {{epochCount: {epochs}}}"] if epochs else []
    head = ["apiVersion: tuneform/v1", "kind: TunedModel", f"metadata: {{name: {name}}}", "spec:"]
    return "".join(f"{line}\n" for line in [*head, *(f"  {line}" for line in (*spec, *lines))])


def intent(epochs: int | None = None, name: str = "intent-classifier") -> str:
    """The manifest of a model with a display name and a high priority."""
    lines = ("tunedModelDisplayName: Intent classifier", "priority: high")
    return manifest(name, *lines, epochs=epochs, dataset="intent")


def summaries(epochs: int | None = None, *lines: str) -> str:
    """The manifest of a plain model."""
    return manifest("ticket-summaries", *lines, epochs=epochs, dataset="tickets")


def write_manifests(folder: Path, manifests: Iterable[str]) -> None:
    """A stack of these manifests."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "stack.yaml").write_text(STACK)
    (folder / "models.yaml").write_text("---\n".join(manifests))


def models_of(*manifests: str) -> Models:
    """What these manifests ask for, by address."""
    with tempfile.TemporaryDirectory() as place:
        write_manifests(Path(place) / "manifests", manifests)
        back = Path.cwd()
        os.chdir(place)
        try:
            return load_manifests(Path("manifests"))[0].by_address()
        finally:
            os.chdir(back)


def job(
    model: DesiredModel,
    number: int,
    state: str = "SUCCEEDED",
    *,
    owner: str | None = LINEAGE,
    hours: int = 30,
    error: tuple[int, str] | None = None,
) -> dict[str, Any]:
    """The model's job as the service lists it, created so many hours ago; without an owner it is a stranger's."""
    labels = {path.removeprefix("labels."): str(v) for path, v in model.fields.items() if path.startswith("labels.")}
    if owner is not None:
        address, fingerprint = model.address, model.fingerprint
        labels |= ownership_labels(
            owner=owner, stack="support", address=address, fingerprint=fingerprint, attempt=1, nonce=f"t{number}"
        )
    parent = None if model.parent is None else f"{PROJECT}/locations/us/models/5000@1"
    request = JobRequest(
        location=model.location,
        fields=model.fields,
        labels=labels,
        nonce=f"t{number}",
        display_name=None if model.parent is None else model.address,
        pre_tuned_model=parent,
    )
    body = body_from_request(request)
    spec = body["supervisedTuningSpec"]
    spec["hyperParameters"] = {"adapterSize": "ADAPTER_SIZE_FOUR", "learningRateMultiplier": 1} | spec[
        "hyperParameters"
    ]
    created = AT - timedelta(hours=hours)
    body |= {
        "name": f"{PROJECT}/locations/{model.location}/tuningJobs/{number}",
        "state": f"JOB_STATE_{state}",
        "createTime": created.isoformat(),
        "startTime": (created + timedelta(minutes=3)).isoformat(),
        "updateTime": (created + timedelta(minutes=50)).isoformat(),
    }
    if body["state"] not in RUNNING:
        body["endTime"] = body["updateTime"]
    if state == "SUCCEEDED":
        made = f"{PROJECT}/locations/us"
        body["tunedModel"] = {"model": f"{made}/models/{number}000@1", "endpoint": f"{made}/endpoints/{number}000"}
    return body if error is None else {**body, "error": {"code": error[0], "message": error[1]}}


def record(*made: tuple[DesiredModel, int], because: Because | None = None) -> Record:
    """The record of jobs of these numbers, made for these models of one address."""
    attempts = tuple(
        Attempt(
            number=1,
            fingerprint=model.fingerprint,
            job=f"{PROJECT}/locations/{model.location}/tuningJobs/{number}",
            location=model.location,
            origin=Origin.CREATED,
            recorded_at=AT - timedelta(hours=30),
            fields=model.fields,
            nonce=f"t{number}",
            because=because,
        )
        for model, number in made
    )
    last = made[-1][0]
    return Record(address=last.address, attempts=attempts, lifecycle=last.lifecycle, source=last.source)


def ticket(model: DesiredModel) -> Ticket:
    """A ticket that has waited for two hours."""
    return Ticket(
        address=model.address,
        fingerprint=model.fingerprint,
        attempt=1,
        reason="new",
        priority=model.priority,
        location=model.location,
        enqueued_at=AT - timedelta(hours=2),
        approved_by="ada@example.com",
    )


def write(
    case: str,
    manifests: Iterable[str],
    jobs: Iterable[dict[str, Any]],
    *,
    records: Iterable[Record] = (),
    queue: Iterable[Ticket] = (),
    applied: bool = True,
    unread: Mapping[str, str] | None = None,
) -> None:
    """The folder of one case."""
    write_manifests(HERE / case / "manifests", manifests)
    live = {"unread": unread or {}, "models": None, "tuningJobs": list(jobs)}
    (HERE / case / "live.json").write_text(json.dumps(live, indent=1) + "\n")
    state = State(
        lineage=LINEAGE,
        stack="support",
        project="demo-project",
        endpoint="vertex-ai",
        serial=12 if applied else 0,
        epoch=3 if applied else 0,
        applied=applied,
        records={one.address: one for one in records},
        queue={one.address: one for one in queue},
    )
    (HERE / case / "state.json").write_text(encode_state(state))


def numbered(models: Models, first: int = 1) -> list[tuple[DesiredModel, int]]:
    """The models in the order of their addresses, each with a job number."""
    return [(model, number) for number, (_, model) in enumerate(sorted(models.items()), start=first)]


STRANGER = models_of(manifest("stranger", dataset="other-team"))["stranger"]


def first_plan() -> None:
    """Nothing was ever applied, and somebody else's job uses a slot."""
    jobs = [job(STRANGER, 789, "RUNNING", owner=None, hours=3)]
    write("first-plan", [intent(), summaries(), SWEEP % "intent-sweep"], jobs, applied=False)


def edits() -> None:
    """A model was edited while it runs; another after it was tuned, beside edits that need no new job."""
    old = numbered(models_of(intent(), summaries()))
    records = [record(one) for one in old]
    running = [job(*old[0], state="RUNNING", hours=1), job(*old[1])]
    write("edit-while-running", [intent(8), summaries()], running, records=records)
    old = numbered(models_of(intent(), summaries(), manifest("faq")))
    now = [
        intent(8),
        summaries(None, "hyperParameters: {adapterSize: 4}"),
        manifest("faq", "description: Answers for the help page."),
    ]
    write("edit-after-success", now, [job(*one) for one in old], records=[record(one) for one in old])


def removals() -> None:
    """Removed: one that runs, one that is tuned, one whose model is to be deleted, and one that waits."""
    old = models_of(
        intent(),
        summaries(),
        manifest("faq"),
        manifest("drafts", "lifecycle: {onRemove: delete}"),
        manifest("backlog"),
    )
    made = [one for one in numbered(old) if one[0].address != "backlog"]
    jobs = [job(*one, state="RUNNING", hours=1) if one[0].address == "intent-classifier" else job(*one) for one in made]
    write("remove-running", [summaries()], jobs, records=[record(one) for one in made], queue=[ticket(old["backlog"])])


def reverts() -> None:
    """Two edits were taken back: the job of one has ended, that of the other runs."""
    before, after = numbered(models_of(intent(), summaries())), numbered(models_of(intent(8), summaries(8)), 3)
    records = [record(*pair) for pair in zip(before, after, strict=True)]
    jobs = [*(job(*one, hours=60) for one in before), job(*after[0]), job(*after[1], state="RUNNING", hours=1)]
    write("revert", [intent(), summaries()], jobs, records=records)


def failures() -> None:
    """Jobs that failed for good, failed for a while, were cancelled, and vanished."""
    manifests = [
        manifest("bad-dataset"),
        manifest("busy-hour", "lifecycle: {retries: 2}"),
        manifest("stopped-by-us"),
        manifest("stopped-in-the-console"),
        manifest("vanished"),
    ]
    bad, busy, ours, theirs, gone = numbered(models_of(*manifests))
    jobs = [
        job(*bad, state="FAILED", error=(3, "Row 7 of gs://demo-data/bad-dataset/train.jsonl is not valid JSON.")),
        job(*busy, state="FAILED", error=(14, "The service is currently unavailable.")),
        job(*ours, state="CANCELLED"),
        job(*theirs, state="CANCELLED"),
    ]
    records = [record(bad), record(busy), record(ours, because=Because.REQUESTED), record(theirs), record(gone)]
    write("failed-jobs", manifests, jobs, records=records)


def strangers() -> None:
    """A location cannot be read, others use a slot, and another owner has tuned one of our models already."""
    manifests = [intent(), summaries(), manifest("summaries-eu", "location: europe-west4"), manifest("faq")]
    old = models_of(*manifests)
    tuned, there = (old["intent-classifier"], 1), (old["summaries-eu"], 2)
    jobs = [
        job(*tuned),
        job(STRANGER, 789, "RUNNING", owner=None, hours=3),
        job(old["ticket-summaries"], 77, owner=ANOTHER),
    ]
    write(
        "foreign-and-unread",
        manifests,
        jobs,
        records=[record(tuned), record(there)],
        queue=[ticket(old["faq"])],
        unread={"europe-west4": "Vertex AI answered 503 UNAVAILABLE"},
    )


def renames() -> None:
    """A model and a whole sweep got new names, while one of them runs."""
    old = numbered(models_of(intent(), SWEEP % "intent-sweep"))
    jobs = [job(*one, state="RUNNING" if one[1] == 2 else "SUCCEEDED") for one in old]
    now = [intent(name="intents"), SWEEP % "intent-grid"]
    write("rename", now, jobs, records=[record(one) for one in old])


def families() -> None:
    """A parent was edited: one child follows, one stays; beside them a protected model was edited."""

    def family(epochs: int | None) -> list[str]:
        from_base = "preTunedModel: {address: base}"
        return [
            manifest("base", epochs=epochs),
            manifest("follows", "lifecycle: {onParentChange: retrain}", start=from_base),
            manifest("stays", start=from_base),
            manifest("guarded", "lifecycle: {preventReplace: true}", epochs=epochs),
        ]

    old = numbered(models_of(*family(None)), 5)
    write("continuous-tuning", family(8), [job(*one) for one in old], records=[record(one) for one in old])


CASES: tuple[Callable[[], None], ...] = (
    first_plan,
    edits,
    removals,
    reverts,
    failures,
    strangers,
    renames,
    families,
)


if __name__ == "__main__":
    for write_case in CASES:
        write_case()
