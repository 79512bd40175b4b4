"""Gathers, for each address, the facts its decision rests on. Pure: desired, state and observation in, facts out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from reconciler.model.address import address_label
from reconciler.model.desired import Desired, DesiredModel
from reconciler.model.fields import PARENT_FINGERPRINT, Effect, Fields, Value, canonical, effect_of
from reconciler.model.job import LiveJob
from reconciler.model.observation import Observation
from reconciler.plan import Reason
from reconciler.state.records import Attempt, Intent, Record, State, Ticket
from reconciler.state.unseen import is_fresh, is_settled


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything one decision may look at.

    `record` is the record of the address, for a desired one also a retired record it takes back. `live` is the job
    that stands for the address, None when there is none or it cannot be found. `is_unseen`: a job for it was made a
    moment ago and is not listed yet, or is being made under an address that is no longer desired. `unrecorded` is a
    job of ours that no record names and that may stand for the desired model. `unread` are the locations of this
    address that could not be read.
    `model_exists`, `dataset_changed` and `metadata_differs` are None where nobody looked. `defaults` are values the
    service fills in for fields that are not set. `parent_reason` is what this plan decided for the declared parent.
    """

    address: str
    desired: DesiredModel | None = None
    record: Record | None = None
    intent: Intent | None = None
    intent_job: LiveJob | None = None
    intent_is_settled: bool = False
    is_unseen: bool = False
    ticket: Ticket | None = None
    place: int | None = None
    live: LiveJob | None = None
    unrecorded: LiveJob | None = None
    unread: tuple[str, ...] = ()
    moved_to: str | None = None
    moved_from: str | None = None
    foreign: LiveJob | None = None
    older: LiveJob | None = None
    model_exists: bool | None = None
    dataset_changed: bool | None = None
    metadata_differs: bool | None = None
    defaults: Fields = field(default_factory=dict)
    parent_reason: Reason | None = None

    @property
    def live_fingerprint(self) -> str | None:
        """The fingerprint of the job that stands for the address: as recorded, else as its label says."""
        if self.record is not None:
            return self.record.current.fingerprint
        return None if self.live is None else self.live.fingerprint

    @property
    def differs(self) -> bool:
        """Whether desired asks for something else than the job that stands for the address."""
        return self.desired is not None and self.desired.fingerprint != self.live_fingerprint

    @property
    def is_active(self) -> bool:
        """Whether the job that stands for the address uses quota."""
        return self.live is not None and self.live.is_active

    @property
    def has_succeeded(self) -> bool:
        """Whether the job that stands for the address made a model."""
        return self.live is not None and self.live.has_succeeded

    @property
    def live_name(self) -> str | None:
        """The resource name of the job that stands for the address; None without one."""
        return None if self.live is None else self.live.name

    @property
    def attempts_made(self) -> int:
        """How many jobs were already made for the desired fingerprint, those the state has lost included."""
        if self.record is None or self.desired is None:
            return 0
        return self.record.attempts_made(self.desired.fingerprint)


def gather_facts(
    desired: Desired,
    state: State,
    observation: Observation,
    *,
    places: Mapping[str, int],
    defaults: Callable[[DesiredModel], Fields],
) -> tuple[Facts, ...]:
    """Facts for every decided address, sorted: what is desired, recorded, intended or queued.

    `places` are the places in the queue, from 1. Jobs known by their labels only are not decided, only found.
    """
    wanted = desired.by_address()
    index = _Index(wanted, state, observation)
    moves = _pair_moves(wanted, state, index, defaults)
    sources = {new: old for old, new in moves.items()}
    addresses = sorted(wanted.keys() | state.records.keys() | state.intents.keys() | state.queue.keys())
    return tuple(
        _facts_of(address, wanted.get(address), index, places=places, moves=moves, sources=sources, defaults=defaults)
        for address in addresses
    )


