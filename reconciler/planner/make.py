"""Makes the plan: desired, state and one observation in, every address with its action and reason out. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from reconciler.errors import Diagnostic, Severity
from reconciler.model.desired import Desired, DesiredModel
from reconciler.model.fields import FieldChange, Fields, field_changes
from reconciler.model.observation import Observation
from reconciler.plan import Action, Change, Plan, Reason
from reconciler.planner.facts import Facts, gather_facts
from reconciler.planner.hints import rename_hints
from reconciler.planner.table import decide
from reconciler.planner.verdict import Verdict
from reconciler.quota import LaneRules, take_ledger
from reconciler.state.queue import queue_places
from reconciler.state.records import State
from reconciler.version import __version__

# Actions that would spend money, so that what forbids a job forbids them.
_SPENDING = frozenset({Action.CREATE, Action.REPLACE})


def make_plan(
    desired: Desired,
    state: State,
    observation: Observation,
    *,
    now: datetime,
    defaults: Callable[[DesiredModel], Fields] = lambda model: {},
    obstacles: Mapping[str, Diagnostic] | None = None,
    warnings: Iterable[Diagnostic] = (),
    new_owner: bool = False,
    rules: LaneRules | None = None,
) -> Plan:
    """The plan for a whole stack.

    `obstacles` maps an address to what forbids tuning it now (a retired base model); it counts only where the plan
    would create a job. `defaults` gives the values the service fills in for fields a model does not set. `new_owner`
    lets a state begin beside another owner of the same stack name. `rules` say what jobs take from which quota.
    """
    facts = gather_facts(desired, state, observation, places=queue_places(state.queue.values()), defaults=defaults)
    changes = _decided(facts)
    namesakes = _namesakes(desired, state, observation, new_owner=new_owner)
    if any(one.severity is Severity.ERROR for one in namesakes):
        # One error says it for all of them; a row each would bury it.
        changes = tuple(replace(one, diagnostics=()) if one.reason is Reason.FOREIGN else one for one in changes)
    forbidden = tuple(
        obstacles[change.address]
        for change in changes
        if obstacles and change.action in _SPENDING and change.address in obstacles
    )
    return Plan(
        created_at=now,
        tool_version=__version__,
        stack=desired.stack.name,
        project=desired.stack.project,
        endpoint=state.endpoint,
        lineage=state.lineage,
        serial=state.serial,
        digests=desired.digests,
        changes=changes,
        quota=take_ledger(desired.stack.quota, state, observation, rules).view(),
        complete=observation.is_complete,
        unknown=_unknown(observation),
        unmanaged=_unmanaged(facts, state, observation),
        diagnostics=(
            *_not_repeated(warnings, forbidden),
            *forbidden,
            *namesakes,
            *_unread(observation),
            *rename_hints(desired, state, observation, changes),
        ),
    )


def _decided(facts: Iterable[Facts]) -> tuple[Change, ...]:
    """Every address decided, sorted; parents before their children, who rest on what becomes of them."""
    by_address = {one.address: one for one in facts}
    decided: dict[str, Change] = {}
    for one in by_address.values():
        # Manifests have no circles of parents, so the chain ends.
        chain = [one]
        while (parent := _parent_of(chain[-1])) in by_address and parent not in decided:
            chain.append(by_address[parent])
        for link in reversed(chain):
            above = decided.get(_parent_of(link))
            link = replace(link, parent_reason=None if above is None else above.reason)
            decided[link.address] = decided.get(link.address) or _change(link, decide(link))
    return tuple(decided[address] for address in sorted(decided))


def _parent_of(facts: Facts) -> str:
    """The address of the declared parent; "" without one."""
    return "" if facts.desired is None else facts.desired.parent or ""


def _not_repeated(warnings: Iterable[Diagnostic], forbidden: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """The warnings without those that a create has turned into errors."""
    errors = {(one.rule, one.source) for one in forbidden}
    return tuple(one for one in warnings if (one.rule, one.source) not in errors)


def _change(facts: Facts, verdict: Verdict) -> Change:
    model = facts.desired
    change = Change(
        address=facts.address,
        action=verdict.action,
        reason=verdict.reason,
        row=verdict.row,
        why=verdict.why,
        fingerprint=None if model is None else model.fingerprint,
        location=_location(facts),
        base_model=None if model is None else model.base_model,
        priority="normal" if model is None else model.priority.value,
        attempt=facts.attempts_made + 1 if verdict.action in _SPENDING else None,
        job=verdict.job,
        moved=facts.moved_to or facts.moved_from if verdict.reason is Reason.MOVED else None,
        place=facts.place,
        field_changes=_differences(facts, verdict),
        diagnostics=verdict.diagnostics,
        source=None if model is None else model.source,
    )
    return _with_facts(change)


def _with_facts(change: Change) -> Change:
    """The change with a digest of what its row rested on: the row, the job it is about and what it would make."""
    ground = (change.row, change.action.value, change.reason.value, change.fingerprint, change.attempt, change.job)
    digest = hashlib.sha256(repr((change.address, change.moved, *ground)).encode()).hexdigest()[:16]
    return replace(change, facts=digest)


def _location(facts: Facts) -> str | None:
    if facts.desired is not None:
        return facts.desired.location
    return None if facts.record is None else facts.record.current.location


def _differences(facts: Facts, verdict: Verdict) -> tuple[FieldChange, ...]:
    """What differs from what was last submitted; nothing for an address that is left in peace or is new."""
    if facts.desired is None or facts.record is None:
        return ()
    if verdict.reason in (Reason.SUCCEEDED, Reason.IN_PROGRESS) and not facts.differs:
        # Fields that only the next job reads, or that nothing needs to be tuned again for, are worth a line.
        return field_changes(facts.record.current.fields, facts.desired.fields)
    if not facts.differs and verdict.reason is not Reason.METADATA_CHANGED:
        return ()
    return field_changes(facts.record.current.fields, facts.desired.fields)


def _unknown(observation: Observation) -> tuple[str, ...]:
    if observation.models is not None:
        return ()
    return ("whether tuned models still exist", "whether datasets changed since", "display names and labels of models")


def _unmanaged(facts: Iterable[Facts], state: State, observation: Observation) -> tuple[str, ...]:
    """Live jobs that bear this stack's owner label but stand for no address: reported, never touched."""
    remembered = [*state.records.values(), *state.retired.values()]
    named = {attempt.job for record in remembered for attempt in record.attempts}
    named |= {one.live.name for one in facts if one.live is not None}
    named |= {one.intent_job.name for one in facts if one.intent_job is not None}
    own = (job for job in observation.jobs if job.owner == state.lineage)
    return tuple(sorted(job.name for job in own if job.name not in named))


