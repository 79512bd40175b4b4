"""What can go wrong, in one tree, each branch with the exit code it ends in.

TuneformError                 1
  UsageError                 64   the command line asks for something that cannot be
  ManifestError               1   manifests cannot be read as desired; carries every diagnostic
  PlanError                   1   the plan holds errors that forbid applying it
  StateError                  1   the state is corrupt, foreign, newer or unreadable
    StateConflict             1   somebody else wrote the state since it was read
    StateLocked               6   another applier holds the lease
  CredentialsError            1   no usable Google credentials
  ApiError                    1   Vertex AI refused, or its answer never came
  RefusedError                5   a policy or a safety limit said no
  StalePlanError              7   what a saved plan rests on has moved
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum


class ExitCode(IntEnum):
    """The stable exit codes of the command line."""

    DONE = 0
    ERROR = 1
    CHANGES = 2
    MODEL_FAILED = 3
    WORK_LEFT = 4
    REFUSED = 5
    LOCKED = 6
    STALE = 7
    USAGE = 64


class Severity(StrEnum):
    """How much a diagnostic matters: only an error stops anything."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Source:
    """A place in a file; lines and columns count from 1."""

    path: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostic:
    """One thing to tell the user: a summary without user data, then what is wrong with this one.

    `rule` is a stable id in kebab-case. `detail` says what, why and what to do, in full sentences.
    `command` is something to copy, shown alone on an indented line; None where no command helps.
    """

    severity: Severity
    rule: str
    summary: str
    detail: str = ""
    source: Source | None = None
    command: str | None = None


class TuneformError(Exception):
    """Anything tuneform tells its user instead of a traceback."""

    exit_code = ExitCode.ERROR
    rule = "error"

    def __init__(self, summary: str, detail: str = "", *, command: str | None = None) -> None:
        super().__init__(summary)
        self.summary = summary
        self.detail = detail
        self.command = command

    def diagnostics(self) -> Sequence[Diagnostic]:
        """This error as what is printed."""
        return (
            Diagnostic(
                severity=Severity.ERROR,
                rule=self.rule,
                summary=self.summary,
                detail=self.detail,
                command=self.command,
            ),
        )


class UsageError(TuneformError):
    """The command line asks for something that cannot be."""

    exit_code = ExitCode.USAGE
    rule = "usage"


class ManifestError(TuneformError):
    """The manifests cannot be read as desired; carries every diagnostic, not the first."""

    rule = "manifest"

    def __init__(self, found: Sequence[Diagnostic]) -> None:
        errors = sum(1 for one in found if one.severity is Severity.ERROR)
        super().__init__(f"{errors} error{'' if errors == 1 else 's'} in the manifests")
        self.found = tuple(found)

    def diagnostics(self) -> Sequence[Diagnostic]:
        """Every diagnostic, in the order of the files."""
        return self.found


class PlanError(TuneformError):
    """The plan holds errors that forbid applying it."""

    rule = "plan"


class StateError(TuneformError):
    """The state is corrupt, foreign, newer or unreadable; nothing was overwritten."""

    rule = "state"


class StateConflict(StateError):
    """Somebody else wrote the state since it was read; nothing was overwritten."""

    rule = "state-conflict"


class StateLocked(StateError):
    """Another applier holds the lease."""

    exit_code = ExitCode.LOCKED
    rule = "state-locked"


class CredentialsError(TuneformError):
    """No usable Google credentials."""

    rule = "credentials"


class RefusedError(TuneformError):
    """A policy or a safety limit said no; nothing was done."""

    exit_code = ExitCode.REFUSED
    rule = "refused"


class StalePlanError(TuneformError):
    """What a saved plan rests on has moved since it was made; nothing was done."""

    exit_code = ExitCode.STALE
    rule = "stale-plan"


class Refusal(StrEnum):
    """What an answer means for the request, told apart once, in the HTTP client.

    Only AMBIGUOUS leaves open whether the request took effect.
    """

    QUOTA = "quota"
    RATE = "rate"
    ACCELERATOR = "accelerator"
    UNAUTHENTICATED = "unauthenticated"
    PERMISSION = "permission"
    INVALID = "invalid"
    NOT_FOUND = "not-found"
    CONFLICT = "conflict"
    UNREACHABLE = "unreachable"
    AMBIGUOUS = "ambiguous"


class ApiError(TuneformError):
    """Vertex AI refused a request, or its answer never came.

    `status` is the HTTP status, None when no answer came. `retry_after_s` is what the server asked for, None
    when it did not say.
    """

    rule = "vertex-ai"

    def __init__(
        self,
        summary: str,
        detail: str = "",
        *,
        kind: Refusal,
        status: int | None = None,
        retry_after_s: float | None = None,
        command: str | None = None,
    ) -> None:
        super().__init__(summary, detail, command=command)
        self.kind = kind
        self.status = status
        self.retry_after_s = retry_after_s
