"""`tuneform catalogue`: what is known of each base model."""

from __future__ import annotations

from datetime import UTC, date, datetime

import click

from reconciler.cli.options import json_option
from reconciler.cli.output import result, result_json
from reconciler.errors import ExitCode, UsageError


@click.command(name="catalogue")
@click.argument("base_model", required=False)
@click.option(
    "--as-of",
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="YYYY-MM-DD",
    help="Judge lifecycles as of this day; today if not given.",
)
@json_option
def command(base_model: str | None, as_of: datetime | None, as_json: bool) -> int:
    """List the base models tuneform knows, or show all of one: methods, adapter sizes, limits, regions, price, dates.

    A base model that is not listed passes unchecked.
    """
    from reconciler.catalogue.catalogue import load_catalogue
    from reconciler.renderers.catalogue_text import encode_model, render_model, render_table

    day: date = (as_of or datetime.now(UTC)).date()
    catalogue = load_catalogue()
    if base_model is None:
        if as_json:
            models = [encode_model(one, day) for one in catalogue.models]
            result_json({"format_version": "1.0", "as_of": day.isoformat(), "models": models})
        else:
            result(render_table(catalogue.models, day))
        return ExitCode.DONE
    found = catalogue.find(base_model)
    if found is None:
        hints = ", ".join(catalogue.suggest(base_model))
        also = f" Did you mean {hints}?" if hints else ""
        raise UsageError("The catalogue does not know this base model", f"{base_model} is not listed.{also}")
    if as_json:
        result_json({"format_version": "1.0", "as_of": day.isoformat(), "models": [encode_model(found, day)]})
    else:
        result(render_model(found, day))
    return ExitCode.DONE