def _namesakes(desired: Desired, state: State, observation: Observation, *, new_owner: bool) -> tuple[Diagnostic, ...]:
    """A state that never applied must not start beside live jobs that another owner made for the same stack name.

    Most often that owner is this very stack before its state was lost, and applying would tune everything again.
    """
    others = sorted(
        {
            job.owner
            for job in observation.jobs
            if job.stack == desired.stack.name and job.owner not in (None, state.lineage)
        }
    )
    if not others:
        return ()
    count = sum(1 for job in observation.jobs if job.stack == desired.stack.name and job.owner in others)
    detail = (
        f"{count} live job{'s' if count > 1 else ''} in project {desired.stack.project} "
        f"{'bear' if count > 1 else 'bears'} the stack name {desired.stack.name}, made by "
        f"owner {', '.join(str(one) for one in others)}. This state belongs to owner {state.lineage}."
    )
    if state.applied or new_owner:
        return (
            Diagnostic(
                severity=Severity.WARNING,
                rule="stack-namesake",
                summary="Another owner uses the same stack name",
                detail=detail,
                source=desired.stack.source,
            ),
        )
    return (
        Diagnostic(
            severity=Severity.ERROR,
            rule="stack-name-taken",
            summary="The stack name is taken by another owner",
            detail=f"{detail} If that was this stack before its state was lost, applying would tune everything again. "
            "Give the stack another name, begin beside it with --new-owner, or take its lineage back:",
            source=desired.stack.source,
            command="tuneform state recover",
        ),
    )


def _unread(observation: Observation) -> tuple[Diagnostic, ...]:
    if not observation.unread:
        return ()
    by_reason: dict[str, list[str]] = {}
    for location, why in sorted(observation.unread.items()):
        by_reason.setdefault(why, []).append(location)
    listed = "\n".join(f"  {_named(locations)}: {why}" for why, locations in by_reason.items())
    return (
        Diagnostic(
            severity=Severity.WARNING,
            rule="quota-unknown",
            summary="Free slots are unknown",
            detail=f"The quota is shared by all locations, and these could not be read:\n{listed}\n"
            "Nothing is submitted until they can be.",
        ),
    )


def _named(locations: Sequence[str]) -> str:
    more = f" and {len(locations) - 3} more" if len(locations) > 3 else ""
    return ", ".join(locations[:3]) + more
