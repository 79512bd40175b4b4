"""`tuneform init`: a first stack, ready to validate, plan and apply on the simulator."""

from __future__ import annotations

from pathlib import Path

import click

from reconciler.cli.options import manifests_option
from reconciler.cli.output import remark, style_for
from reconciler.errors import ExitCode, TuneformError, UsageError

_STACK = """\
apiVersion: tuneform/v1
kind: Stack
metadata: {{name: {name}}}
spec:
  project: {project}
  location: {location}
  endpoint: simulator        # remove this line to tune on Vertex AI
  state: ../state/{name}.json
"""

_MODEL = """\
apiVersion: tuneform/v1
kind: TunedModel
metadata: {name: my-first-model}
spec:
  baseModel: gemini-3.5-flash
  trainingDatasetUri: gs://cloud-samples-data/ai-platform/generative_ai/gemini-1_5/text/sft_train_data.jsonl
  hyperParameters: {epochCount: 3}
"""


@click.command(name="init")
@manifests_option
@click.option("--name", default="my-stack", show_default=True, help="The stack's name; jobs bear it as a label.")
@click.option("--project", default="my-project", show_default=True, help="The Google Cloud project.")
@click.option("--location", default="us-central1", show_default=True, help="The region jobs run in.")
def command(manifests: Path, name: str, project: str, location: str) -> int:
    """Write a stack and one model into DIR, to start from. It runs on the built-in simulator until you say otherwise.

    Nothing that is there is overwritten.
    """
    import sys

    from reconciler.cli.session import check_manifests

    files = {
        manifests / "stack.yaml": _STACK.format(name=name, project=project, location=location),
        manifests / "my-first-model.yaml": _MODEL,
    }
    if manifests.is_dir() and any(manifests.iterdir()):
        raise UsageError("The folder is not empty", f"{manifests} holds files, and none is overwritten. Name another.")
    try:
        manifests.mkdir(parents=True, exist_ok=True)
        for path, text in files.items():
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise TuneformError("The stack cannot be written", f"{manifests}: {error.strerror}.") from error
    try:
        check_manifests(manifests)
    except TuneformError:
        # A name that cannot be: the next try is to find the folder as empty as this one did.
        for path in files:
            path.unlink(missing_ok=True)
        raise
    next_command = style_for(sys.stderr, manifests).command("tuneform plan")
    remark(f"Wrote {', '.join(str(path) for path in files)}. See what it would do with:\n\n      {next_command}")
    return ExitCode.DONE