class _Index:
    """The observation, turned so that each question about one address is one look-up."""

    def __init__(self, wanted: Mapping[str, DesiredModel], state: State, observation: Observation) -> None:
        self.state = state
        self.observation = observation
        self.by_name = observation.by_name()
        remembered = [*state.records.values(), *state.retired.values()]
        named = {attempt.job for record in remembered for attempt in record.attempts}
        nonces = {intent.nonce for intent in state.intents.values()}
        self.unnamed: dict[str, list[LiveJob]] = {}
        self.others: dict[tuple[str, str], list[LiveJob]] = {}
        self.by_nonce: dict[str, LiveJob] = {}
        for job in sorted(observation.jobs, key=lambda one: (one.created_at, one.name)):
            if job.address_label is None:
                continue
            if job.owner != state.lineage:
                if job.stack == state.stack and job.fingerprint is not None:
                    self.others.setdefault((job.address_label, job.fingerprint), []).append(job)
                continue
            if job.nonce is not None:
                self.by_nonce.setdefault(job.nonce, job)
            if job.name not in named and job.nonce not in nonces:
                self.unnamed.setdefault(job.address_label, []).append(job)
        # What is being submitted under addresses nobody desires any more is most likely a rename under way.
        self.departing = {
            intent.fingerprint
            for address, intent in state.intents.items()
            if address not in wanted and (intent.nonce in self.by_nonce or not is_settled(intent, observation))
        }


def _facts_of(
    address: str,
    model: DesiredModel | None,
    index: _Index,
    *,
    places: Mapping[str, int],
    moves: Mapping[str, str],
    sources: Mapping[str, str],
    defaults: Callable[[DesiredModel], Fields],
) -> Facts:
    state, observation = index.state, index.observation
    record = state.records.get(address)
    if record is None and model is not None and address not in sources:
        record = state.retired.get(address)
    intent = state.intents.get(address)
    unrecorded = _unrecorded_job(address, model, record, index)
    live = index.by_name.get(record.current.job) if record is not None else unrecorded
    models = observation.models
    return Facts(
        address=address,
        desired=model,
        record=record,
        intent=intent,
        intent_job=None if intent is None else index.by_nonce.get(intent.nonce),
        intent_is_settled=intent is not None and is_settled(intent, observation),
        ticket=state.queue.get(address),
        place=places.get(address),
        is_unseen=address not in sources and _is_unseen(model, record, live, index),
        live=live,
        unrecorded=unrecorded,
        unread=_unread_locations(model, record, intent, observation),
        moved_to=moves.get(address),
        moved_from=sources.get(address),
        foreign=_foreign_job(address, model, index),
        older=_older_success(model, record, index),
        model_exists=None if models is None or live is None or live.model is None else live.model in models,
        defaults={} if model is None else defaults(model),
    )


def _is_unseen(model: DesiredModel | None, record: Record | None, live: LiveJob | None, index: _Index) -> bool:
    if record is not None:
        return live is None and is_fresh(record.current, index.observation)
    return model is not None and model.fingerprint in index.departing


def _unrecorded_job(address: str, model: DesiredModel | None, record: Record | None, index: _Index) -> LiveJob | None:
    """Of our jobs of this address that no record names: a running one, else one that made what is desired, else the
    newest. Beside a record only what is desired counts.
    """
    wanted = None if model is None else model.fingerprint
    jobs = index.unnamed.get(address_label(address), [])
    if record is not None:
        jobs = [job for job in jobs if job.fingerprint == wanted]

    def rank(job: LiveJob) -> tuple[bool, bool, bool]:
        fits = job.fingerprint == wanted
        return job.is_active, fits and _has_model(job, index.observation), fits

    # Newest first: of equal ranks, `max` takes the first.
    return max(reversed(jobs), key=rank, default=None)


def _has_model(job: LiveJob, observation: Observation) -> bool:
    """Whether it made a model that still exists, as far as anybody looked."""
    if not job.has_succeeded or job.model is None:
        return False
    return observation.models is None or job.model in observation.models


