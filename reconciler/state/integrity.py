"""What a state must fulfil beyond its shape: a state -> one sentence for each thing that is wrong; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from reconciler.model.fields import FINGERPRINT_VERSION
from reconciler.state.records import Attempt, Intent, Record, State, Ticket


def problems_of(state: State) -> list[str]:
    """Every rule the state breaks, one sentence each; empty for a sound state."""
    return [
        *_head_problems(state),
        *_key_problems(state),
        *(problem for name, records in _record_sections(state) for problem in _records_problems(name, records)),
        *_shared_jobs(state.records),
        *(problem for address, intent in state.intents.items() for problem in _intent_problems(address, intent)),
        *_shared_nonces(state.intents),
        *(problem for address, ticket in state.queue.items() for problem in _ticket_problems(address, ticket)),
        *_hold_problems(state),
    ]


def entry(section: str, key: str) -> str:
    """How a sentence names one entry: `records["support-classifier"]`."""
    return f'{section}["{key}"]'


def _record_sections(state: State) -> tuple[tuple[str, Mapping[str, Record]], ...]:
    return ("records", state.records), ("retired", state.retired)


def _head_problems(state: State) -> Iterator[str]:
    for name, text in (("lineage", state.lineage), ("stack", state.stack), ("project", state.project)):
        if not text:
            yield f"{name} is empty."
    for name, count in (("serial", state.serial), ("epoch", state.epoch)):
        if count < 0:
            yield f"{name} is {count}, below 0."
    if state.fingerprint_version != FINGERPRINT_VERSION:
        yield f'fingerprintVersion is "{state.fingerprint_version}", and only "{FINGERPRINT_VERSION}" is known.'


def _key_problems(state: State) -> Iterator[str]:
    sections: tuple[tuple[str, Mapping[str, Record | Intent | Ticket]], ...] = (
        *_record_sections(state),
        ("intents", state.intents),
        ("queue", state.queue),
    )
    for section, entries in sections:
        for key, value in entries.items():
            if value.address != key:
                yield f'{entry(section, key)} is about another address, "{value.address}".'


def _records_problems(section: str, records: Mapping[str, Record]) -> Iterator[str]:
    for address, record in records.items():
        if not record.attempts:
            yield f"{entry(section, address)} has no attempt."
        if record.lifecycle.retries < 0:
            yield f"{entry(section, address)}.lifecycle.retries is {record.lifecycle.retries}, below 0."
        for index, attempt in enumerate(record.attempts):
            for problem in _attempt_problems(attempt):
                yield f"{entry(section, address)}.attempts[{index}].{problem}"


def _attempt_problems(attempt: Attempt) -> Iterator[str]:
    if attempt.number < 1:
        yield f"number is {attempt.number}, below 1."
    if not attempt.job:
        yield "job is empty."
    yield from _zone_problems("recordedAt", attempt.recorded_at)


def _shared_jobs(records: Mapping[str, Record]) -> Iterator[str]:
    """Two addresses that claim one job would each cancel the other's."""
    owners: dict[str, str] = {}
    for address, record in records.items():
        for attempt in record.attempts:
            owner = owners.setdefault(attempt.job, address)
            if owner != address:
                yield f"{entry('records', owner)} and {entry('records', address)} both claim the job {attempt.job}."


def _intent_problems(address: str, intent: Intent) -> Iterator[str]:
    name = entry("intents", address)
    if intent.attempt < 1:
        yield f"{name}.attempt is {intent.attempt}, below 1."
    if not intent.nonce:
        yield f"{name}.nonce is empty, so its job could not be found again."
    if intent.submissions < 1:
        yield f"{name}.submissions is {intent.submissions}, below 1."
    for problem in _zone_problems("writtenAt", intent.written_at):
        yield f"{name}.{problem}"


def _shared_nonces(intents: Mapping[str, Intent]) -> Iterator[str]:
    """Two intents with one nonce would both take the same job for theirs."""
    owners: dict[str, str] = {}
    for address, intent in intents.items():
        owner = owners.setdefault(intent.nonce, address)
        if owner != address and intent.nonce:
            yield f'{entry("intents", owner)} and {entry("intents", address)} share the nonce "{intent.nonce}".'


def _ticket_problems(address: str, ticket: Ticket) -> Iterator[str]:
    name = entry("queue", address)
    if ticket.attempt < 1:
        yield f"{name}.attempt is {ticket.attempt}, below 1."
    for key, count in (("refusals", ticket.refusals), ("submissions", ticket.submissions)):
        if count < 0:
            yield f"{name}.{key} is {count}, below 0."
    if ticket.parent == address:
        yield f"{name}.parent is the address itself, so it would wait for ever."
    instants = (("enqueuedAt", ticket.enqueued_at), ("readyAt", ticket.ready_at), ("notBefore", ticket.not_before))
    for key, at in instants:
        for problem in _zone_problems(key, at):
            yield f"{name}.{problem}"


def _hold_problems(state: State) -> Iterator[str]:
    for index, hold in enumerate(state.holds):
        if hold.slots < 1:
            yield f"holds[{index}].slots is {hold.slots}, below 1."
        for problem in _zone_problems("until", hold.until):
            yield f"holds[{index}].{problem}"


def _zone_problems(key: str, at: datetime | None) -> Iterator[str]:
    # A ticket's nonce is made of its instant as written, so one instant must have one way to be written.
    if at is not None and at.utcoffset() != timedelta(0):
        yield f"{key} is {at.isoformat()}, which is not in UTC."
