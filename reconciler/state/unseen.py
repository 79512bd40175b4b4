"""Jobs that were made a moment ago and that no list shows yet. Pure.

Whether a list shows a job at once is not documented, so for a while a job is believed on the word of its create.
"""

from __future__ import annotations

from datetime import timedelta

from reconciler.model.observation import Observation
from reconciler.state.records import Attempt, Intent, State

# How long a job may be missing from the lists before we believe that it is not there.
SETTLE_TIME = timedelta(minutes=5)


def unseen_attempts(state: State, observation: Observation) -> dict[str, Attempt]:
    """By address, the current attempts whose job was recorded within the settle time and is not listed yet."""
    listed = {job.name for job in observation.jobs}
    return {
        address: record.current
        for address, record in state.records.items()
        if record.current.job not in listed and is_fresh(record.current, observation)
    }


def is_settled(intent: Intent, observation: Observation) -> bool:
    """Whether the intent is so old that its job, had it been made, would be listed."""
    return observation.at - intent.written_at >= SETTLE_TIME


def is_fresh(attempt: Attempt, observation: Observation) -> bool:
    """Whether the attempt was recorded so lately that its job need not be listed yet."""
    return observation.at - attempt.recorded_at < SETTLE_TIME
