"""Rows 9 to 21: desired, and not yet, or not any more, what live is."""

from __future__ import annotations

import shlex

from reconciler.model.fields import PARENT_FINGERPRINT, Effect, field_changes
from reconciler.model.job import JobState, LiveJob
from reconciler.plan import Action, Reason
from reconciler.planner.facts import Facts, is_same_spec
from reconciler.planner.verdict import Verdict, error, leave, warning
from reconciler.state.records import Because

_RESTORABLE = frozenset({Because.REMOVED, Because.REPLACED, Because.DESTROYED, Because.DUPLICATE})


def queued(facts: Facts) -> Verdict | None:
    """Row 9."""
    if facts.ticket is None or facts.desired is None or facts.is_active:
        return None
    if facts.ticket.fingerprint != facts.desired.fingerprint:
        return None
    place = "" if facts.place is None else f", place {facts.place}"
    return leave(Reason.QUEUED, f"waits for a slot{place}")


def moved_here(facts: Facts) -> Verdict | None:
    """Row 10."""
    if facts.record is not None or facts.moved_from is None:
        return None
    return Verdict(action=Action.ADOPT, reason=Reason.MOVED, why=f"was {facts.moved_from}", job=facts.live_name)


def unrecorded(facts: Facts) -> Verdict | None:
    """Row 11."""
    found = facts.unrecorded
    if facts.desired is None or found is None:
        return None
    if facts.record is not None and (facts.is_active or not facts.differs):
        return None
    # What it came to does not matter: had the state not lost it, the plan would not pay for it again either.
    if not found.is_active and found.fingerprint != facts.desired.fingerprint:
        return None
    return Verdict(
        action=Action.ADOPT,
        reason=Reason.UNRECORDED,
        why="a job with our labels exists that the state does not know",
        job=found.name,
    )


def foreign(facts: Facts) -> Verdict | None:
    """Row 12."""
    if facts.record is not None or facts.foreign is None:
        return None
    return Verdict(
        action=Action.LEAVE,
        reason=Reason.FOREIGN,
        why="another owner already tuned exactly this",
        job=facts.foreign.name,
        diagnostics=(
            error(
                facts,
                "foreign-owner",
                "Another owner's job stands for this address",
                f"{facts.foreign.name} bears this stack, this name and this fingerprint, but belongs to owner "
                f"{facts.foreign.owner}. Tuning it again would be paid twice. To take it over, run:",
                command=f"tuneform import --take-over {shlex.quote(facts.address)}",
            ),
        ),
    )


def new(facts: Facts) -> Verdict | None:
    """Row 13."""
    if facts.record is not None:
        return None
    return Verdict(action=Action.CREATE, reason=Reason.NEW, why="new in the manifests")


def restored(facts: Facts) -> Verdict | None:
    """Row 14."""
    if facts.differs or facts.record is None or not _ended_by_us(facts):
        return None
    what = "deleted its model" if facts.has_succeeded else "cancelled its job"
    return Verdict(
        action=Action.CREATE,
        reason=Reason.RESTORED,
        why=f"wanted again; we {what} when it was {facts.record.current.because}",
        job=facts.live_name,
    )


def _ended_by_us(facts: Facts) -> bool:
    """Whether we cancelled its job, or deleted its model, for a reason that a new wish for it overrides."""
    if facts.record is None or facts.live is None or facts.record.current.because not in _RESTORABLE:
        return False
    return facts.live.state == JobState.CANCELLED or (facts.has_succeeded and facts.model_exists is False)


def gone(facts: Facts) -> Verdict | None:
    """Row 15."""
    if facts.differs or facts.record is None or facts.live is not None:
        return None
    return Verdict(
        action=Action.LEAVE,
        reason=Reason.GONE,
        why="its job cannot be found",
        job=facts.record.current.job,
        diagnostics=(
            error(
                facts,
                "job-gone",
                "A recorded job cannot be found",
                f"{facts.record.current.job} is recorded for {facts.address}, but Vertex AI does not list it. Nothing "
                "is tuned again unless you ask for it:",
                command=f"tuneform retry {shlex.quote(facts.address)}",
            ),
        ),
    )


