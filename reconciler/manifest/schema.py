"""The shape of a manifest: kinds, fields, types and ranges, as pydantic models and as a JSON Schema for editors.

Only shape. What depends on several fields is in `rules`; what depends on the base model is the catalogue's. Field
names are the API's own, in camelCase. Nothing is coerced: "4" is not 4. Every field may be null, which means unset and
takes back what the stack's defaults set.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from reconciler.manifest.shapes import (
    DATE_PATTERN,
    EMAIL_PATTERN,
    KEY_PATTERN,
    MODEL_PATTERN,
    PROJECT_PATTERN,
    TUNED_MODEL_PATTERN,
    Count,
    DatasetUri,
    FolderUri,
    Labels,
    LimitOrAuto,
    Location,
    Name,
    NonNegative,
    ObjectUri,
    Positive,
    Retries,
    Scalar,
    Selection,
    Text,
)

API_VERSION = "tuneform/v1"

ApiVersion = Annotated[Literal["tuneform/v1"], Field(description="Version of the manifest format.")]

_CONFIG = ConfigDict(strict=True, extra="forbid", frozen=True, defer_build=True)


class HyperParameters(BaseModel):
    """How a Gemini or open model is tuned. What is not set, Vertex AI chooses."""

    model_config = _CONFIG

    epochCount: Annotated[Count | None, Field(description="How often the training goes through the dataset.")] = None
    adapterSize: Annotated[
        Count | None, Field(description="Size of the adapter as a number: 1, 2, 4, 8, 16 or 32, by base model.")
    ] = None
    learningRateMultiplier: Annotated[
        Positive | None, Field(description="Factor on the recommended learning rate; above 0.")
    ] = None
    beta: Annotated[
        Positive | None, Field(description="Preference tuning: how closely the model keeps to its base; above 0.")
    ] = None
    learningRate: Annotated[Positive | None, Field(description="Open models: the learning rate itself.")] = None
    batchSize: Annotated[Count | None, Field(description="Open models: examples per step.")] = None


class PipelineTuning(BaseModel):
    """How a legacy code model is tuned, by a pipeline; in place of hyperParameters."""

    model_config = _CONFIG

    gcsOutputDirectory: Annotated[
        FolderUri | None, Field(description="Where the pipeline writes its artifacts: gs://bucket/folder.")
    ] = None
    trainSteps: Annotated[Count | None, Field(description="Training steps; 300 where not set.")] = None
    learningRateMultiplier: Annotated[
        Positive | None, Field(description="Factor on the recommended learning rate; above 0.")
    ] = None
    acceleratorType: Annotated[
        Literal["GPU", "TPU"] | None,
        Field(description="GPU: 8 A100 80GB in us-central1. TPU: 64 v3 cores in europe-west4."),
    ] = None
    evaluationDataUri: Annotated[
        ObjectUri | None, Field(description="JSONL to evaluate with; not for chat models.")
    ] = None
    evaluationInterval: Annotated[Count | None, Field(description="Steps between evaluations; 20 where not set.")] = (
        None
    )
    enableEarlyStopping: Annotated[
        bool | None, Field(description="Stop when evaluations no longer improve; not for chat models.")
    ] = None
    enableCheckpointSelection: Annotated[
        Selection | None,
        Field(description="Keep the best checkpoint (true), the last (false), or let Vertex AI choose."),
    ] = None
    tensorboardResourceId: Annotated[Text | None, Field(description="TensorBoard instance, in the job's region.")] = (
        None
    )
    defaultContext: Annotated[Text | None, Field(description="Chat models: the context of every example.")] = None
    modelUploadLocation: Annotated[
        Location | None, Field(description="Region of the tuned model; the job's if unset.")
    ] = None


class PreTunedModel(BaseModel):
    """The tuned model to go on from; in place of baseModel. Either `address` or `tunedModelName`."""

    model_config = _CONFIG

    address: Annotated[Text | None, Field(description="Name of another model of this stack; tuned first.")] = None
    tunedModelName: Annotated[
        Annotated[str, Field(pattern=TUNED_MODEL_PATTERN)] | None,
        Field(description="projects/P/locations/L/models/M, with @version where wanted."),
    ] = None
    checkpointId: Annotated[Text | None, Field(description="Checkpoint to go on from, as text; the last if unset.")] = (
        None
    )


class EncryptionSpec(BaseModel):
    """The customer-managed key that encrypts the job and its model."""

    model_config = _CONFIG

    kmsKeyName: Annotated[
        Annotated[str, Field(pattern=KEY_PATTERN)] | None,
        Field(description="projects/P/locations/L/keyRings/R/cryptoKeys/K, in the job's region."),
    ] = None


class LifecycleSpec(BaseModel):
    """What happens to the tuned model when the world around it changes."""

    model_config = _CONFIG

    onRemove: Annotated[
        Literal["keep", "delete"] | None,
        Field(description="When the manifest goes: keep the model (default) or delete it."),
    ] = None
    onDatasetChange: Annotated[
        Literal["warn", "retrain", "ignore"] | None,
        Field(description="When the dataset's bytes change; warn by default."),
    ] = None
    onParentChange: Annotated[
        Literal["warn", "retrain"] | None, Field(description="When the model it goes on from changes; warn by default.")
    ] = None
    retries: Annotated[
        Retries | None,
        Field(description="Further attempts after a retryable failure; 0 to 10."),
    ] = None
    preventReplace: Annotated[bool | None, Field(description="Never tune anew because the manifest changed.")] = None


class TunedModelSpec(BaseModel):
    """Everything that defines one tuning job. What is not set, the stack's defaults or Vertex AI choose."""

    model_config = _CONFIG

    baseModel: Annotated[
        Annotated[str, Field(pattern=MODEL_PATTERN, max_length=200)] | None,
        Field(description="Model to tune, such as gemini-2.5-flash. Either this or preTunedModel."),
    ] = None
    preTunedModel: Annotated[
        PreTunedModel | None, Field(description="Tuned model to go on from (continuous tuning).")
    ] = None
    customBaseModel: Annotated[
        FolderUri | None, Field(description="Open models: folder with weights of your own; baseModel is still needed.")
    ] = None
    method: Annotated[
        Literal["supervised", "preference"] | None, Field(description="Tuning method; supervised where not set.")
    ] = None
    location: Annotated[Location | None, Field(description="Region of the job; the stack's where not set.")] = None
    trainingDatasetUri: Annotated[
        DatasetUri | None,
        Field(description="Training data: gs://bucket/object.jsonl, or a Vertex AI dataset's resource name. Required."),
    ] = None
    validationDatasetUri: Annotated[
        DatasetUri | None, Field(description="Validation data, as trainingDatasetUri; not for legacy code models.")
    ] = None
    hyperParameters: Annotated[HyperParameters | None, Field(description="How it is tuned.")] = None
    pipelineTuning: Annotated[
        PipelineTuning | None, Field(description="How a legacy code model is tuned; in place of hyperParameters.")
    ] = None
    tuningMode: Annotated[
        Literal["FULL", "PEFT_ADAPTER"] | None, Field(description="Open models: tune all weights or an adapter.")
    ] = None
    tunedModelDisplayName: Annotated[
        Annotated[str, Field(min_length=1, max_length=128)] | None,
        Field(description="Display name of the tuned model and its endpoint; at most 128 characters."),
    ] = None
    description: Annotated[Text | None, Field(description="What the tuned model is for.")] = None
    encryptionSpec: Annotated[EncryptionSpec | None, Field(description="Customer-managed encryption key.")] = None
    serviceAccount: Annotated[
        Annotated[str, Field(pattern=EMAIL_PATTERN)] | None, Field(description="Service account the job runs as.")
    ] = None
    exportLastCheckpointOnly: Annotated[
        bool | None, Field(description="Keep only the last checkpoint, not one for each epoch.")
    ] = None
    evaluationConfig: Annotated[
        dict[str, JsonValue] | None, Field(description="Evaluation of each checkpoint, in the API's own words.")
    ] = None
    outputUri: Annotated[FolderUri | None, Field(description="Open models: where the weights are written.")] = None
    priority: Annotated[
        Literal["low", "normal", "high"] | None, Field(description="Class in the queue: one is worth 24 h of waiting.")
    ] = None
    lifecycle: Annotated[LifecycleSpec | None, Field(description="What happens when the world around it changes.")] = (
        None
    )


