"""The command line: finds the command, runs it, and turns whatever it raises into words and an exit code."""

from __future__ import annotations

import importlib
import io
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from reconciler.errors import ExitCode, TuneformError

# Name -> (module, what it does). The modules are imported only when their command is run.
COMMANDS: Mapping[str, tuple[str, str]] = {
    "init": ("reconciler.cli.init", "Write a first stack to start from."),
    "validate": ("reconciler.cli.validate", "Check the manifests offline; all errors at once."),
    "plan": ("reconciler.cli.plan", "Show what would happen, and why. Changes nothing."),
    "apply": ("reconciler.cli.apply", "Make live what the manifests declare, through the quota's queue."),
    "destroy": ("reconciler.cli.destroy", "Cancel what runs and forget the rest; models are kept."),
    "status": ("reconciler.cli.status", "Show each model's job, model, endpoint and experiment."),
    "queue": ("reconciler.cli.queue", "Show who waits, for what, until when; hold and release slots."),
    "wait": ("reconciler.cli.wait", "Watch until all that runs and waits has ended."),
    "retry": ("reconciler.cli.retry", "Tune one address again, because you ask for it."),
    "cancel": ("reconciler.cli.cancel", "Cancel the running or queued job of one address."),
    "import": ("reconciler.cli.importing", "Let jobs that exist already stand for declared models."),
    "state": ("reconciler.cli.state", "Look into the state, and with care change it."),
    "history": ("reconciler.cli.history", "Show who applied what; verify that nobody changed the record."),
    "schema": ("reconciler.cli.schema", "Print the JSON Schema of manifests, for editors."),
    "catalogue": ("reconciler.cli.catalogue", "List base models: methods, adapter sizes, limits, dates."),
    "simulator": ("reconciler.cli.simulator", "Serve a local Vertex AI for tests, SDKs and demos."),
    "version": ("reconciler.cli.version", "Print the version."),
}

_EPILOG = """\b
Start with:
  tuneform validate --manifests manifests/today
  tuneform plan --manifests manifests/today
  tuneform apply --manifests manifests/today

\b
Exit codes: 0 done, 1 error, 2 changes present (plan --detailed-exitcode),
3 a wanted model failed, 4 stopped with work left, 5 refused by a safety
limit, 6 state locked, 7 plan is stale, 64 wrong usage.
"""


class LazyGroup(click.Group):
    """A group whose help comes from the table and whose commands are imported when they are run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names in the order a newcomer meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now; None when there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(COMMANDS[cmd_name][0]).command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the words name; an unknown one is answered with the nearest that exist."""
        try:
            return super().resolve_command(ctx, args)
        except click.exceptions.NoSuchCommand as error:
            raise click.exceptions.NoSuchCommand(error.command_name, possibilities=COMMANDS, ctx=ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table of commands, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(cls=LazyGroup, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Keep tuned models as declared: YAML manifests in, Vertex AI tuning jobs out, through the quota's queue.

    Nothing is ever tuned twice, nothing is cancelled that is not surely ours, and money is spent only because a
    manifest changed, a declared retry allows it, or you asked.
    """


def run(words: Sequence[str]) -> int:
    """Runs one command line and returns its exit code; never a traceback for a user's mistake or the network's."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal that cannot show a character gets its number, as on stderr.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = cli.main(args=list(words), prog_name="tuneform", standalone_mode=False)
    except click.UsageError as error:
        error.show()
        return ExitCode.USAGE
    except click.ClickException as error:
        error.show()
        return ExitCode.ERROR
    except TuneformError as error:
        _tell(error, words)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        sys.stderr.write("\nStopped. Jobs that were submitted go on; nothing is lost.\n")
        return ExitCode.WORK_LEFT
    return code if isinstance(code, int) else ExitCode.DONE


def _tell(error: TuneformError, words: Sequence[str]) -> None:
    from reconciler.cli.output import style_for
    from reconciler.renderers.diagnostics import count_diagnostics, render_diagnostics

    found = error.diagnostics()
    sys.stderr.write(render_diagnostics(found, style_for(sys.stderr, _manifests(words))) + "\n")
    if len(found) > 1:
        sys.stderr.write(f"\n{count_diagnostics(found)}.\n")


def _manifests(words: Sequence[str]) -> Path | None:
    """The folder of manifests that the command line names."""
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word == "--manifests":
            return Path(following)
        if word.startswith("--manifests="):
            return Path(word.removeprefix("--manifests="))
    return None
