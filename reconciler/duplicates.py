"""Two jobs for one attempt: which of them stands for it, and which is one too many. Pure.

A create whose answer was lost, or whose sender lost its lease on the way, may take effect after the same attempt was
submitted again. Both jobs bear the attempt's nonce, and the state counts how often its create was sent: a count of two
or more is the second key beside the labels. So of the jobs with that nonce no more than were sent are ours, the oldest
ones; whatever else bears it is a look-alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from reconciler.model.job import LiveJob
from reconciler.model.observation import Observation
from reconciler.state.records import Attempt, Because, Record, State


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicate:
    """Two jobs that were made for one attempt of an address: the one that stands for it, and one too many.

    `is_known` says that the state has the second one as such already.
    """

    address: str
    nonce: str
    kept: LiveJob
    surplus: LiveJob
    is_known: bool

    @property
    def is_to_end(self) -> bool:
        """Whether the one too many still has to be cancelled."""
        return _runs(self.surplus)


def find_duplicates(state: State, observation: Observation) -> tuple[Duplicate, ...]:
    """Every job one too many that still runs, or of which the state does not know that, or how it ended.

    Kept is what succeeded before what runs, and of two that run the earlier by (createTime, name). An attempt that is
    over keeps the job that the state names, whatever that came to. While that job is not listed, nothing is decided.
    """
    made = _by_nonce(state, observation)
    current = ((record, True) for record in state.records.values())
    retired = ((record, False) for record in state.retired.values())
    found: list[Duplicate] = []
    for record, is_remembered in (*current, *retired):
        is_free = is_remembered and record.address not in state.queue and record.address not in state.intents
        for attempt in record.attempts:
            if attempt.submissions < 2 or attempt.because is Because.DUPLICATE:
                continue
            jobs = made.get(attempt.nonce or "", ())[: attempt.submissions]
            is_over = not is_free or attempt is not record.current or attempt.because is not None
            found += _duplicates_of(record, attempt, jobs, is_over=is_over)
    return tuple(found)


def _by_nonce(state: State, observation: Observation) -> Mapping[str, Sequence[LiveJob]]:
    """The jobs with our owner label by nonce, oldest first."""
    made: dict[str, list[LiveJob]] = {}
    for job in sorted(observation.jobs, key=_age):
        if job.owner == state.lineage and job.nonce is not None:
            made.setdefault(job.nonce, []).append(job)
    return made


def _duplicates_of(record: Record, attempt: Attempt, jobs: Sequence[LiveJob], *, is_over: bool) -> Iterator[Duplicate]:
    named = next((job for job in jobs if job.name == attempt.job), None)
    if named is None or attempt.nonce is None:
        return
    best = min(jobs, key=lambda job: (not job.has_succeeded, not _runs(job), *_age(job)))
    is_settled = is_over or named.has_succeeded or not (best.has_succeeded or _runs(best))
    kept = named if is_settled else best
    known = {one.job: one.ended_as for one in record.attempts if one.because is Because.DUPLICATE}
    for job in jobs:
        is_known = job.name in known
        if job is not kept and (_runs(job) or not is_known or known[job.name] != _ended_as(job)):
            yield Duplicate(address=record.address, nonce=attempt.nonce, kept=kept, surplus=job, is_known=is_known)


def note_duplicates(state: State, found: Iterable[Duplicate]) -> State:
    """The state in which the kept jobs stand for their attempts, and the others are noted as ended by us."""
    records, retired = dict(state.records), dict(state.retired)
    for one in found:
        section = records if one.address in records else retired
        section[one.address] = _noted(section[one.address], one)
    return replace(state, records=records, retired=retired)


def _noted(record: Record, found: Duplicate) -> Record:
    attempts: list[Attempt] = []
    for one in record.attempts:
        if one.nonce != found.nonce or (one.because is Because.DUPLICATE and one.job not in _names(found)):
            attempts.append(one)
        elif one.because is not Because.DUPLICATE:
            attempts += [_ended(one, found.surplus), _standing(one, found.kept)]
    return replace(record, attempts=tuple(attempts))


def _ended(attempt: Attempt, surplus: LiveJob) -> Attempt:
    return replace(
        attempt,
        job=surplus.name,
        location=surplus.location,
        because=Because.DUPLICATE,
        ended_as=_ended_as(surplus),
        billable_token_count=surplus.billable_token_count,
    )


def _standing(attempt: Attempt, kept: LiveJob) -> Attempt:
    if attempt.job == kept.name:
        return attempt
    return replace(
        attempt, job=kept.name, location=kept.location, because=None, ended_as=None, billable_token_count=None
    )


def _names(found: Duplicate) -> tuple[str, str]:
    return found.kept.name, found.surplus.name


def _ended_as(job: LiveJob) -> str | None:
    return None if job.is_active else job.state


def _runs(job: LiveJob) -> bool:
    return job.is_active and not job.is_cancelling


def _age(job: LiveJob) -> tuple[datetime, str]:
    return job.created_at, job.name