class Defaults(TunedModelSpec):
    """Part of a TunedModel spec, and labels, for every model and sweep of the stack that does not say otherwise."""

    labels: Annotated[Labels | None, Field(description="Labels of every model of the stack.")] = None


class Metadata(BaseModel):
    """What the manifest is called."""

    model_config = _CONFIG

    name: Annotated[Name, Field(description="Unique in the stack; small letters, digits and dashes.")]
    labels: Annotated[Labels | None, Field(description="Labels of the job, its model and its endpoint.")] = None


class StackMetadata(BaseModel):
    """What the stack is called."""

    model_config = _CONFIG

    name: Annotated[Name, Field(description="Name of the stack; small letters, digits and dashes.")]


class QuotaSpec(BaseModel):
    """How many tuning jobs may run at the same time."""

    model_config = _CONFIG

    concurrentJobs: Annotated[
        LimitOrAuto, Field(description="Google's global limit for the project; auto reads it by API (default).")
    ] = None
    maxSlots: Annotated[
        NonNegative | None, Field(description="How many of them this stack may use; all where not set.")
    ] = None
    order: Annotated[
        Literal["fifo", "soonest"],
        Field(description="fifo: first come, first served, a class of priority worth a day. soonest: shortest first."),
    ] = "fifo"


class SimulatorSpec(BaseModel):
    """How the embedded simulator behaves; only with endpoint: simulator."""

    model_config = _CONFIG

    world: Annotated[Text | None, Field(description="File of the simulated world, relative to this manifest.")] = None
    speed: Annotated[Positive | None, Field(description="Simulated seconds per real second; 600 where not set.")] = None
    concurrentJobs: Annotated[NonNegative | None, Field(description="Simulated quota; 1 where not set.")] = None
    overQuota: Annotated[
        Literal["refuse", "wait"] | None, Field(description="What a job beyond the quota does; wait where not set.")
    ] = None


