"""The plan for a terminal: a row per model, details under it, the quota, warnings, and one line that sums it up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from reconciler.model.fields import Effect, FieldChange, Value
from reconciler.outlook import Outlook
from reconciler.plan import Action, Change, Plan, QuotaView, Reason
from reconciler.renderers.diagnostics import render_diagnostics
from reconciler.renderers.queue_text import expected_rows
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

_STARTING = frozenset({Action.CREATE, Action.REPLACE})


def render_plan(plan: Plan, style: Style, outlook: Outlook | None = None) -> str:
    """The whole plan as text, ending in its summary line."""
    blocks = [_headline(plan, style), *_rows(plan, style), "\n".join(style.wrap(_quota(plan.quota)))]
    if outlook is not None:
        asked = {
            change.address for change in plan.changes if change.action in _STARTING or change.reason is Reason.QUEUED
        }
        blocks.append(expected_rows(outlook, asked, style))
    if plan.unknown:
        unknown = "Not looked at: " + "; ".join(clean(one) for one in plan.unknown) + "."
        blocks.append("\n".join(style.dim(line) for line in style.wrap(unknown)))
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
    lines: list[str] = []
    for change, row in zip(shown, _table(shown, style), strict=True):
        lines += [*row, *_details(change, style)]
    blocks = ["\n".join(lines)]
    addresses = {change.address for change in shown}
    hidden = [change for change in plan.changes if change.address not in addresses]
    if hidden:
        blocks += [style.dim(f"  {line}") for line in style.wrap(_hidden(hidden), 2)]
    return blocks


def _table(shown: Sequence[Change], style: Style) -> list[list[str]]:
    """The lines of each row: one, or two where the terminal is too narrow for one of them."""
    heads = [_head(change, style) for change in shown]
    tails = [(_where(change), clean(change.why)) for change in shown]
    whole = columns(
        [[*head, style.dim(where), why] for head, (where, why) in zip(heads, tails, strict=True)], indent="  "
    )
    if all(style.fits(line) for line in whole):
        return [[line] for line in whole]
    folded = [style.wrap("; ".join(part for part in tail if part), len(_UNDER)) for tail in tails]
    return [
        [head, *(style.dim(_UNDER + line) for line in lines)]
        for head, lines in zip(columns(heads, indent="  "), folded, strict=True)
    ]


# Puts what belongs to a row under its address.
_UNDER = " " * 7


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


def _head(change: Change, style: Style) -> list[str]:
    paint = _painter(change, style)
    return [paint(f"{change.action.sign:>3}"), paint(clean(change.address)), _WORDS[change.action]]


def _where(change: Change) -> str:
    return ", ".join(clean(one) for one in (change.base_model, change.location) if one)


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
    fields = [one for one in change.field_changes if _is_worth_a_line(one)]
    rows = [
        [clean(one.path), f"{_value(one.before)} -> {_value(one.after)}", style.dim(_effect(change, one))]
        for one in fields
    ]
    lines = columns(rows, indent=_UNDER)
    if not all(style.fits(line) for line in lines):
        lines = [line for one in fields for line in _folded(change, one, style)]
    if change.job is not None and change.action is not Action.LEAVE:
        lines.append(style.dim(f"{_UNDER}{short(change.job)}"))
    return lines


def _effect(change: Change, one: FieldChange) -> str:
    """What the difference asks for; a shaping field asks for nothing where the address is not tuned again."""
    if one.effect is Effect.RETRAIN and change.action not in (Action.CREATE, Action.REPLACE):
        return ""
    return _EFFECT_WORDS[one.effect]


def _folded(change: Change, one: FieldChange, style: Style) -> list[str]:
    return [
        f"{_UNDER}{clean(one.path)}  {style.dim(_effect(change, one))}".rstrip(),
        f"{_UNDER}     {_value(one.before)}",
        f"{_UNDER}  -> {_value(one.after)}",
    ]


def _is_worth_a_line(one: FieldChange) -> bool:
    return one.path != "preTunedModel.address"


def _value(value: Value) -> str:
    if value is None:
        return "(not set)"
    return clean(value) if isinstance(value, str) else clean(repr(value)).replace("'", '"')


def _quota(quota: QuotaView) -> str:
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
    """`Plan: 2 to tune, 1 to replace, 1 failed, 14 as declared.`"""
    counts = plan.counts()
    parts = [
        f"{counts[action]} to {_WORDS[action]}" for action in Action if action is not Action.LEAVE and counts[action]
    ]
    left = Counter(_left_word(change.reason) for change in plan.changes if change.action is Action.LEAVE)
    as_declared = left.pop(_AS_DECLARED, 0)
    rest = [f"{count} {word}" for word, count in sorted(left.items())]
    if parts:
        tail = [f"{as_declared} {_AS_DECLARED}"] if as_declared else []
        return f"Plan: {', '.join(parts + rest + tail)}."
    if not plan.complete:
        return "No changes planned, and not everything could be read."
    models = [f"{plural(as_declared, 'model')} {_AS_DECLARED}"] if as_declared or not rest else []
    return f"No changes: {', '.join(models + rest)}."


def _left_word(reason: Reason) -> str:
    if reason in (Reason.SUCCEEDED, Reason.SAME_SPEC):
        return _AS_DECLARED
    return "running" if reason is Reason.IN_PROGRESS else reason.value.replace("_", " ")


_AS_DECLARED = "as declared"
