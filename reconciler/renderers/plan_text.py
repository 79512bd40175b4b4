"""The plan for a terminal: a row per model, details under it, the quota, warnings, and one line that sums it up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from reconciler.model.fields import Effect, FieldChange, Value
from reconciler.plan import Action, Change, Plan, QuotaView, Reason
from reconciler.renderers.diagnostics import render_diagnostics
from reconciler.renderers.text import Style, clean, columns, plural, short

# Up to so many rows every address is shown; above, what is left alone is only counted.
SHOW_ALL_ROWS = 40
# Above so many rows even the changes are cut; the JSON plan is always complete.
SHOW_ROWS = 200

_WORDS = {
    Action.CREATE: "tune",
    Action.REPLACE: "replace",
    Action.UPDATE: "update",
    Action.CANCEL: "cancel",
    Action.DELETE: "delete",
    Action.LEAVE: "leave",
    Action.ADOPT: "adopt",
    Action.FORGET: "forget",
}
_EFFECT_WORDS = {
    Effect.RETRAIN: "forces a new job",
    Effect.UPDATE: "updates the model",
    Effect.NEXT_JOB: "counts for the next job only",
}
_QUIET = frozenset({Reason.SUCCEEDED, Reason.IN_PROGRESS, Reason.QUEUED})


def render_plan(plan: Plan, style: Style) -> str:
    """The whole plan as text, ending in its summary line."""
    blocks = [_headline(plan, style), *_rows(plan, style), _quota(plan.quota, style)]
    if plan.unknown:
        blocks.append(style.dim("Not looked at: " + "; ".join(clean(one) for one in plan.unknown) + "."))
    if plan.unmanaged:
        blocks.append(_unmanaged(plan.unmanaged))
    found = plan.all_diagnostics()
    if found:
        blocks.append(render_diagnostics(found, style))
    blocks.append(style.bold(summary_line(plan)))
    return "\n\n".join(block for block in blocks if block)


def _headline(plan: Plan, style: Style) -> str:
    place = f"project {clean(plan.project)}, {clean(plan.endpoint)}"
    return f"{style.bold(clean(plan.stack))}  {style.dim(f'{place}, state serial {plan.serial}')}"


def _rows(plan: Plan, style: Style) -> list[str]:
    shown = _shown(plan.changes)
    if not shown:
        return []
    table = columns([_cells(change, style) for change in shown], indent="  ")
    lines: list[str] = []
    for change, line in zip(shown, table, strict=True):
        lines.append(line)
        lines += _details(change, style)
    blocks = ["\n".join(lines)]
    hidden = [change for change in plan.changes if change not in set(shown)] if len(shown) < len(plan.changes) else []
    if hidden:
        blocks.append(style.dim(f"  {_hidden(hidden)}"))
    return blocks


def _shown(changes: Sequence[Change]) -> Sequence[Change]:
    if len(changes) <= SHOW_ALL_ROWS:
        return changes
    notable = [one for one in changes if one.action is not Action.LEAVE or one.reason not in _QUIET]
    return notable[:SHOW_ROWS]


def _hidden(hidden: Sequence[Change]) -> str:
    counts = Counter((change.action, change.reason) for change in hidden)
    parts = [
        f"{count} to {_WORDS[action]} ({reason.value.replace('_', ' ')})"
        for (action, reason), count in sorted(counts.items(), key=lambda item: -item[1])
    ]
    return f"and {', '.join(parts)}; `--json` has them all"


def _cells(change: Change, style: Style) -> list[str]:
    paint = _painter(change, style)
    where = ", ".join(clean(one) for one in (change.base_model, change.location) if one)
    return [
        paint(f"{change.action.sign:>3}"),
        paint(clean(change.address)),
        _WORDS[change.action],
        style.dim(where),
        clean(change.why),
    ]


def _painter(change: Change, style: Style) -> Callable[[str], str]:
    if change.action is Action.CREATE:
        return style.green
    if change.action in (Action.CANCEL, Action.DELETE, Action.REPLACE):
        return style.red
    if change.action in (Action.ADOPT, Action.UPDATE):
        return style.cyan
    if change.reason in (Reason.FAILED, Reason.GONE, Reason.FOREIGN):
        return style.red
    return style.dim


def _details(change: Change, style: Style) -> list[str]:
    rows = [
        [
            clean(one.path),
            f"{_value(one.before)} -> {_value(one.after)}",
            style.dim(_EFFECT_WORDS[one.effect]),
        ]
        for one in change.field_changes
        if _is_worth_a_line(one)
    ]
    lines = columns(rows, indent="        ")
    if change.job is not None and change.action is not Action.LEAVE:
        lines.append(style.dim(f"        {short(change.job)}"))
    return lines


def _is_worth_a_line(one: FieldChange) -> bool:
    return one.path != "preTunedModel.address"


def _value(value: Value) -> str:
    if value is None:
        return "(not set)"
    return clean(value) if isinstance(value, str) else clean(repr(value)).replace("'", '"')


def _quota(quota: QuotaView, style: Style) -> str:
    limit = "unknown" if quota.limit is None else plural(quota.limit, "slot")
    parts = [f"{quota.own_active} used by this stack"]
    if quota.intents:
        parts.append(f"{quota.intents} being submitted")
    if quota.held:
        parts.append(f"{quota.held} held")
    if quota.foreign_active:
        names = ", ".join(short(name) for name in quota.foreign_jobs[:3])
        more = f" and {len(quota.foreign_jobs) - 3} more" if len(quota.foreign_jobs) > 3 else ""
        parts.append(f"{quota.foreign_active} used by others ({names}{more})")
    parts.append("free unknown" if quota.free is None else f"{quota.free} free")
    return f"Quota: {limit} ({clean(quota.limit_source)}), {', '.join(parts)}."


def _unmanaged(names: Sequence[str]) -> str:
    listed = "\n".join(f"  {clean(name)}" for name in names[:10])
    more = f"\n  and {len(names) - 10} more" if len(names) > 10 else ""
    return f"Jobs with this stack's labels that no address stands for (reported, not touched):\n{listed}{more}"


def summary_line(plan: Plan) -> str:
    """`Plan: 2 to tune, 1 to replace, 14 unchanged.`"""
    counts = plan.counts()
    parts = [
        f"{counts[action]} to {_WORDS[action]}" for action in Action if action is not Action.LEAVE and counts[action]
    ]
    queued = sum(1 for change in plan.changes if change.reason is Reason.QUEUED)
    left = counts[Action.LEAVE] - queued
    if not parts:
        extra = f", {queued} queued" if queued else ""
        return f"No changes: {plural(left, 'model')} as declared{extra}." if plan.complete else "No changes planned."
    tail = [f"{queued} queued"] if queued else []
    tail += [f"{left} unchanged"] if left else []
    return f"Plan: {', '.join(parts + tail)}."
