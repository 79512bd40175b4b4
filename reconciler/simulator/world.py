"""Everything a simulated Vertex AI remembers, and that as JSON and back. Pure but for its own memory.

A job keeps the instants at which it will change, so its state at any instant is a function of the two and does not
depend on how often anybody asks. Models and endpoints are kept as the resources they are answered as.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, TypeAlias

from reconciler.model.job import JobState
from reconciler.model.labels import NONCE
from reconciler.simulator.answers import Resource
from reconciler.simulator.faults import Faults, decode_faults
from reconciler.simulator.outcomes import Outcome
from reconciler.simulator.settings import Settings

WORLD_FORMAT = 1
_FLICKER_S = 30

Verb: TypeAlias = Literal["create", "cancel"]


@dataclass(frozen=True, slots=True)
class Effect:
    """A request that took effect. `nonce` is the label of its job by which a submission knows its own, if any."""

    at: datetime
    verb: Verb
    job: str
    nonce: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One tuning job.

    `spec` is what was asked, in canonical JSON with the server's defaults filled in. `run_s` is how long it is RUNNING.
    `slot_at`, `running_at` and `ends_at` are None while it waits for quota, and lie ahead until they are reached;
    `end_state` is None until the end was reached. `outcome` is how it ends when `ends_at` comes. One that `flickers`
    goes from PENDING back to QUEUED and forth until it runs.
    """

    name: str
    sequence: int
    base_model: str
    spec: Resource
    created_at: datetime
    run_s: int
    outcome: Outcome
    slot_at: datetime | None = None
    running_at: datetime | None = None
    ends_at: datetime | None = None
    cancel_at: datetime | None = None
    end_state: JobState | None = None
    error: Resource | None = None
    tuned_model: Resource | None = None
    flickers: bool = False

    @property
    def project_number(self) -> str:
        """The project it belongs to; quota is counted over it."""
        return self.name.split("/")[1]

    @property
    def location(self) -> str:
        """The region it was created in."""
        return self.name.split("/")[3]

    @property
    def job_id(self) -> str:
        """Its 19 digits."""
        return self.name.rsplit("/", 1)[1]

    def is_running_at(self, instant: datetime) -> bool:
        """Whether it has begun to run by then, ended or not."""
        return self.running_at is not None and self.running_at <= instant

    def state_at(self, instant: datetime) -> JobState:
        """Its state then; the instant must not lie before anything that has already happened to it.

        Source: a pending job was seen to skip CANCELLING, a running one to stay in it for half a minute.
        """
        if self.end_state is not None:
            return self.end_state
        if self.cancel_at is not None and self.is_running_at(self.cancel_at):
            return JobState.CANCELLING
        if self.is_running_at(instant):
            return JobState.RUNNING
        is_back = self.flickers and (instant - self.created_at).total_seconds() // _FLICKER_S % 2 == 1
        return JobState.QUEUED if is_back else JobState.PENDING

    def updated_at(self, instant: datetime) -> datetime:
        """When it last changed, as of then."""
        changes = (self.created_at, self.slot_at, self.running_at, self.cancel_at, self.ends_at)
        return max(change for change in changes if change is not None and change <= instant)


@dataclass(slots=True, kw_only=True)
class World:
    """The memory. `at` is the last simulated instant anybody saw. `revision` rises with every change.

    `real_at` is the real instant of the last save, None for a world that was never saved. `issued` counts the ids
    given out. `active` is the index of the jobs that have not ended, in create order. Models are keyed
    `…/models/M@version`. `effects` are the requests that took effect, in their order. `foreign_at` is when the next
    foreign job comes, None until that is drawn; `foreign_count` counts those that came.
    """

    seed: int
    at: datetime
    settings: Settings = field(default_factory=Settings)
    faults: Faults = field(default_factory=Faults)
    real_at: datetime | None = None
    issued: int = 0
    revision: int = 0
    jobs: dict[str, Job] = field(default_factory=dict)
    active: dict[str, Job] = field(default_factory=dict)
    models: dict[str, Resource] = field(default_factory=dict)
    endpoints: dict[str, Resource] = field(default_factory=dict)
    effects: list[Effect] = field(default_factory=list)
    foreign_at: datetime | None = None
    foreign_count: int = 0

    def record(self, verb: Verb, job: Job) -> None:
        """Remember that a request took effect, now."""
        self.effects.append(Effect(self.at, verb, job.name, job.spec.get("labels", {}).get(NONCE)))
        self.revision += 1

    def put(self, job: Job) -> None:
        """Remember the job as it is now."""
        self.jobs[job.name] = job
        if job.end_state is None:
            self.active[job.name] = job
        else:
            self.active.pop(job.name, None)
        self.revision += 1

    def new_id(self) -> str:
        """The next id: 19 decimal digits that fit an int64, never the same twice."""
        self.issued += 1
        return str(10**18 + self._draw("id") % (8 * 10**18))

    def new_uuid(self) -> str:
        """The next random-looking UUID (version 4)."""
        self.issued += 1
        hexes = f"{self._draw('uuid'):032x}"
        return f"{hexes[:8]}-{hexes[8:12]}-4{hexes[13:16]}-a{hexes[17:20]}-{hexes[20:32]}"

    def _draw(self, purpose: str) -> int:
        digest = hashlib.sha256(f"{self.seed}:{purpose}:{self.issued}".encode()).digest()
        return int.from_bytes(digest[:16], "big")