def _unread_locations(
    model: DesiredModel | None, record: Record | None, intent: Intent | None, observation: Observation
) -> tuple[str, ...]:
    locations = set()
    if model is not None:
        locations.add(model.location)
    if record is not None:
        locations.add(record.current.location)
    if intent is not None:
        locations.add(intent.location)
    return tuple(sorted(locations - observation.read))


def _foreign_job(address: str, model: DesiredModel | None, index: _Index) -> LiveJob | None:
    if model is None:
        return None
    jobs = index.others.get((address_label(address), model.fingerprint), [])
    return next((job for job in jobs if job.is_active or job.has_succeeded), None)


def _older_success(model: DesiredModel | None, record: Record | None, index: _Index) -> LiveJob | None:
    """The newest earlier job of this address with the desired fingerprint that succeeded and still has its model."""
    if model is None or record is None:
        return None
    for attempt in reversed(record.attempts[:-1]):
        job = index.by_name.get(attempt.job)
        if attempt.fingerprint == model.fingerprint and job is not None and _has_model(job, index.observation):
            return job
    return None


def _pair_moves(
    wanted: Mapping[str, DesiredModel],
    state: State,
    index: _Index,
    defaults: Callable[[DesiredModel], Fields],
) -> dict[str, str]:
    """Old address -> new address, one to one, in sorted order: a renamed manifest takes its model along."""
    leaving = [record for address, record in sorted(state.records.items()) if address not in wanted]
    arriving = [model for _, model in sorted(wanted.items()) if _is_new(model, state)]
    # An equal fingerprint is the surer sign, so those are paired before any pair that is the same in effect only.
    moves: dict[str, str] = {}
    equal: dict[str, list[str]] = {}
    for model in arriving:
        equal.setdefault(model.fingerprint, []).append(model.address)
    for record in leaving:
        if equal.get(record.current.fingerprint):
            moves[record.address] = equal[record.current.fingerprint].pop(0)
    taken = frozenset(moves.values())
    alike: dict[tuple[Value, Value], list[DesiredModel]] = {}
    for model in arriving:
        if model.address not in taken:
            alike.setdefault(_move_key(model.fields), []).append(model)
    for record in leaving:
        job = index.by_name.get(record.current.job)
        if record.address in moves or job is None:
            continue
        models = alike.get(_move_key(job.fields), [])
        found = next((one for one in models if is_same_spec(one.fields, record.current, job, defaults(one))), None)
        if found is not None:
            models.remove(found)
            moves[record.address] = found.address
    return moves


def _is_new(model: DesiredModel, state: State) -> bool:
    """Whether the state knows nothing of its address, or only of a forgotten model that is not the desired one."""
    if any(model.address in known for known in (state.records, state.intents, state.queue)):
        return False
    retired = state.retired.get(model.address)
    return retired is None or not retired.attempts_of(model.fingerprint)


def _move_key(fields: Fields) -> tuple[Value, Value]:
    """What two addresses of one job must share, so that pairing thousands stays a look-up."""
    return fields.get("location"), fields.get("trainingDatasetUri")


def is_same_spec(desired: Fields, attempt: Attempt, job: LiveJob, defaults: Fields) -> bool:
    """Whether the job already ran with everything desired sets, and desired drops nothing that mattered.

    A dropped field does not matter where the service's own default is what the job ran with.
    """
    ran_with = dict(job.fields)
    if PARENT_FINGERPRINT in attempt.fields:
        ran_with[PARENT_FINGERPRINT] = attempt.fields[PARENT_FINGERPRINT]
    shaping = {path: canonical(value) for path, value in desired.items() if effect_of(path) is Effect.RETRAIN}
    if any(path not in ran_with or canonical(ran_with[path]) != value for path, value in shaping.items()):
        return False
    dropped = [path for path in attempt.fields if effect_of(path) is Effect.RETRAIN and path not in desired]
    return all(path in defaults and canonical(defaults[path]) == canonical(job.fields.get(path)) for path in dropped)
