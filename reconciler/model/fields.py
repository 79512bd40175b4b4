"""A spec as flat fields, what a change to each field means, and the fingerprint.

Everything that defines a tuning job is a mapping of dotted API names to the values the user set:
`{"baseModel": "gemini-3.5-flash", "location": "us-central1", "hyperParameters.epochCount": 4}`. A field that is not
in the mapping was not set, and Vertex AI chooses. The same shape describes desired and live, so comparing them is
comparing two mappings.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

# Any JSON value; nested values (evaluationConfig) are compared as a whole.
Value = str | int | float | bool | None | list["Value"] | dict[str, "Value"]
Fields = Mapping[str, Value]

FINGERPRINT_VERSION = "v1"
PARENT_FINGERPRINT = "preTunedModel.fingerprint"


class Effect(StrEnum):
    """What changing a field of a tuned model asks for."""

    RETRAIN = "retrain"
    UPDATE = "update"
    NEXT_JOB = "next job"


_RETRAIN = (
    "baseModel",
    "customBaseModel",
    "encryptionSpec.kmsKeyName",
    "hyperParameters.adapterSize",
    "hyperParameters.batchSize",
    "hyperParameters.beta",
    "hyperParameters.epochCount",
    "hyperParameters.learningRate",
    "hyperParameters.learningRateMultiplier",
    "location",
    "method",
    "pipelineTuning.acceleratorType",
    "pipelineTuning.defaultContext",
    "pipelineTuning.enableCheckpointSelection",
    "pipelineTuning.enableEarlyStopping",
    "pipelineTuning.evaluationDataUri",
    "pipelineTuning.evaluationInterval",
    "pipelineTuning.learningRateMultiplier",
    "pipelineTuning.modelUploadLocation",
    "pipelineTuning.trainSteps",
    "preTunedModel.checkpointId",
    PARENT_FINGERPRINT,
    "preTunedModel.tunedModelName",
    "trainingDatasetUri",
    "tuningMode",
    "validationDatasetUri",
)
# A renamed parent is the same parent: its fingerprint stands for it, so the address itself retrains nothing.
_NEXT_JOB = (
    "description",
    "evaluationConfig",
    "exportLastCheckpointOnly",
    "outputUri",
    "pipelineTuning.gcsOutputDirectory",
    "pipelineTuning.tensorboardResourceId",
    "preTunedModel.address",
    "serviceAccount",
)
EFFECTS: Mapping[str, Effect] = {
    **dict.fromkeys(_RETRAIN, Effect.RETRAIN),
    **dict.fromkeys(_NEXT_JOB, Effect.NEXT_JOB),
    "tunedModelDisplayName": Effect.UPDATE,
}


def effect_of(path: str) -> Effect:
    """What changing this field asks for; raises KeyError for a field nobody classed."""
    if path.startswith("labels."):
        return Effect.UPDATE
    return EFFECTS[path]


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field that differs. `before` and `after` are None where the field is not set."""

    path: str
    before: Value
    after: Value
    effect: Effect


def field_changes(before: Fields, after: Fields) -> tuple[FieldChange, ...]:
    """Every field that differs, sorted by path, each with what its change asks for."""
    paths = sorted(before.keys() | after.keys())
    return tuple(
        FieldChange(path, before.get(path), after.get(path), effect_of(path))
        for path in paths
        if canonical(before.get(path)) != canonical(after.get(path))
    )


def fingerprint(fields: Fields) -> str:
    """The versioned digest of the fields that define a job's result, `v1-<16 hex>`.

    Equal fingerprints mean: no reason to tune again. The canonical form never changes within a version.
    """
    shaping = {path: canonical(value) for path, value in fields.items() if effect_of(path) is Effect.RETRAIN}
    text = json.dumps(shaping, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return f"{FINGERPRINT_VERSION}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def canonical(value: Value) -> Value:
    """The value in the one form in which equal values are equal: 1.0 as 1, a base model by its short id."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str):
        return short_base_model(value)
    if isinstance(value, list):
        return [canonical(one) for one in value]
    if isinstance(value, dict):
        return {key: canonical(one) for key, one in value.items()}
    return value


def short_base_model(name: str) -> str:
    """`gemini-3.5-flash` for `publishers/google/models/gemini-3.5-flash`; other publishers keep theirs."""
    return name.removeprefix("publishers/google/models/")