class StackSpec(BaseModel):
    """Where the stack's models live, and what they share."""

    model_config = _CONFIG

    project: Annotated[str, Field(pattern=PROJECT_PATTERN, description="Google Cloud project id.")]
    location: Annotated[Location, Field(description="Default region of the jobs, such as us-central1.")]
    endpoint: Annotated[Text | None, Field(description="simulator, or a URL; Vertex AI where not set.")] = None
    state: Annotated[
        Text | None, Field(description="State file, relative to this manifest; or gs://bucket/prefix, s3://…, az://….")
    ] = None
    catalogueAsOf: Annotated[
        Annotated[str, Field(pattern=DATE_PATTERN)] | None,
        Field(description="Judge base models' lifecycles as of this date, YYYY-MM-DD; today where not set."),
    ] = None
    quota: Annotated[QuotaSpec | None, Field(description="Limits of the queue.")] = None
    defaults: Annotated[Defaults | None, Field(description="What every model's spec starts from.")] = None
    simulator: Annotated[SimulatorSpec | None, Field(description="Only with endpoint: simulator.")] = None


class SweepSpec(BaseModel):
    """One model for each combination of the values in the matrix."""

    model_config = _CONFIG

    template: Annotated[TunedModelSpec | None, Field(description="What all models of the sweep share.")] = None
    matrix: Annotated[
        dict[str, Annotated[list[Scalar], Field(min_length=1, json_schema_extra={"uniqueItems": True})]],
        Field(min_length=1, description="Field paths, such as hyperParameters.epochCount, each with its values."),
    ]


class StackManifest(BaseModel):
    """The one document of a folder that says where its models live."""

    model_config = _CONFIG

    apiVersion: ApiVersion
    kind: Annotated[Literal["Stack"], Field(description="What this document declares.")]
    metadata: StackMetadata
    spec: StackSpec


class TunedModelManifest(BaseModel):
    """One tuned model."""

    model_config = _CONFIG

    apiVersion: ApiVersion
    kind: Annotated[Literal["TunedModel"], Field(description="What this document declares.")]
    metadata: Metadata
    spec: TunedModelSpec


class SweepManifest(BaseModel):
    """Several tuned models that differ in a few fields."""

    model_config = _CONFIG

    apiVersion: ApiVersion
    kind: Annotated[Literal["Sweep"], Field(description="What this document declares.")]
    metadata: Metadata
    spec: SweepSpec


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of one manifest document, for editors and other checkers."""
    from pydantic.json_schema import models_json_schema

    kinds = (StackManifest, TunedModelManifest, SweepManifest)
    _, schema = models_json_schema([(kind, "validation") for kind in kinds], ref_template="#/$defs/{model}")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"{API_VERSION} manifest",
        "oneOf": [{"$ref": f"#/$defs/{kind.__name__}"} for kind in kinds],
        "$defs": _plain(schema["$defs"]),
    }


def _plain(schema: Any) -> Any:
    """Without the titles pydantic derives from names, and without `default: null`, which says nothing."""
    if isinstance(schema, list):
        return [_plain(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    derived = {"title"} if isinstance(schema.get("title"), str) else set()
    return {
        key: _plain(value)
        for key, value in schema.items()
        if key not in derived and not (key == "default" and value is None)
    }
