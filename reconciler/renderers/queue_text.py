"""The queue for people and scripts: a table, a picture of the slots over time, and JSON. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from reconciler.forecast import Range
from reconciler.outlook import Outlook, QueueRow, Slot
from reconciler.renderers.text import Style, clean, columns, duration, plural, short
from reconciler.state.records import Hold

_CELLS = 48
# Below this a bar says nothing.
_FEWEST_CELLS = 16
_EXPECTED_ROWS = 20


def render_queue(outlook: Outlook, holds: Sequence[Hold], style: Style) -> str:
    """Slots, then the table of who waits, then the slots over time."""
    blocks = [_slots(outlook, holds, style), _table(outlook, style), _timeline(outlook, style)]
    return "\n\n".join(block for block in blocks if block)


def _slots(outlook: Outlook, holds: Sequence[Hold], style: Style) -> str:
    quota = outlook.ledger.view()
    free = "free unknown" if quota.free is None else f"{quota.free} free"
    lines = [f"{plural(outlook.ledger.limit, 'slot')} ({clean(quota.limit_source)}), {free}"]
    for slot in outlook.slots:
        who = (
            clean(slot.address)
            if slot.address is not None
            else f"{short(slot.job)} in {clean(slot.location)}, not managed here"
        )
        lines.append(f"  used by {who}, for {duration(outlook.at - slot.since)}{_until(slot, outlook.at)}")
    for hold in holds:
        if hold.until > outlook.at:
            left = duration(hold.until - outlook.at)
            lines.append(f"  {hold.slots} held by {clean(hold.by)} for another {left}: {clean(hold.reason)}")
    for lane in outlook.ledger.lanes:
        if lane.own_units or lane.foreign_units:
            lines.append(f"  quota {lane.name}: {lane.free} of {lane.limit} free")
    return "\n".join(part for line in lines for part in style.wrap(line))


def _until(slot: Slot, now: datetime) -> str:
    return "" if slot.end is None else f", expected to end {_in(slot.end, now)}"


def _table(outlook: Outlook, style: Style) -> str:
    if not outlook.rows:
        return "Nobody waits."
    head = ["place", "address", "class", "waits", "expected start", "expected end", "because"]
    rows = [
        [
            str(row.place),
            clean(row.address),
            row.priority,
            duration(outlook.at - row.enqueued_at),
            _in(row.start, outlook.at),
            _in(row.end, outlook.at),
            clean(row.why) or "next look",
        ]
        for row in outlook.rows
    ]
    foot = style.wrap("Expected: from as likely as not, to nine times in ten; if nobody else starts jobs.")
    lines = columns([[style.dim(one) for one in head], *rows])
    if not all(style.fits(line) for line in lines):
        lines = columns([[style.dim(one) for one in head[:4]], *(row[:4] for row in rows)])
        for at, row in reversed(list(enumerate(rows, start=1))):
            expected = f"start {row[4]}, end {row[5]}; {row[6]}"
            lines[at + 1 : at + 1] = [style.dim(f"       {line}") for line in style.wrap(expected, 7)]
    return "\n".join([*lines, "", *(style.dim(line) for line in foot)])


def expected_rows(outlook: Outlook, addresses: Collection[str], style: Style) -> str:
    """Start and end of some tickets, for under a plan; empty where nothing can be said of any."""
    rows = [row for row in outlook.rows if row.address in addresses and row.start is not None]
    if not rows:
        return ""
    table = [
        [
            clean(row.address),
            f"place {row.place}",
            f"start {_in(row.start, outlook.at)}",
            f"end {_in(row.end, outlook.at)}",
        ]
        for row in rows[:_EXPECTED_ROWS]
    ]
    lines = columns(table, indent="  ")
    if not all(style.fits(line) for line in lines):
        lines = []
        for name, *rest in table:
            lines += [f"  {name}", *(style.dim(line) for line in style.wrap(f"    {', '.join(rest)}"))]
    left = len(rows) - _EXPECTED_ROWS
    more = [style.dim(f"  and {left} more; see `tuneform queue`")] if left > 0 else []
    return "\n".join(["Expected, if nobody else starts jobs:", *lines, *more])


def _in(expected: Range | None, now: datetime) -> str:
    """`now`, `in 40 min`, `in 40 min to 1 h 5 min`; `unknown` where too little is known."""
    if expected is None:
        return "unknown"
    if expected.p90 <= now:
        return "now"
    low, high = duration(expected.p50 - now), duration(expected.p90 - now)
    return f"in {low}" if low == high else f"in {low} to {high}"


def _timeline(outlook: Outlook, style: Style) -> str:
    """One line per job, slots over time by the median, where all of it can be said and there is room for it."""
    spans = [(_name(slot), outlook.at, slot.end.p50) for slot in outlook.slots if slot.end is not None]
    spans += [
        (clean(row.address), row.start.p50, row.end.p50)
        for row in outlook.rows
        if row.start is not None and row.end is not None
    ]
    if not spans:
        return ""
    last = max(end for _, _, end in spans)
    whole = max(last - outlook.at, timedelta(seconds=1))
    room = _CELLS if style.width is None else style.width - max(len(name) for name, _, _ in spans) - len("  ||")
    cells = min(_CELLS, room)
    if cells < _FEWEST_CELLS:
        return ""
    rows = [
        [name, "|" + _bar(start - outlook.at, end - outlook.at, whole, cells) + "|"] for name, start, end in spans[:30]
    ]
    last_instant = f"in {duration(whole)}"
    foot = f"now{last_instant:>{cells - 1}}"
    return "\n".join(columns([*rows, ["", foot]]))


def _name(slot: Slot) -> str:
    return clean(slot.address) if slot.address is not None else f"({short(slot.job)})"


def _bar(start: timedelta, end: timedelta, whole: timedelta, cells: int) -> str:
    first, last = (round(cells * (at / whole)) for at in (start, end))
    first = min(first, cells - 1)
    return " " * first + "#" * max(1, last - first) + " " * (cells - max(last, first + 1))


def encode_queue(outlook: Outlook, holds: Sequence[Hold]) -> dict[str, Any]:
    """The same as JSON; instants are ISO 8601 in UTC, null where there is no estimate."""
    quota = outlook.ledger.view()
    return {
        "format_version": "1.0",
        "timestamp": outlook.at.isoformat(),
        "limit": quota.limit,
        "limit_source": quota.limit_source,
        "free": quota.free,
        "slots": [
            {"address": one.address, "job": one.job, "location": one.location, "since": one.since.isoformat()}
            | {"end": _encode_range(one.end)}
            for one in outlook.slots
        ],
        "holds": [
            {"slots": one.slots, "until": one.until.isoformat(), "reason": one.reason, "by": one.by} for one in holds
        ],
        "queue": [_encode_row(row) for row in outlook.rows],
    }


def _encode_row(row: QueueRow) -> dict[str, Any]:
    return {
        "address": row.address,
        "place": row.place,
        "base_model": row.base_model,
        "priority": row.priority,
        "enqueued_at": row.enqueued_at.isoformat(),
        "waits": row.waits,
        "why": row.why,
        "start": _encode_range(row.start),
        "end": _encode_range(row.end),
    }


def _encode_range(one: Range | None) -> dict[str, str] | None:
    return None if one is None else {"p50": one.p50.isoformat(), "p90": one.p90.isoformat()}