def project_number(project: str) -> str:
    """The number of a project, by which the service names it whichever form was asked; 12 digits drawn from the id."""
    if project.isdecimal():
        return project
    digest = hashlib.sha256(project.encode()).digest()
    return str(100_000_000_000 + int.from_bytes(digest[:8], "big") % 899_999_999_999)


def canonical_name(name: str) -> str:
    """A resource name with the project's number in it, for a name with either."""
    parts = name.split("/")
    if len(parts) > 1 and parts[0] == "projects":
        parts[1] = project_number(parts[1])
    return "/".join(parts)


def rfc3339(instant: datetime) -> str:
    """An instant as the API writes it, with microseconds and Z."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def encode_world(world: World) -> Resource:
    """The world as plain JSON."""
    return {
        "format": WORLD_FORMAT,
        "seed": world.seed,
        "at": world.at.isoformat(),
        "real_at": _instant_text(world.real_at),
        "settings": dataclasses.asdict(world.settings),
        "faults": dataclasses.asdict(world.faults),
        "issued": world.issued,
        "revision": world.revision,
        "jobs": [_encode_job(job) for job in world.jobs.values()],
        "models": world.models,
        "endpoints": world.endpoints,
        "effects": [[one.at.isoformat(), one.verb, one.job, one.nonce] for one in world.effects],
        "foreign_at": _instant_text(world.foreign_at),
        "foreign_count": world.foreign_count,
    }


def decode_world(document: Resource) -> World:
    """The world that was encoded; raises KeyError, TypeError, ValueError or UsageError for anything else."""
    if document["format"] != WORLD_FORMAT:
        raise ValueError(f"format {document['format']!r} instead of {WORLD_FORMAT}")
    world = World(
        seed=int(document["seed"]),
        at=datetime.fromisoformat(document["at"]),
        real_at=_instant(document["real_at"]),
        settings=Settings(**document["settings"]),
        faults=decode_faults(document["faults"]),
        issued=int(document["issued"]),
        models=dict(document["models"]),
        endpoints=dict(document["endpoints"]),
        # Worlds were saved without these once.
        effects=[Effect(datetime.fromisoformat(at), *rest) for at, *rest in document.get("effects", ())],
        foreign_at=_instant(document.get("foreign_at")),
        foreign_count=int(document.get("foreign_count", 0)),
    )
    for job in document["jobs"]:
        world.put(_decode_job(job))
    world.revision = int(document["revision"])
    return world


_JOB_INSTANTS = ("created_at", "slot_at", "running_at", "ends_at", "cancel_at")


def _encode_job(job: Job) -> Resource:
    # Not dataclasses.asdict: that copies every spec, and a world is encoded at each change.
    encoded: Resource = {one.name: getattr(job, one.name) for one in dataclasses.fields(job)}
    return encoded | {key: _instant_text(encoded[key]) for key in _JOB_INSTANTS}


def _decode_job(document: Mapping[str, object]) -> Job:
    values: Resource = dict(document)
    values |= {key: _instant(values[key]) for key in _JOB_INSTANTS}
    end_state = values["end_state"]
    values |= {"outcome": Outcome(values["outcome"]), "end_state": None if end_state is None else JobState(end_state)}
    return Job(**values)


def _instant_text(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat()


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
