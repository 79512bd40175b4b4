"""The fields of a TuningJob in v1 and v1beta1, as data.

Source: Google's discovery documents of aiplatform v1 and v1beta1, revision 20261106. The methods that the simulator
does not tune with (distillation, reinforcement, Veo, partner models) are taken as they come and refused later.
"""

from __future__ import annotations

from reconciler.simulator.schema import Field, Kind, Message

# The numbers are not the sizes: 2 is FOUR, and TWO came last.
ADAPTER_SIZE_NUMBERS = {
    "ADAPTER_SIZE_UNSPECIFIED": 0,
    "ADAPTER_SIZE_ONE": 1,
    "ADAPTER_SIZE_FOUR": 2,
    "ADAPTER_SIZE_EIGHT": 3,
    "ADAPTER_SIZE_SIXTEEN": 4,
    "ADAPTER_SIZE_THIRTY_TWO": 5,
    "ADAPTER_SIZE_TWO": 6,
}
ADAPTER_SIZES = {
    "ADAPTER_SIZE_ONE": 1,
    "ADAPTER_SIZE_TWO": 2,
    "ADAPTER_SIZE_FOUR": 4,
    "ADAPTER_SIZE_EIGHT": 8,
    "ADAPTER_SIZE_SIXTEEN": 16,
    "ADAPTER_SIZE_THIRTY_TWO": 32,
}
ADAPTER_NAMES = {size: name for name, size in ADAPTER_SIZES.items()}

_STRING = Field(kind=Kind.STRING)
_INT64 = Field(kind=Kind.INT64)
_DOUBLE = Field(kind=Kind.DOUBLE)
_BOOL = Field(kind=Kind.BOOL)
_BETA_STRING = Field(kind=Kind.STRING, is_beta=True)
_OUTPUT = Field(kind=Kind.STRUCT, is_output_only=True)
_BETA_OUTPUT = Field(kind=Kind.STRUCT, is_output_only=True, is_beta=True)
_BETA_METHOD = Field(kind=Kind.STRUCT, oneof="tuning_spec", is_beta=True)
_TUNING_MODE = Field(
    kind=Kind.ENUM,
    type_name="SupervisedTuningSpec.TuningMode",
    numbers={"TUNING_MODE_UNSPECIFIED": 0, "TUNING_MODE_FULL": 1, "TUNING_MODE_PEFT_ADAPTER": 2},
    is_beta=True,
)


def _adapter_size(owner: str) -> Field:
    return Field(kind=Kind.ENUM, type_name=f"{owner}.AdapterSize", numbers=ADAPTER_SIZE_NUMBERS)


def _message(type_name: str, message: Message, *, oneof: str | None = None) -> Field:
    return Field(kind=Kind.MESSAGE, type_name=type_name, message=message, oneof=oneof)


_SUPERVISED_HYPER_PARAMETERS: Message = {
    "epochCount": _INT64,
    "learningRateMultiplier": _DOUBLE,
    "adapterSize": _adapter_size("SupervisedHyperParameters"),
    "learningRate": Field(kind=Kind.DOUBLE, is_beta=True),
    "batchSize": Field(kind=Kind.INT64, is_beta=True),
}
_PREFERENCE_HYPER_PARAMETERS: Message = {
    "epochCount": _INT64,
    "learningRateMultiplier": _DOUBLE,
    "adapterSize": _adapter_size("PreferenceOptimizationHyperParameters"),
    "beta": _DOUBLE,
}
_SUPERVISED: Message = {
    "trainingDatasetUri": _STRING,
    "validationDatasetUri": _STRING,
    "hyperParameters": _message("SupervisedHyperParameters", _SUPERVISED_HYPER_PARAMETERS),
    "exportLastCheckpointOnly": _BOOL,
    "evaluationConfig": Field(kind=Kind.STRUCT, type_name="EvaluationConfig"),
    "tuningMode": _TUNING_MODE,
}
_PREFERENCE: Message = {
    "trainingDatasetUri": _STRING,
    "validationDatasetUri": _STRING,
    "hyperParameters": _message("PreferenceOptimizationHyperParameters", _PREFERENCE_HYPER_PARAMETERS),
    "exportLastCheckpointOnly": _BOOL,
}
_PRE_TUNED_MODEL: Message = {
    "tunedModelName": _STRING,
    "checkpointId": _STRING,
    "baseModel": Field(kind=Kind.STRING, is_output_only=True),
}
TUNING_JOB: Message = {
    "baseModel": Field(kind=Kind.STRING, oneof="source_model"),
    "preTunedModel": _message("PreTunedModel", _PRE_TUNED_MODEL, oneof="source_model"),
    "customBaseModel": _BETA_STRING,
    "tunedModelDisplayName": _STRING,
    "description": _STRING,
    "labels": Field(kind=Kind.STRING_MAP),
    "encryptionSpec": _message("EncryptionSpec", {"kmsKeyName": _STRING}),
    "serviceAccount": _STRING,
    "outputUri": _BETA_STRING,
    "supervisedTuningSpec": _message("SupervisedTuningSpec", _SUPERVISED, oneof="tuning_spec"),
    "preferenceOptimizationSpec": _message("PreferenceOptimizationSpec", _PREFERENCE, oneof="tuning_spec"),
    "distillationSpec": _BETA_METHOD,
    "fullFineTuningSpec": _BETA_METHOD,
    "partnerModelTuningSpec": _BETA_METHOD,
    "reinforcementTuningSpec": _BETA_METHOD,
    "veoTuningSpec": _BETA_METHOD,
    "veoLoraTuningSpec": _BETA_METHOD,
    "name": _OUTPUT,
    "state": _OUTPUT,
    "createTime": _OUTPUT,
    "startTime": _OUTPUT,
    "endTime": _OUTPUT,
    "updateTime": _OUTPUT,
    "error": _OUTPUT,
    "experiment": _OUTPUT,
    "tunedModel": _OUTPUT,
    "tuningDataStats": _OUTPUT,
    "evaluateDatasetRuns": _OUTPUT,
    "gcsMetricsUri": _OUTPUT,
    "tuningJobState": _BETA_OUTPUT,
    "tuningJobMetadata": _BETA_OUTPUT,
    "pipelineJob": _BETA_OUTPUT,
    "satisfiesPzi": _BETA_OUTPUT,
    "satisfiesPzs": _BETA_OUTPUT,
}
METHODS = tuple(name for name, field in TUNING_JOB.items() if field.oneof == "tuning_spec")