def same_spec(facts: Facts) -> Verdict | None:
    """Row 16."""
    if facts.desired is None or facts.record is None or facts.live is None or not facts.differs:
        return None
    if _ended_by_us(facts):
        # Left now, it would be taken for restored by the next plan, although nothing changed in between.
        return None
    if facts.parent_reason is Reason.SAME_SPEC and _differs_by_parent_only(facts):
        return leave(Reason.SAME_SPEC, "the model it was tuned from is the same in effect", facts.live)
    if not is_same_spec(facts.desired.fields, facts.record.current, facts.live, facts.defaults):
        return None
    return leave(Reason.SAME_SPEC, "its job already ran with exactly these values", facts.live)


def rolled_back(facts: Facts) -> Verdict | None:
    """Row 17."""
    if not facts.differs or facts.older is None:
        return None
    if facts.is_active:
        return Verdict(
            action=Action.CANCEL,
            reason=Reason.ROLLED_BACK,
            why=f"back to what {short_name(facts.older)} already made; the running job is cancelled",
            job=facts.live_name,
        )
    return Verdict(
        action=Action.ADOPT,
        reason=Reason.ROLLED_BACK,
        why=f"back to what {short_name(facts.older)} already made",
        job=facts.older.name,
    )


_PARENT_STAYS = frozenset({Reason.PROTECTED, Reason.PARENT_CHANGED})


def _differs_by_parent_only(facts: Facts) -> bool:
    if facts.desired is None or facts.record is None:
        return False
    changes = field_changes(facts.record.current.fields, facts.desired.fields)
    return {change.path for change in changes if change.effect is Effect.RETRAIN} == {PARENT_FINGERPRINT}


def parent_changed(facts: Facts) -> Verdict | None:
    """Row 18."""
    if facts.desired is None or facts.record is None or not facts.differs:
        return None
    # A parent that is not tuned again leaves nothing new to go on from, whatever its manifest says.
    if facts.desired.lifecycle.on_parent_change != "warn" and facts.parent_reason not in _PARENT_STAYS:
        return None
    if not _differs_by_parent_only(facts):
        return None
    return Verdict(
        action=Action.LEAVE,
        reason=Reason.PARENT_CHANGED,
        why="only the model it was tuned from changed",
        job=facts.live_name,
        diagnostics=(
            warning(
                facts,
                "parent-changed",
                "The parent of a tuned model changed",
                f"{facts.address} was tuned from an earlier {facts.desired.parent}. It is kept; set "
                "`lifecycle.onParentChange: retrain`, or ask for this one:",
                command=f"tuneform retry {shlex.quote(facts.address)}",
            ),
        ),
    )


def protected(facts: Facts) -> Verdict | None:
    """Row 19."""
    if facts.desired is None or not facts.differs or not facts.desired.lifecycle.prevent_replace:
        return None
    if not (facts.is_active or facts.has_succeeded):
        return None
    return Verdict(
        action=Action.LEAVE,
        reason=Reason.PROTECTED,
        why="`preventReplace` is set",
        job=facts.live_name,
        diagnostics=(
            error(
                facts,
                "protected",
                "A protected model would be tuned again",
                f"The manifest of {facts.address} changed, and `lifecycle.preventReplace` forbids to replace what is "
                "there. Set it to false to go on, or take the change back.",
            ),
        ),
    )


def replace(facts: Facts) -> Verdict | None:
    """Row 20."""
    if not facts.differs or not facts.is_active:
        return None
    return Verdict(
        action=Action.REPLACE,
        reason=Reason.SPEC_CHANGED,
        why="the manifest changed and the old job still runs: it is cancelled first",
        job=facts.live_name,
    )


def changed(facts: Facts) -> Verdict | None:
    """Row 21."""
    if not facts.differs:
        return None
    return Verdict(
        action=Action.CREATE,
        reason=Reason.SPEC_CHANGED,
        why="the manifest changed",
        job=facts.live_name,
    )


def short_name(job: LiveJob) -> str:
    """`tuningJobs/123`, for sentences."""
    return "/".join(job.name.split("/")[-2:])
