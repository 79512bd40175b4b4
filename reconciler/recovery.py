"""Records made from what is live: a lost state rebuilt from labels, and jobs made elsewhere taken over. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from reconciler.errors import StateError, UsageError
from reconciler.model.address import address_label
from reconciler.model.desired import Desired, DesiredModel, Stack
from reconciler.model.fields import Fields, fingerprint
from reconciler.model.job import LiveJob
from reconciler.planner.facts import is_same_spec
from reconciler.state.records import Attempt, Because, Origin, Record, State


def owners_of(stack: str, jobs: Iterable[LiveJob]) -> dict[str, int]:
    """How many jobs each owner made under this stack name, the most prolific first."""
    counts: dict[str, int] = {}
    for job in jobs:
        if job.stack == stack and job.owner is not None:
            counts[job.owner] = counts.get(job.owner, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def recover_state(
    stack: Stack, endpoint: str, owner: str, desired: Desired, jobs: Iterable[LiveJob], *, now: datetime
) -> State:
    """The state of this owner, rebuilt from the labels of its jobs: every address with all its attempts, oldest first.

    An address that no manifest declares any more is called by its label. Records are made from labels alone, so
    nothing of them is cancelled or deleted until it is imported.
    """
    wanted = {address_label(model.address): model for model in desired.models}
    records: dict[str, Record] = {}
    for job in sorted(jobs, key=lambda one: (one.created_at, one.name)):
        if job.owner != owner or job.stack != stack.name or job.address_label is None:
            continue
        model = wanted.get(job.address_label)
        address = job.address_label if model is None else model.address
        attempts = records[address].attempts if address in records else ()
        records[address] = Record(address=address, attempts=(*attempts, _attempt(job, model, Origin.LABEL, now)))
    return State(
        lineage=owner, stack=stack.name, project=stack.project, endpoint=endpoint, applied=True, records=records
    )


def _attempt(job: LiveJob, model: DesiredModel | None, origin: Origin, now: datetime) -> Attempt:
    made_for = job.fingerprint or fingerprint(job.fields)
    same = model is not None and made_for == model.fingerprint
    return Attempt(
        number=job.attempt,
        fingerprint=made_for,
        job=job.name,
        location=job.location,
        origin=origin,
        recorded_at=now,
        fields=model.fields if same and model is not None else {},
        nonce=job.nonce,
        # Who cancelled it is not on its labels. As asked for by a person it stays cancelled until somebody retries.
        because=Because.REQUESTED if job.state == "JOB_STATE_CANCELLED" else None,
        ended_as=None if job.is_active else job.state,
        billable_token_count=job.billable_token_count,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """One job to take into the state for one address; `confirms` where the state knew it by its labels already."""

    address: str
    job: LiveJob
    confirms: bool = False


def import_named(model: DesiredModel, state: State, jobs: Mapping[str, LiveJob], name: str, defaults: Fields) -> Import:
    """The import of one job by its resource name, or by the end of it. Raises UsageError where it cannot be."""
    found = [job for full, job in jobs.items() if full == name or full.endswith(f"/{name.lstrip('/')}")]
    if len(found) != 1:
        what = "No job is" if not found else f"{len(found)} jobs are"
        raise UsageError(f"{what} called so", f"{name} is to be imported as {model.address}. Give its full name.")
    holder = _holder(state, found[0].name)
    if holder is not None and holder != model.address:
        raise UsageError(
            "The job is recorded already", f"{found[0].name} stands for {holder}. See `tuneform state mv`."
        )
    if not found[0].is_active and not found[0].has_succeeded:
        raise UsageError("The job made no model", f"{found[0].name} ended as {found[0].state}.")
    if not _is_candidate(model, found[0], defaults) and found[0].fingerprint != model.fingerprint:
        raise UsageError(
            "The job ran with other values",
            f"{found[0].name} is not what {model.address} declares, so the next apply would tune it again. Change the "
            f"manifest to what it ran with: {_told(found[0].fields)}.",
        )
    return Import(address=model.address, job=found[0])


def find_imports(
    models: Iterable[DesiredModel],
    state: State,
    jobs: Mapping[str, LiveJob],
    *,
    take_over: bool,
    defaults: Callable[[DesiredModel], Fields],
) -> tuple[Import, ...]:
    """For each model the job that can stand for it: what labels already say, else one that ran with its values.

    Jobs of other tuneform owners count only with `take_over`. Of several the newest that succeeded is taken, else the
    newest that runs; no job is taken twice.
    """
    taken = {attempt.job for record in state.records.values() for attempt in record.attempts}
    found = []
    for model in models:
        record = state.records.get(model.address)
        if record is not None:
            job = jobs.get(record.current.job)
            if record.current.origin is Origin.LABEL and job is not None:
                found.append(Import(address=model.address, job=job, confirms=True))
            continue
        candidates = [
            job
            for job in jobs.values()
            if job.name not in taken
            and (job.owner in (None, state.lineage) or take_over)
            and (_is_candidate(model, job, defaults(model)) or _is_namesake(model, job, state))
        ]
        best = max(candidates, key=lambda job: (job.has_succeeded, job.created_at, job.name), default=None)
        if best is not None:
            taken.add(best.name)
            found.append(Import(address=model.address, job=best))
    return tuple(found)


def _is_candidate(model: DesiredModel, job: LiveJob, defaults: Fields) -> bool:
    blank = Attempt(
        number=1,
        fingerprint="",
        job=job.name,
        location=job.location,
        origin=Origin.IMPORTED,
        recorded_at=job.created_at,
    )
    alive = job.is_active or (job.has_succeeded and job.model is not None)
    return alive and not job.is_cancelling and is_same_spec(model.fields, blank, job, defaults)


def _is_namesake(model: DesiredModel, job: LiveJob, state: State) -> bool:
    same = job.stack == state.stack and job.address_label == address_label(model.address)
    return same and job.fingerprint == model.fingerprint and (job.is_active or job.has_succeeded)


def _holder(state: State, job: str) -> str | None:
    for address, record in state.records.items():
        if any(attempt.job == job for attempt in record.attempts):
            return address
    return None


def _told(fields: Fields) -> str:
    return ", ".join(f"{path} {value}" for path, value in sorted(fields.items()) if not path.startswith("labels."))


def with_imports(
    state: State, imports: Iterable[Import], wanted: Mapping[str, DesiredModel], *, now: datetime
) -> State:
    """The state in which these jobs stand for their addresses, both keys given: nothing is tuned for them."""
    records, queue = dict(state.records), dict(state.queue)
    for one in imports:
        model = wanted[one.address]
        record = records.get(one.address) or state.retired.get(one.address)
        attempt = replace(
            _attempt(one.job, model, Origin.IMPORTED, now), fingerprint=model.fingerprint, fields=model.fields
        )
        earlier = () if record is None else tuple(each for each in record.attempts if each.job != one.job.name)
        records[one.address] = Record(
            address=one.address, attempts=(*earlier, attempt), lifecycle=model.lifecycle, source=model.source
        )
        queue.pop(one.address, None)
    retired = {address: record for address, record in state.retired.items() if address not in records}
    return replace(state, records=records, queue=queue, retired=retired, applied=True)


def renamed(state: State, old: str, new: str) -> State:
    """The state in which everything known of one address is known of another. Raises StateError where it cannot be."""
    if old not in state.records and old not in state.retired:
        raise StateError(
            "Nothing is recorded for this address", f"The state knows no {old}. See `tuneform state list`."
        )
    if any(new in part for part in (state.records, state.intents, state.queue)):
        raise StateError("The new address is taken", f"The state already knows {new}. Remove or rename that one first.")
    if old in state.intents or old in state.queue:
        raise StateError("The address is in motion", f"{old} is being submitted or waits; rename it once that is over.")
    record = state.records.get(old) or state.retired[old]
    records = {address: one for address, one in state.records.items() if address != old}
    retired = {address: one for address, one in state.retired.items() if address not in (old, new)}
    return replace(state, records={**records, new: replace(record, address=new)}, retired=retired)


def removed(state: State, address: str) -> State:
    """The state that has forgotten an address altogether; its job and model are not touched. Raises StateError."""
    if address in state.intents:
        raise StateError(
            "The address is being submitted",
            f"A create of {address} was sent and not settled. Apply once more, so that it is; then remove it.",
        )
    if not (address in state.records or address in state.retired or address in state.queue):
        raise StateError("The state does not know this address", f"Nothing is remembered of {address}.")
    return replace(
        state,
        records={key: one for key, one in state.records.items() if key != address},
        retired={key: one for key, one in state.retired.items() if key != address},
        queue={key: one for key, one in state.queue.items() if key != address},
    )
