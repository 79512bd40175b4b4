"""Rows 1 to 8: what cannot be decided yet, and what is no longer desired."""

from __future__ import annotations

from reconciler.plan import Action, Reason
from reconciler.planner.facts import Facts
from reconciler.planner.verdict import Verdict, leave, warning


def unknown(facts: Facts) -> Verdict | None:
    """Row 1."""
    if not facts.unread:
        return None
    where = ", ".join(facts.unread)
    return Verdict(
        action=Action.LEAVE,
        reason=Reason.UNKNOWN,
        why=f"{where} could not be read, so nothing is forgotten and nothing created",
        diagnostics=(
            warning(
                facts,
                "location-unread",
                "A location could not be read",
                f"{facts.address} rests on {where}, which could not be read completely. It is left as it is.",
            ),
        ),
    )


def submitting(facts: Facts) -> Verdict | None:
    """Row 2."""
    under_way = facts.intent is not None and facts.intent_job is None and not facts.intent_is_settled
    if not under_way and not (facts.intent is None and facts.is_unseen):
        return None
    return leave(Reason.SUBMITTING, "a submission is under way and its job is not listed yet")


def submitted(facts: Facts) -> Verdict | None:
    """Row 3."""
    if facts.intent is None or facts.intent_job is None:
        return None
    return Verdict(
        action=Action.ADOPT,
        reason=Reason.SUBMITTED,
        why="its submission succeeded and was not recorded yet",
        job=facts.intent_job.name,
    )


def cancelling(facts: Facts) -> Verdict | None:
    """Row 4."""
    if facts.live is None or not facts.live.is_cancelling:
        return None
    return leave(Reason.CANCELLING, "its job is being cancelled", facts.live)


def moved_away(facts: Facts) -> Verdict | None:
    """Row 5."""
    if facts.desired is not None or facts.moved_to is None:
        return None
    return Verdict(action=Action.FORGET, reason=Reason.MOVED, why=f"is now {facts.moved_to}", job=facts.live_name)


def removed_active(facts: Facts) -> Verdict | None:
    """Row 6."""
    if facts.desired is not None or not facts.is_active:
        return None
    return Verdict(
        action=Action.CANCEL,
        reason=Reason.REMOVED,
        why="no longer in the manifests and its job still runs",
        job=facts.live_name,
    )


def removed_delete(facts: Facts) -> Verdict | None:
    """Row 7."""
    if facts.desired is not None or not facts.has_succeeded or facts.record is None:
        return None
    if facts.record.lifecycle.on_remove != "delete":
        return None
    if facts.model_exists is None:
        # Deleting what nobody looked at would be a guess; forgetting it would lose the wish to delete it.
        return Verdict(
            action=Action.LEAVE,
            reason=Reason.UNKNOWN,
            why="to be deleted, but its model was not looked at",
            job=facts.live_name,
            diagnostics=(
                warning(
                    facts,
                    "model-not-looked-at",
                    "A model that is to be deleted was not looked at",
                    f"{facts.address} was removed with `onRemove: delete`. Nothing is deleted and nothing forgotten.",
                ),
            ),
        )
    return Verdict(
        action=Action.DELETE,
        reason=Reason.REMOVED,
        why="no longer in the manifests, `onRemove: delete`",
        job=facts.live_name,
    )


def removed(facts: Facts) -> Verdict | None:
    """Row 8."""
    if facts.desired is not None:
        return None
    if facts.record is None:
        return Verdict(action=Action.FORGET, reason=Reason.DEQUEUED, why="no longer in the manifests, never started")
    if facts.live is None:
        return Verdict(action=Action.FORGET, reason=Reason.GONE, why="no longer in the manifests, its job is gone")
    kept = "; its model is kept" if facts.live.model else ""
    return Verdict(
        action=Action.FORGET,
        reason=Reason.FINISHED,
        why=f"no longer in the manifests, its job has ended{kept}",
        job=facts.live.name,
    )
