"""The decision table: the facts about one address in, one action and one reason out. The first row that fits wins.

D is the desired model, L the job that stands for the address, R its record, I an open intent, Q its ticket.
"Differ" means that D's fingerprint is not L's. Active means: not in {SUCCEEDED, PARTIALLY_SUCCEEDED, FAILED,
CANCELLED, EXPIRED}; an unknown state is active.

 #  when                                                                    action   reason
 1  a location of D, R or I could not be read completely                    leave    UNKNOWN
 2  I open, nonce not live, or R's job not listed: within the settle time   leave    SUBMITTING
 3  I open, nonce live                                                      adopt    SUBMITTED
 4  L cancelling                                                            leave    CANCELLING
    not desired
 5  paired with a new address                                               forget   MOVED
 6  L active                                                                cancel   REMOVED
 7  L succeeded, `onRemove: delete` recorded                                delete   REMOVED
 8  R, I or Q remembered                                                    forget   FINISHED, GONE or DEQUEUED
    desired
 9  Q has D's fingerprint, L not active                                     leave    QUEUED
10  no R, paired with an old address                                        adopt    MOVED
11  own job without a record: active, or with D's fingerprint               adopt    UNRECORDED
12  no R; another owner's job bears this stack, name and D's fingerprint    leave    FOREIGN
13  no R                                                                    create   NEW
14  D's fingerprint; L cancelled, or its model deleted, by us               create   RESTORED
15  D's fingerprint, R's job cannot be found                                leave    GONE
16  differ, but L ran with every field D sets and D drops none              leave    SAME_SPEC
    or by the parent's fingerprint only, and the parent is SAME_SPEC
17  differ, an older own job with D's fingerprint succeeded                 cancel or adopt  ROLLED_BACK
18  differ only by the parent's fingerprint, `onParentChange: warn`         leave    PARENT_CHANGED
    or the parent is not tuned again
19  differ, `preventReplace`, L active or succeeded                         leave    PROTECTED
20  differ, L active                                                        replace  SPEC_CHANGED
21  differ                                                                  create   SPEC_CHANGED
22  L active                                                                leave    IN_PROGRESS
23  L succeeded, model or endpoint gone                                     leave    MODEL_GONE
24  L succeeded, dataset bytes changed, `onDatasetChange: retrain`          create   DATASET_CHANGED
25  L succeeded, display name or labels differ                              update   METADATA_CHANGED
26  L succeeded                                                             leave    SUCCEEDED or DATASET_CHANGED
27  L cancelled by `tuneform cancel`, or by someone else                    leave    CANCELLED or CANCELLED_ELSEWHERE
28  L failed or expired, attempts left, error retryable                     create   RETRY
29  L failed or expired                                                     leave    FAILED

A cancel, replace or delete of a job that is known by its labels alone becomes leave LOOK_ALIKE.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import replace

from reconciler.plan import Action, Reason
from reconciler.planner import rows_desired, rows_first, rows_settled
from reconciler.planner.facts import Facts
from reconciler.planner.verdict import Verdict, warning
from reconciler.state.records import Origin

Row = Callable[[Facts], Verdict | None]

ROWS: tuple[tuple[int, Row], ...] = (
    (1, rows_first.unknown),
    (2, rows_first.submitting),
    (3, rows_first.submitted),
    (4, rows_first.cancelling),
    (5, rows_first.moved_away),
    (6, rows_first.removed_active),
    (7, rows_first.removed_delete),
    (8, rows_first.removed),
    (9, rows_desired.queued),
    (10, rows_desired.moved_here),
    (11, rows_desired.unrecorded),
    (12, rows_desired.foreign),
    (13, rows_desired.new),
    (14, rows_desired.restored),
    (15, rows_desired.gone),
    (16, rows_desired.same_spec),
    (17, rows_desired.rolled_back),
    (18, rows_desired.parent_changed),
    (19, rows_desired.protected),
    (20, rows_desired.replace),
    (21, rows_desired.changed),
    (22, rows_settled.in_progress),
    (23, rows_settled.model_gone),
    (24, rows_settled.dataset_retrain),
    (25, rows_settled.metadata_changed),
    (26, rows_settled.succeeded),
    (27, rows_settled.cancelled),
    (28, rows_settled.retry),
    (29, rows_settled.failed),
)


def decide(facts: Facts, rows: tuple[tuple[int, Row], ...] = ROWS) -> Verdict:
    """The verdict of the first row that fits; other rows than the table's are for its own tests."""
    for number, row in rows:
        verdict = row(facts)
        if verdict is not None:
            return replace(_with_two_keys(facts, verdict), row=number)
    raise AssertionError(f"no row of the decision table fits {facts.address}")


def _with_two_keys(facts: Facts, verdict: Verdict) -> Verdict:
    """Nothing is cancelled or deleted on the word of labels alone: whoever can read them can copy them."""
    ends_a_job = verdict.action in (Action.CANCEL, Action.REPLACE, Action.DELETE)
    if ends_a_job and (facts.record is None or facts.record.current.origin is Origin.LABEL):
        return Verdict(
            action=Action.LEAVE,
            reason=Reason.LOOK_ALIKE,
            why="known by its labels alone, so it is neither cancelled nor deleted",
            job=verdict.job,
            diagnostics=(
                warning(
                    facts,
                    "look-alike",
                    "A job is known by its labels alone",
                    f"{verdict.job} bears the labels of {facts.address}, but this state did not make it. Confirm that "
                    "it is yours before tuneform may cancel or delete it:",
                    command=f"tuneform import {shlex.quote(facts.address)}",
                ),
            ),
        )
    return verdict
