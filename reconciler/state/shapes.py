"""The values of a state as JSON objects and back, one table for each kind of value; pure.

A table names each attribute once and says what sort of value it holds, so that writing and reading cannot drift apart.
Keys are the attributes' names in camelCase.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from reconciler.errors import Source
from reconciler.model.desired import Lifecycle, Priority
from reconciler.state.records import Attempt, Because, Hold, Intent, Origin, Record, State, Ticket

_SHOWN_MAX_CHARS = 60


class UnsoundError(ValueError):
    """A value that does not fit its place; `path` says where it stands, `words` what is wrong with it."""

    def __init__(self, words: str, path: str = "") -> None:
        super().__init__(f"{path} {words}")
        self.words = words
        self.path = path

    def below(self, outer: str) -> UnsoundError:
        """The same, seen from one level further out."""
        separator = "." if self.path and not self.path.startswith("[") else ""
        return UnsoundError(self.words, f"{outer}{separator}{self.path}")


def shown(value: object) -> str:
    """A value from a document as one short line of plain ASCII."""
    text = json.dumps(value)
    return text if len(text) <= _SHOWN_MAX_CHARS else f"{text[:_SHOWN_MAX_CHARS]}..."


@dataclass(frozen=True, slots=True)
class Sort:
    """One sort of value: how it is written as JSON, and how it is read back or refused with UnsoundError."""

    write: Callable[[Any], Any]
    read: Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Shape:
    """One kind of value as a JSON object: its class, and of each attribute the name, the key and the sort."""

    make: Callable[..., Any]
    columns: tuple[tuple[str, str, Sort], ...]

    @property
    def keys(self) -> frozenset[str]:
        """The keys of the object; all of them are always there."""
        return frozenset(key for _, key, _ in self.columns)

    def write(self, value: object) -> dict[str, Any]:
        """The value as a JSON object."""
        return {key: sort.write(getattr(value, name)) for name, key, sort in self.columns}

    def read(self, row: object) -> Any:
        """The value back; raises UnsoundError for anything that `write` would not have made."""
        return self.make(**self.values(row))

    def values(self, row: object) -> dict[str, Any]:
        """The attributes by name; raises UnsoundError."""
        if not isinstance(row, dict):
            raise UnsoundError(f"is {shown(row)}, not an object")
        if len(row) != len(self.columns) or any(key not in row for _, key, _ in self.columns):
            raise UnsoundError(self._wrong_keys(row))
        read = {}
        for name, key, sort in self.columns:
            try:
                read[name] = sort.read(row[key])
            except UnsoundError as error:
                raise error.below(key) from None
        return read

    def _wrong_keys(self, row: Mapping[str, Any]) -> str:
        missing = [f"lacks {key}" for key in sorted(self.keys - row.keys())]
        unknown = [f"has an unknown key {shown(key)}" for key in sorted(row.keys() - self.keys)]
        return " and ".join(missing + unknown)


def _as_it_is(value: Any) -> Any:
    return value


def _plain(kind: type, words: str, write: Callable[[Any], Any] = _as_it_is) -> Sort:
    """A JSON value of exactly one type; true is not a number here."""

    def read(raw: Any) -> Any:
        if type(raw) is not kind:
            raise UnsoundError(f"is {shown(raw)}, not {words}")
        return raw

    return Sort(write, read)


def _one_of(*values: StrEnum | str) -> Sort:
    by_word = {str(value): value for value in values}

    def read(raw: Any) -> Any:
        if type(raw) is not str or raw not in by_word:
            raise UnsoundError(f"is {shown(raw)}, not one of {', '.join(by_word)}")
        return by_word[raw]

    return Sort(str, read)


def _optional(sort: Sort) -> Sort:
    def write(value: Any) -> Any:
        return None if value is None else sort.write(value)

    def read(raw: Any) -> Any:
        return None if raw is None else sort.read(raw)

    return Sort(write, read)


def _nested(shape: Shape) -> Sort:
    return Sort(shape.write, shape.read)


def _many(shape: Shape) -> Sort:
    def write(values: tuple[Any, ...]) -> list[Any]:
        return [shape.write(value) for value in values]

    def read(raw: Any) -> tuple[Any, ...]:
        if not isinstance(raw, list):
            raise UnsoundError(f"is {shown(raw)}, not a list")
        return tuple(_numbered(shape, index, row) for index, row in enumerate(raw))

    return Sort(write, read)


def _numbered(shape: Shape, index: int, row: object) -> Any:
    try:
        return shape.read(row)
    except UnsoundError as error:
        raise error.below(f"[{index}]") from None


def _write_instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _read_instant(raw: Any) -> datetime:
    if type(raw) is not str:
        raise UnsoundError(f"is {shown(raw)}, not an instant")
    try:
        at = datetime.fromisoformat(raw)
    except ValueError:
        raise UnsoundError(f"is {shown(raw)}, not an instant like 2026-11-20T18:30:00Z") from None
    if at.tzinfo is None:
        raise UnsoundError(f"is {shown(raw)}, a time without a zone")
    return at.astimezone(UTC)


def _shape(make: Callable[..., Any], **columns: Sort) -> Shape:
    return Shape(make, tuple((name, _camel(name), sort) for name, sort in columns.items()))


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.title() for part in rest)


_TEXT = _plain(str, "a text")
_NUMBER = _plain(int, "a whole number")
_FLAG = _plain(bool, "true or false")
_FIELDS = _plain(dict, "an object", write=dict)
_INSTANT = Sort(_write_instant, _read_instant)

_LIFECYCLE = _shape(
    Lifecycle,
    on_remove=_one_of("keep", "delete"),
    on_dataset_change=_one_of("warn", "retrain", "ignore"),
    on_parent_change=_one_of("warn", "retrain"),
    retries=_NUMBER,
    prevent_replace=_FLAG,
)
_SOURCE = _shape(Source, path=_TEXT, line=_NUMBER, column=_NUMBER)
_ATTEMPT = _shape(
    Attempt,
    number=_NUMBER,
    fingerprint=_TEXT,
    job=_TEXT,
    location=_TEXT,
    origin=_one_of(*Origin),
    recorded_at=_INSTANT,
    fields=_FIELDS,
    nonce=_optional(_TEXT),
    because=_optional(_one_of(*Because)),
    submissions=_NUMBER,
    ended_as=_optional(_TEXT),
    billable_token_count=_optional(_NUMBER),
)
RECORD = _shape(
    Record,
    address=_TEXT,
    attempts=_many(_ATTEMPT),
    lifecycle=_nested(_LIFECYCLE),
    source=_optional(_nested(_SOURCE)),
)
INTENT = _shape(
    Intent,
    address=_TEXT,
    fingerprint=_TEXT,
    attempt=_NUMBER,
    nonce=_TEXT,
    location=_TEXT,
    written_at=_INSTANT,
    fields=_FIELDS,
    submissions=_NUMBER,
)
TICKET = _shape(
    Ticket,
    address=_TEXT,
    fingerprint=_TEXT,
    attempt=_NUMBER,
    reason=_TEXT,
    priority=_one_of(*Priority),
    location=_TEXT,
    enqueued_at=_INSTANT,
    ready_at=_optional(_INSTANT),
    not_before=_optional(_INSTANT),
    after=_optional(_TEXT),
    parent=_optional(_TEXT),
    refusals=_NUMBER,
    refused_by=_optional(_TEXT),
    submissions=_NUMBER,
    approved_by=_TEXT,
    plan_checksum=_TEXT,
)
HOLD = _shape(Hold, slots=_NUMBER, until=_INSTANT, reason=_TEXT, by=_TEXT)
# The state without what it holds many of.
HEAD = _shape(
    State,
    lineage=_TEXT,
    stack=_TEXT,
    project=_TEXT,
    endpoint=_TEXT,
    serial=_NUMBER,
    epoch=_NUMBER,
    applied=_FLAG,
    fingerprint_version=_TEXT,
    history_head=_optional(_TEXT),
    write_id=_TEXT,
)
