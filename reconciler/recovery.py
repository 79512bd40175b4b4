"""Records made from what is live: a lost state rebuilt from labels, and jobs made elsewhere taken over. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from reconciler.errors import StateError, UsageError
from reconciler.model.address import address_label
from reconciler.model.desired import Desired, DesiredModel, Stack
from reconciler.model.fields import Fields, fingerprint
from reconciler.model.job import JobState, LiveJob
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
    own = [job for job in jobs if job.owner == owner and job.stack == stack.name]
    surplus = _cancelled_duplicates(own)
    records: dict[str, Record] = {}
    # A cancelled duplicate comes first, so that it never stands for the address in place of the job that was kept.
    for job in sorted(own, key=lambda one: (one.name not in surplus, one.created_at, one.name)):
        if job.address_label is None:
            continue
        model = wanted.get(job.address_label)
        address = job.address_label if model is None else model.address
        attempts = records[address].attempts if address in records else ()
        attempt = _attempt(job, model, Origin.LABEL, now)
        if job.name in surplus:
            attempt = replace(attempt, because=Because.DUPLICATE)
        records[address] = Record(address=address, attempts=(*attempts, attempt))
    return State(
        lineage=owner, stack=stack.name, project=stack.project, endpoint=endpoint, applied=True, records=records
    )


def _cancelled_duplicates(jobs: Iterable[LiveJob]) -> frozenset[str]:
    """The jobs that were cancelled, or are being, while another one of the same submission was not."""
    ended: dict[bool, list[LiveJob]] = {True: [], False: []}
    for job in jobs:
        ended[job.is_cancelling or job.state == JobState.CANCELLED].append(job)
    kept = {job.nonce for job in ended[False] if job.nonce is not None}
    return frozenset(job.name for job in ended[True] if job.nonce in kept)


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
        because=Because.REQUESTED if job.state == JobState.CANCELLED else None,
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
    if holder is not None and state.records[holder].current.job == found[0].name:
        return Import(address=model.address, job=found[0], confirms=True)
    if not found[0].is_active and not found[0].has_succeeded:
        raise UsageError("The job made no model", f"{found[0].name} ended as {found[0].state}.")
    if not _is_candidate(model, found[0], defaults) and found[0].fingerprint != model.fingerprint:
        raise UsageError(
            "The job ran with other values",
            f"{found[0].name} is not what {model.address} declares, so the next apply would tune it again. Change the "
            f"manifest to what it ran with: {_told(found[0].fields)}.",
        )
    return Import(address=model.address, job=found[0])


def find_confirmations(state: State, jobs: Mapping[str, LiveJob], address: str | None) -> tuple[Import, ...]:
    """The live jobs that the state knows by their labels alone, declared still or not; of one address where given."""
    return tuple(
        Import(address=record.address, job=jobs[record.current.job], confirms=True)
        for record in state.records.values()
        if address in (None, record.address) and record.current.origin is Origin.LABEL and record.current.job in jobs
    )


def find_imports(
    models: Iterable[DesiredModel],
    state: State,
    jobs: Mapping[str, LiveJob],
    *,
    take_over: bool,
    defaults: Callable[[DesiredModel], Fields],
) -> tuple[Import, ...]:
    """For each model without a record the job that can stand for it: one that bears its labels or ran with its values.

    Jobs of other tuneform owners count only with `take_over`. Of several the newest that succeeded is taken, else the
    newest that runs; no job is taken twice.
    """
    taken = {attempt.job for record in state.records.values() for attempt in record.attempts}
    found = []
    for model in models:
        if model.address in state.records:
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
    """The state in which these jobs stand for their addresses, both keys given: nothing is tuned for them.

    What is only confirmed stays what it was made for, so that an edit of its manifest since then still shows.
    """
    records, queue = dict(state.records), dict(state.queue)
    for one in imports:
        if one.confirms:
            records[one.address] = _confirmed(records[one.address], one.job.name)
            continue
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


def _confirmed(record: Record, job: str) -> Record:
    attempts = (replace(one, origin=Origin.IMPORTED) if one.job == job else one for one in record.attempts)
    return replace(record, attempts=tuple(attempts))


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
    # What the new name made before it was forgotten stays among its attempts: going back to that costs nothing.
    earlier = state.retired[new].attempts if new in state.retired else ()
    moved = replace(record, address=new, attempts=(*earlier, *record.attempts))
    records = {address: one for address, one in state.records.items() if address != old}
    retired = {address: one for address, one in state.retired.items() if address not in (old, new)}
    return replace(state, records={**records, new: moved}, retired=retired)


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
