"""Which fields fit a legacy model, which a pipeline tunes. Pure: a model and its base model in, diagnostics out.

Source: https://cloud.google.com/vertex-ai/generative-ai/docs/models/tune-code-models.
"""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.catalogue.subject import Subject, doubt, misfit
from reconciler.errors import Diagnostic

_TRAIN_STEPS = "pipelineTuning.trainSteps"
_EVALUATION_DATA = "pipelineTuning.evaluationDataUri"
_EVALUATION = (_EVALUATION_DATA, "pipelineTuning.evaluationInterval", "pipelineTuning.enableEarlyStopping")
_DEFAULT_CONTEXT = "pipelineTuning.defaultContext"
_UPLOAD_LOCATION = "pipelineTuning.modelUploadLocation"
_TENSORBOARD = "pipelineTuning.tensorboardResourceId"
# Only with it, and with job and upload there, are encryption keys of the customer offered.
_CMEK_ACCELERATOR, _CMEK_LOCATION = "GPU", "us-central1"


def legacy_evaluation(subject: Subject) -> Iterator[Diagnostic]:
    """Chat models are not evaluated; elsewhere the evaluation's parameters need its data."""
    if subject.base.legacy is None:
        return
    for path in subject.set_below(*_EVALUATION):
        if subject.base.legacy.is_chat:
            yield misfit(
                subject.model,
                path,
                "evaluation-on-chat-model",
                "Chat models cannot be evaluated while they are tuned",
                f"{path} is not supported for {subject.base.id}. Remove it.",
            )
        elif not subject.has(_EVALUATION_DATA):
            yield misfit(
                subject.model,
                path,
                "evaluation-data-missing",
                "Evaluation needs a dataset",
                f"{path} has no effect without {_EVALUATION_DATA}. Set that too, or remove this.",
            )


def legacy_placement(subject: Subject) -> Iterator[Diagnostic]:
    """Where a legacy job uploads its model and writes its metrics."""
    if subject.base.legacy is None:
        return
    upload = subject.get(_UPLOAD_LOCATION)
    if upload is not None and upload not in subject.base.regions.locations:
        yield misfit(
            subject.model,
            _UPLOAD_LOCATION,
            "upload-location-unsupported",
            "Models cannot be uploaded to this location",
            f"{upload} is no upload location of {subject.base.id}. "
            f"Choose one of: {', '.join(subject.base.regions.locations)}.",
        )
    board = subject.get(_TENSORBOARD)
    if board is not None and f"/locations/{subject.model.location}/" not in str(board):
        yield misfit(
            subject.model,
            _TENSORBOARD,
            "tensorboard-location",
            "The TensorBoard must be in the job's location",
            f"{board} is not in {subject.model.location}, where the pipeline runs. "
            f"Name one as projects/…/locations/{subject.model.location}/tensorboards/….",
        )


def default_context(subject: Subject) -> Iterator[Diagnostic]:
    """Only chat models have a context."""
    if subject.base.legacy is not None and not subject.base.legacy.is_chat and subject.has(_DEFAULT_CONTEXT):
        yield misfit(
            subject.model,
            _DEFAULT_CONTEXT,
            "default-context-unsupported",
            "Only chat models take a default context",
            f"{subject.base.id} is no chat model. Remove {_DEFAULT_CONTEXT}, or tune codechat-bison@002.",
        )


def train_steps(subject: Subject) -> Iterator[Diagnostic]:
    """Fewer or more steps than are recommended for the task of a code model."""
    steps = subject.model.fields.get(_TRAIN_STEPS)
    for task in subject.catalogue.tasks_of(subject.base):
        if task.train_steps is None or not isinstance(steps, int):
            continue
        low, high = task.train_steps
        if not low <= steps <= high:
            yield doubt(
                subject.model,
                _TRAIN_STEPS,
                "train-steps-outside-recommendation",
                "The number of steps is outside the recommendation",
                f"trainSteps is {steps}; recommended for {task.name} are {low} to {high} "
                f"with {task.examples_min} examples or more.",
            )


def why_no_legacy_key(subject: Subject) -> str | None:
    """Why the job of a legacy model cannot take an encryption key of the customer; None where it can."""
    place = subject.model.location
    accelerator = subject.get("pipelineTuning.acceleratorType")
    upload = subject.model.fields.get(_UPLOAD_LOCATION, place)
    if accelerator == _CMEK_ACCELERATOR and place == _CMEK_LOCATION and upload == _CMEK_LOCATION:
        return None
    return (
        f"{subject.base.id} takes a key only if acceleratorType is {_CMEK_ACCELERATOR} and both the job and the "
        f"model's upload are in {_CMEK_LOCATION}; here it is {accelerator}, {place} and {upload}. "
        "Change these, or remove encryptionSpec.kmsKeyName."
    )
