"""The history for people and scripts. Pure; lines that cannot be read are shown as such, not hidden."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from reconciler.renderers.text import Style, clean, instant, short
from reconciler.state.history import Entry, EntryKind, lines_of, read_line


def render_runs(runs: Sequence[str], style: Style) -> str:
    """Each run with who, when and what, the newest last."""
    if not runs:
        return "Nothing was applied yet."
    return "\n\n".join(_run(number, text, style) for number, text in enumerate(runs, start=1))


def _run(number: int, text: str, style: Style) -> str:
    lines = []
    for raw in lines_of(text):
        try:
            lines.append(_entry(number, read_line(raw).entry, style))
        except ValueError:
            lines.append(style.red("  (a line that cannot be read)"))
    return "\n".join(line for line in lines if line)


def _entry(number: int, entry: Entry, style: Style) -> str:
    facts = entry.facts
    if entry.kind is EntryKind.RUN_STARTED:
        commit = f", commit {clean(facts['commit'])[:12]}" if facts.get("commit") else ""
        run = f", {clean(facts['ci'])}" if facts.get("ci") else ""
        who = f"{clean(facts.get('who', '?'))} on {clean(facts.get('host', '?'))}"
        head = style.bold(f"run {number}  {clean(facts.get('command', '?'))}")
        return f"{head}  {instant(entry.at)}  {who}{commit}{run}"
    if entry.kind is EntryKind.RUN_ENDED:
        return style.dim(f"  {entry.at:%H:%M:%S}  ended: {clean(facts.get('ended', '?'))}")
    return f"  {style.dim(f'{entry.at:%H:%M:%S}')}  {clean(facts.get('address', ''))}  {_what(entry)}"


def _what(entry: Entry) -> str:
    facts = entry.facts
    job = f"  {short(str(facts['job']))}" if facts.get("job") else ""
    if entry.kind is EntryKind.APPROVED:
        return f"approved: {clean(facts.get('action', '?'))} ({clean(facts.get('reason', '?'))}){job}"
    if entry.kind is EntryKind.ENDED:
        state = clean(str(facts.get("state", "?")).removeprefix("JOB_STATE_").lower())
        tokens = facts.get("billable_tokens")
        return f"{state}{f', {tokens} billable tokens' if tokens is not None else ''}{job}"
    return f"{clean(facts.get('text', ''))}{job}"


def encode_runs(runs: Sequence[str]) -> dict[str, Any]:
    """The runs as JSON; a line that cannot be read is null."""
    return {"format_version": "1.0", "runs": [[_plain(raw) for raw in lines_of(text)] for text in runs]}


def _plain(raw: str) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return None
