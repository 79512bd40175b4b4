"""`tuneform validate`: manifests and catalogue, offline."""

from __future__ import annotations

from pathlib import Path

import click

from reconciler.cli.options import json_option, manifests_option
from reconciler.cli.output import remark, result, result_json, style_for
from reconciler.errors import ExitCode, ManifestError


@click.command(name="validate")
@manifests_option
@json_option
def command(manifests: Path, as_json: bool) -> int:
    """Check the manifests offline: syntax, fields, names, and what the catalogue knows of each base model.

    All errors are reported at once, each with file:line:column and what to do. Asks no service anything.
    """
    import sys

    from reconciler.cli.session import check_manifests
    from reconciler.plan import encode_diagnostic
    from reconciler.renderers.diagnostics import count_diagnostics, render_diagnostics
    from reconciler.renderers.text import clean, plural

    try:
        checked = check_manifests(manifests)
    except ManifestError as error:
        if not as_json:
            raise
        found = error.diagnostics()
        result_json({"format_version": "1.0", "valid": False, "diagnostics": [encode_diagnostic(one) for one in found]})
        return ExitCode.ERROR
    warnings = checked.warnings
    if as_json:
        result_json(
            {"format_version": "1.0", "valid": True, "diagnostics": [encode_diagnostic(one) for one in warnings]}
        )
        return ExitCode.DONE
    if warnings:
        remark(render_diagnostics(warnings, style_for(sys.stderr, manifests)) + "\n")
    stack = checked.desired.stack
    counted = count_diagnostics(warnings)
    result(
        f"{clean(manifests)} is valid: stack {clean(stack.name)}, {plural(len(checked.desired.models), 'model')}"
        + (f", {counted}." if counted else ".")
    )
    return ExitCode.DONE
