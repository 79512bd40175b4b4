"""What a row of the decision table says, and the words it says it with."""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.errors import Diagnostic, Severity
from reconciler.model.job import LiveJob
from reconciler.plan import Action, Reason
from reconciler.planner.facts import Facts


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a row decided. `why` is one clause for people; `job` is the job it is about."""

    action: Action
    reason: Reason
    why: str
    job: str | None = None
    diagnostics: tuple[Diagnostic, ...] = ()
    row: int = 0


def leave(reason: Reason, why: str, job: LiveJob | None = None) -> Verdict:
    """Leave the address as it is."""
    return Verdict(action=Action.LEAVE, reason=reason, why=why, job=None if job is None else job.name)


def warning(facts: Facts, rule: str, summary: str, detail: str, *, command: str | None = None) -> Diagnostic:
    """A warning that stands at the model's place in its manifest."""
    return _diagnostic(Severity.WARNING, facts, rule, summary, detail, command)


def error(facts: Facts, rule: str, summary: str, detail: str, *, command: str | None = None) -> Diagnostic:
    """An error of this one address; the other changes of the plan go on."""
    return _diagnostic(Severity.ERROR, facts, rule, summary, detail, command)


def _diagnostic(
    severity: Severity, facts: Facts, rule: str, summary: str, detail: str, command: str | None
) -> Diagnostic:
    source = facts.desired.source if facts.desired is not None else facts.record.source if facts.record else None
    return Diagnostic(severity=severity, rule=rule, summary=summary, detail=detail, source=source, command=command)
