"""Diagnostics for a terminal: summary, where, what and why, and the command to copy alone on its line. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.errors import Diagnostic, Severity
from reconciler.renderers.text import Style, clean, plural

_WORDS = {Severity.ERROR: "Error", Severity.WARNING: "Warning", Severity.INFO: "Note"}


def render_diagnostic(one: Diagnostic, style: Style) -> str:
    """One diagnostic, several lines."""
    word = f"{_WORDS[one.severity]}:"
    painted = style.red(style.bold(word)) if one.severity is Severity.ERROR else style.yellow(style.bold(word))
    lines = [f"{painted} {style.bold(clean(one.summary))}"]
    if one.source is not None:
        lines.append(f"  {style.dim('at')} {clean(one.source)}")
    lines += [f"  {part}" for line in one.detail.splitlines() for part in style.wrap(clean(line), 2)]
    if one.command is not None:
        lines += ["", f"      {style.command(one.command)}"]
    return "\n".join(lines)


def render_diagnostics(found: Iterable[Diagnostic], style: Style) -> str:
    """All of them, a blank line between; errors last, since the end is what stays on the screen."""
    order = {Severity.INFO: 0, Severity.WARNING: 1, Severity.ERROR: 2}
    ordered = sorted(found, key=lambda one: order[one.severity])
    return "\n\n".join(render_diagnostic(one, style) for one in ordered)


def count_diagnostics(found: Iterable[Diagnostic]) -> str:
    """`2 errors, 1 warning`; empty when there is nothing to say."""
    severities = [one.severity for one in found]
    errors, warnings = severities.count(Severity.ERROR), severities.count(Severity.WARNING)
    parts = [plural(errors, "error")] if errors else []
    parts += [plural(warnings, "warning")] if warnings else []
    return ", ".join(parts)
