"""A job's labels and the world's failure rate -> how the job will end. Pure.

The convention is the simulator's own; Vertex AI knows nothing of it. The user label `simulate` makes a job end badly:

    simulate: fail             FAILED after its whole duration, code 13 (INTERNAL)
    simulate: fail-dataset     FAILED two minutes after it began to run, code 3 (INVALID_ARGUMENT), for its dataset
    simulate: fail-with-model  FAILED after its whole duration, code 13, and leaves a model without an endpoint

Any other value changes nothing. `failure_rate` fails that share of the other jobs, picked by their ids, part-way.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

SIMULATE_LABEL = "simulate"
_DATASET_CHECK_S = 120


class Outcome(StrEnum):
    """How a job ends if nobody cancels it in time; CANCEL once somebody did."""

    SUCCEED = "succeed"
    FAIL = "fail"
    FAIL_DATASET = "fail-dataset"
    FAIL_WITH_MODEL = "fail-with-model"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True)
class Course:
    """How a job will go: its outcome, and how long it is RUNNING before that, in seconds."""

    outcome: Outcome
    run_s: int


# What each outcome says; a code is a google.rpc.Code number.
# Source: a recorded job that failed with its model (code 13), and recorded cancelled jobs, whose text has one L.
ERRORS: Mapping[Outcome, tuple[int, str]] = {
    Outcome.FAIL: (13, "Internal error occurred. Please retry the tuning job."),
    Outcome.FAIL_DATASET: (3, "The training dataset is invalid: no example of it could be used for tuning."),
    Outcome.FAIL_WITH_MODEL: (
        13,
        "Failed to create endpoint. Tuned model is uploaded and can be accessed through Model Registry.",
    ),
    Outcome.CANCEL: (1, "CANCELED"),
}


def course_of(labels: Mapping[str, str], *, duration_s: int, failure_rate: float, seed: int, job_id: str) -> Course:
    """How a new job will go, given how long it would take to succeed."""
    match labels.get(SIMULATE_LABEL):
        case "fail":
            return Course(Outcome.FAIL, duration_s)
        case "fail-dataset":
            return Course(Outcome.FAIL_DATASET, min(_DATASET_CHECK_S, duration_s))
        case "fail-with-model":
            return Course(Outcome.FAIL_WITH_MODEL, duration_s)
        case _:
            return _by_chance(duration_s, failure_rate, f"{seed}:{job_id}")


def _by_chance(duration_s: int, failure_rate: float, key: str) -> Course:
    digest = hashlib.sha256(key.encode()).digest()
    if int.from_bytes(digest[:4], "big") / 2**32 >= failure_rate:
        return Course(Outcome.SUCCEED, duration_s)
    share = (1 + digest[4]) / 256
    return Course(Outcome.FAIL, max(1, round(duration_s * share)))
