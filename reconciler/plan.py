"""The plan: every address with one action and one reason, and what the whole rests on. JSON in and out.

A plan is a value. It holds no credentials and no request bodies, so it may be published as a build artifact.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from reconciler.errors import Diagnostic, Severity, Source, TuneformError
from reconciler.model.fields import Effect, FieldChange

PLAN_FORMAT_VERSION = "1.0"


class Action(StrEnum):
    """What happens to an address."""

    CREATE = "create"
    REPLACE = "replace"
    UPDATE = "update"
    CANCEL = "cancel"
    DELETE = "delete"
    LEAVE = "leave"
    ADOPT = "adopt"
    FORGET = "forget"

    @property
    def sign(self) -> str:
        """The mark in front of a row of the plan."""
        return SIGNS[self]


SIGNS: Mapping[Action, str] = {
    Action.CREATE: "+",
    Action.REPLACE: "-/+",
    Action.UPDATE: "~",
    Action.CANCEL: "-",
    Action.DELETE: "x",
    Action.LEAVE: "=",
    Action.ADOPT: ">",
    Action.FORGET: ".",
}


class Reason(StrEnum):
    """Why; the word a script can rely on. The planner's table tells when each is given."""

    UNKNOWN = "unknown"
    SUBMITTING = "submitting"
    SUBMITTED = "submitted"
    CANCELLING = "cancelling"
    MOVED = "moved"
    REMOVED = "removed"
    FINISHED = "finished"
    GONE = "gone"
    DEQUEUED = "dequeued"
    QUEUED = "queued"
    UNRECORDED = "unrecorded"
    FOREIGN = "foreign"
    NEW = "new"
    RESTORED = "restored"
    SAME_SPEC = "same_spec"
    ROLLED_BACK = "rolled_back"
    PARENT_CHANGED = "parent_changed"
    PROTECTED = "protected"
    SPEC_CHANGED = "spec_changed"
    IN_PROGRESS = "in_progress"
    MODEL_GONE = "model_gone"
    DATASET_CHANGED = "dataset_changed"
    METADATA_CHANGED = "metadata_changed"
    SUCCEEDED = "succeeded"
    CANCELLED = "cancelled"
    CANCELLED_ELSEWHERE = "cancelled_elsewhere"
    RETRY = "retry"
    FAILED = "failed"
    LOOK_ALIKE = "look_alike"
    REQUESTED = "requested"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One address, one action, one reason.

    `row` is the row of the decision table that fired. `job` is the job the action is about, None where there is none.
    `attempt` counts from 1 and is set where a ticket would be made. `moved` is the other address of a move.
    `facts` digests what the row used, so that a saved plan goes stale only when its own ground moves.
    """

    address: str
    action: Action
    reason: Reason
    row: int
    why: str
    fingerprint: str | None = None
    location: str | None = None
    base_model: str | None = None
    priority: str = "normal"
    attempt: int | None = None
    job: str | None = None
    moved: str | None = None
    place: int | None = None
    field_changes: tuple[FieldChange, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
    source: Source | None = None
    facts: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaView:
    """The quota as the plan saw it. `limit` and `free` are None where they are not known."""

    limit: int | None
    limit_source: str
    own_active: int
    foreign_active: int
    intents: int
    held: int
    free: int | None
    foreign_jobs: tuple[str, ...] = ()
    unread_locations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All changes, sorted by address, bound to the state and the facts they were made from.

    `complete` is false when a location could not be read. `unknown` names facts that this plan could not look at.
    `unmanaged` names live jobs that bear this stack's labels but that no address stands for.
    """

    created_at: datetime
    tool_version: str
    stack: str
    project: str
    endpoint: str
    lineage: str
    serial: int
    digests: Mapping[str, str]
    changes: tuple[Change, ...]
    quota: QuotaView
    complete: bool
    unknown: tuple[str, ...] = ()
    unmanaged: tuple[str, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
    targets: tuple[str, ...] = ()
    mode: str = "normal"
    format_version: str = field(default=PLAN_FORMAT_VERSION)

    @property
    def errored(self) -> bool:
        """Whether something forbids applying the plan at all; errors on single rows do not."""
        return any(one.severity is Severity.ERROR for one in self.diagnostics)

    @property
    def has_changes(self) -> bool:
        """Whether applying it would do anything."""
        return any(change.action is not Action.LEAVE for change in self.changes)

    def counts(self) -> Counter[Action]:
        """How many addresses get each action."""
        return Counter(change.action for change in self.changes)

    def all_diagnostics(self) -> tuple[Diagnostic, ...]:
        """The plan's own diagnostics, then those of its rows in the order of the rows."""
        return self.diagnostics + tuple(one for change in self.changes for one in change.diagnostics)


def plan_checksum(plan: Plan) -> str:
    """sha256 of the plan's document, 64 hex digits."""
    text = json.dumps(encode_plan(plan), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


_ACTIONS_JSON: Mapping[Action, list[str]] = {
    Action.CREATE: ["create"],
    Action.REPLACE: ["delete", "create"],
    Action.UPDATE: ["update"],
    Action.CANCEL: ["cancel"],
    Action.DELETE: ["delete"],
    Action.LEAVE: ["no-op"],
    Action.ADOPT: ["adopt"],
    Action.FORGET: ["forget"],
}
_ACTION_FROM_JSON = {tuple(words): action for action, words in _ACTIONS_JSON.items()}


def encode_plan(plan: Plan) -> dict[str, Any]:
    """The plan as a JSON document, in the field names Terraform's users know."""
    return {
        "format_version": plan.format_version,
        "tuneform_version": plan.tool_version,
        "timestamp": plan.created_at.isoformat(),
        "mode": plan.mode,
        "stack": plan.stack,
        "project": plan.project,
        "endpoint": plan.endpoint,
        "state": {"lineage": plan.lineage, "serial": plan.serial},
        "manifests": dict(sorted(plan.digests.items())),
        "targets": list(plan.targets),
        "applyable": not plan.errored and plan.has_changes,
        "complete": plan.complete,
        "errored": plan.errored,
        "changes": [_encode_change(change) for change in plan.changes],
        "quota": _encode_quota(plan.quota),
        "summary": {action.value: count for action, count in sorted(plan.counts().items())},
        "unknown": list(plan.unknown),
        "unmanaged": list(plan.unmanaged),
        "diagnostics": [encode_diagnostic(one) for one in plan.diagnostics],
    }


def decode_plan(document: Mapping[str, Any]) -> Plan:
    """The plan back from its document; raises TuneformError when it is not one this version reads."""
    try:
        return _decode_plan(document)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise TuneformError(
            "The plan file cannot be read",
            f"It is not a tuneform plan document of format {PLAN_FORMAT_VERSION}: {error!r}. Make it anew with:",
            command="tuneform plan --out FILE",
        ) from error


def _decode_plan(document: Mapping[str, Any]) -> Plan:
    if str(document["format_version"]).split(".")[0] != PLAN_FORMAT_VERSION.split(".")[0]:
        raise ValueError(f"format_version {document['format_version']}")
    return Plan(
        format_version=document["format_version"],
        tool_version=document["tuneform_version"],
        created_at=datetime.fromisoformat(document["timestamp"]),
        mode=document["mode"],
        stack=document["stack"],
        project=document["project"],
        endpoint=document["endpoint"],
        lineage=document["state"]["lineage"],
        serial=document["state"]["serial"],
        digests=dict(document["manifests"]),
        targets=tuple(document["targets"]),
        complete=document["complete"],
        changes=tuple(_decode_change(one) for one in document["changes"]),
        quota=_decode_quota(document["quota"]),
        unknown=tuple(document["unknown"]),
        unmanaged=tuple(document["unmanaged"]),
        diagnostics=tuple(decode_diagnostic(one) for one in document["diagnostics"]),
    )


def _encode_change(change: Change) -> dict[str, Any]:
    return {
        "address": change.address,
        "actions": _ACTIONS_JSON[change.action],
        "action_reason": change.reason.value,
        "row": change.row,
        "why": change.why,
        "fingerprint": change.fingerprint,
        "location": change.location,
        "base_model": change.base_model,
        "priority": change.priority,
        "attempt": change.attempt,
        "job": change.job,
        "moved": change.moved,
        "place": change.place,
        "before": {one.path: one.before for one in change.field_changes},
        "after": {one.path: one.after for one in change.field_changes},
        "replace_paths": _paths_with(change.field_changes, Effect.RETRAIN),
        "update_paths": _paths_with(change.field_changes, Effect.UPDATE),
        "next_job_paths": _paths_with(change.field_changes, Effect.NEXT_JOB),
        "source": _encode_source(change.source),
        "facts": change.facts,
        "diagnostics": [encode_diagnostic(one) for one in change.diagnostics],
    }


def _decode_change(document: Mapping[str, Any]) -> Change:
    effects = {path: Effect.RETRAIN for path in document["replace_paths"]}
    effects |= {path: Effect.UPDATE for path in document["update_paths"]}
    effects |= {path: Effect.NEXT_JOB for path in document["next_job_paths"]}
    return Change(
        address=document["address"],
        action=_ACTION_FROM_JSON[tuple(document["actions"])],
        reason=Reason(document["action_reason"]),
        row=document["row"],
        why=document["why"],
        fingerprint=document["fingerprint"],
        location=document["location"],
        base_model=document["base_model"],
        priority=document["priority"],
        attempt=document["attempt"],
        job=document["job"],
        moved=document["moved"],
        place=document["place"],
        field_changes=tuple(
            FieldChange(path, document["before"][path], document["after"][path], effect)
            for path, effect in sorted(effects.items())
        ),
        source=_decode_source(document["source"]),
        facts=document["facts"],
        diagnostics=tuple(decode_diagnostic(one) for one in document["diagnostics"]),
    )


def _paths_with(changes: Iterable[FieldChange], effect: Effect) -> list[str]:
    return [one.path for one in changes if one.effect is effect]


def _encode_quota(quota: QuotaView) -> dict[str, Any]:
    return {
        "limit": quota.limit,
        "limit_source": quota.limit_source,
        "own_active": quota.own_active,
        "foreign_active": quota.foreign_active,
        "intents": quota.intents,
        "held": quota.held,
        "free": quota.free,
        "foreign_jobs": list(quota.foreign_jobs),
        "unread_locations": list(quota.unread_locations),
    }


def _decode_quota(document: Mapping[str, Any]) -> QuotaView:
    lists = {key: tuple(document[key]) for key in ("foreign_jobs", "unread_locations")}
    return QuotaView(**{**document, **lists})


def encode_diagnostic(one: Diagnostic) -> dict[str, Any]:
    """A diagnostic as JSON."""
    return {
        "severity": one.severity.value,
        "rule": one.rule,
        "summary": one.summary,
        "detail": one.detail,
        "source": _encode_source(one.source),
        "command": one.command,
    }


def decode_diagnostic(document: Mapping[str, Any]) -> Diagnostic:
    """A diagnostic back from JSON."""
    return Diagnostic(
        severity=Severity(document["severity"]),
        rule=document["rule"],
        summary=document["summary"],
        detail=document["detail"],
        source=_decode_source(document["source"]),
        command=document["command"],
    )


def _encode_source(source: Source | None) -> dict[str, Any] | None:
    return None if source is None else {"path": source.path, "line": source.line, "column": source.column}


def _decode_source(document: Mapping[str, Any] | None) -> Source | None:
    return None if document is None else Source(document["path"], document["line"], document["column"])


def only(plan: Plan, addresses: frozenset[str], targets: tuple[str, ...]) -> Plan:
    """The plan for some addresses only; a move that has one side in it takes the other along."""
    partners = {change.moved for change in plan.changes if change.address in addresses and change.moved}
    kept = tuple(change for change in plan.changes if change.address in addresses | partners)
    return replace(plan, changes=kept, targets=targets)
