"""What a tuning spec says, whichever method it is for: the questions several modules ask of an accepted spec. Pure."""

from __future__ import annotations

import math

from reconciler.simulator.answers import Resource
from reconciler.simulator.base_models import PREFERENCE, SUPERVISED
from reconciler.simulator.datasets import dataset_of

_EXAMPLES_PER_STEP = 16
_CHECKPOINTS_MAX_COUNT = 10


def method_of(spec: Resource) -> str:
    """The name of its tuning spec: supervisedTuningSpec or preferenceOptimizationSpec."""
    return SUPERVISED if SUPERVISED in spec else PREFERENCE


def training_uri_of(spec: Resource) -> str:
    """Where its training data is."""
    return str(spec[method_of(spec)]["trainingDatasetUri"])


def epoch_count_of(spec: Resource) -> int:
    """How often it goes over the data."""
    return int(spec[method_of(spec)]["hyperParameters"]["epochCount"])


def step_count_of(spec: Resource, epoch_count: int) -> int:
    """How many steps so many epochs take."""
    return math.ceil(dataset_of(training_uri_of(spec)).example_count * epoch_count / _EXAMPLES_PER_STEP)


def default_epoch_count(uri: str) -> int:
    """The epochs the service chooses: many for little data, few for much.

    Source: 166 examples were seen to get 40 epochs; the rule between such points is the simulator's own.
    """
    return min(max(round(166 * 40 / dataset_of(uri).example_count), 1), 40)


def checkpoint_epochs(epoch_count: int) -> tuple[int, ...]:
    """The epochs after which a checkpoint is kept: each, or ten evenly spaced, the last one always among them.

    Source: https://cloud.google.com/vertex-ai/generative-ai/docs/models/tune-gemini-checkpoints.
    """
    kept = min(epoch_count, _CHECKPOINTS_MAX_COUNT)
    return tuple(round(epoch_count * number / kept) for number in range(1, kept + 1))
