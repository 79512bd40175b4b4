"""The state for people and scripts. Pure."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from enum import StrEnum
from typing import Any

from reconciler.renderers.text import clean, columns, instant, plural, short
from reconciler.state.queue import queue_places
from reconciler.state.records import Record, State


def render_summary(state: State) -> str:
    """A row per address: what is known of it, its job or its place in the queue."""
    rows = [[kind, clean(address), clean(text)] for kind, address, text in _rows(state)]
    head = f"{clean(state.stack)}, lineage {state.lineage}, serial {state.serial}"
    return "\n".join([head, *columns(rows, indent="  "), plural(len(rows), "entry", "entries") + "."])


def encode_summary(state: State) -> dict[str, Any]:
    """The same as a JSON document."""
    return {
        "format_version": "1.0",
        "stack": state.stack,
        "project": state.project,
        "endpoint": state.endpoint,
        "lineage": state.lineage,
        "serial": state.serial,
        "entries": [{"kind": kind, "address": address, "detail": text} for kind, address, text in _rows(state)],
    }


def _rows(state: State) -> list[tuple[str, str, str]]:
    places = queue_places(state.queue.values())
    rows = [("recorded", address, _record(record)) for address, record in sorted(state.records.items())]
    rows += [
        ("intended", address, f"attempt {one.attempt}, being submitted since {instant(one.written_at)}")
        for address, one in sorted(state.intents.items())
    ]
    rows += [
        ("queued", address, f"place {places[address]}, since {instant(one.enqueued_at)}, {one.priority.value}")
        for address, one in sorted(state.queue.items(), key=lambda item: places[item[0]])
    ]
    rows += [("retired", address, _record(record)) for address, record in sorted(state.retired.items())]
    return rows


def _record(record: Record) -> str:
    one = record.current
    because = f", {one.because.value}" if one.because is not None else ""
    return f"{short(one.job)} in {one.location}, attempt {one.number}, {one.origin.value}{because}, {one.fingerprint}"


def encode_address(state: State, address: str) -> dict[str, Any] | None:
    """All that is remembered of one address; None when nothing is."""
    parts = {
        "record": state.records.get(address),
        "retired": state.retired.get(address),
        "intent": state.intents.get(address),
        "ticket": state.queue.get(address),
    }
    known = {name: _plain(asdict(part)) for name, part in parts.items() if part is not None}
    return {"format_version": "1.0", "address": address, **known} if known else None


def _plain(value: Any) -> Any:
    """The value with instants and enums as strings, ready for JSON."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, datetime):
        return value.isoformat()
    return value.value if isinstance(value, StrEnum) else value
