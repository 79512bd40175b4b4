"""Which fields of a manifest fit a known base model. Pure: a declared model and its base model in, diagnostics out.

Each rule is one function over a Subject, and yields a diagnostic at the field's place for every misfit it finds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from reconciler.catalogue.entries import Family
from reconciler.catalogue.legacy_rules import (
    default_context,
    legacy_evaluation,
    legacy_placement,
    train_steps,
    why_no_legacy_key,
)
from reconciler.catalogue.subject import PREFERENCE, SUPERVISED, Subject, doubt, earliest, either, misfit
from reconciler.errors import Diagnostic
from reconciler.model.desired import DesiredModel

_ADAPTER_SIZE = "hyperParameters.adapterSize"
_EPOCHS = "hyperParameters.epochCount"
_BETA = "hyperParameters.beta"
_RATE = "hyperParameters.learningRate"
_RATE_MULTIPLIER = "hyperParameters.learningRateMultiplier"
_KEY = "encryptionSpec.kmsKeyName"

# Lower stops the model from learning, higher keeps it at its baseline.
# Source: https://docs.cloud.google.com/gemini-enterprise-agent-platform/models/tuning/preference-tuning/use, "Beta".
_BETA_RANGE = (0.01, 0.5)
# Vertex AI has been seen to choose 10 and 40 epochs by itself, so only what is beyond its own choices is odd: ten times
# the most that is recommended for any task. Every epoch is paid in full.
_EPOCHS_ODD_FACTOR = 10


@dataclass(frozen=True, slots=True)
class _Unfit:
    """Fields that some families do not take, why, and what to do."""

    paths: tuple[str, ...]
    families: frozenset[Family]
    why: str
    instead: str


_NOT_LEGACY = frozenset({Family.GEMINI, Family.OPEN, Family.TRANSLATION})
_NOT_OPEN = frozenset({Family.GEMINI, Family.LEGACY, Family.TRANSLATION})
_UNFIT = (
    _Unfit(
        ("hyperParameters.",),
        frozenset({Family.LEGACY}),
        "a legacy model is tuned by a pipeline, which has parameters of its own",
        "Use pipelineTuning.trainSteps and pipelineTuning.learningRateMultiplier.",
    ),
    _Unfit(
        ("pipelineTuning.",),
        _NOT_LEGACY,
        "only the pipelines of the legacy models take it",
        "Remove pipelineTuning; use hyperParameters.",
    ),
    _Unfit(
        ("validationDatasetUri", "evaluationConfig", "exportLastCheckpointOnly"),
        frozenset({Family.LEGACY}),
        "the pipeline of a legacy model has no such parameter",
        "Remove it; evaluation of code-bison and text-bison is set by pipelineTuning.evaluationDataUri.",
    ),
    _Unfit(
        ("outputUri", "customBaseModel"),
        _NOT_OPEN,
        "only open models are tuned into a bucket of yours",
        "Remove it.",
    ),
    _Unfit(
        (_RATE, "hyperParameters.batchSize"),
        frozenset({Family.GEMINI, Family.TRANSLATION}),
        "Vertex AI takes it for open models only",
        "Remove it, or use hyperParameters.learningRateMultiplier.",
    ),
    _Unfit(
        (_RATE_MULTIPLIER,),
        frozenset({Family.OPEN}),
        "Vertex AI takes it for Google's own models only",
        "Use hyperParameters.learningRate.",
    ),
)


def fields_of_other_families(subject: Subject) -> Iterator[Diagnostic]:
    """Fields that models of this family do not take: one diagnostic for each group of fields."""
    # That these two exclude each other is told by a rule of its own.
    both_rates = {_RATE, _RATE_MULTIPLIER} if subject.has(_RATE) and subject.has(_RATE_MULTIPLIER) else set()
    for unfit in _UNFIT:
        if subject.base.family not in unfit.families:
            continue
        found = [path for path in subject.set_below(*unfit.paths) if path not in both_rates]
        if found:
            yield misfit(
                subject.model,
                earliest(subject.model, found),
                "field-not-supported",
                "The base model does not take this field",
                f"{', '.join(found)} cannot be set for {subject.base.id}: {unfit.why}. {unfit.instead}",
            )


def method(subject: Subject) -> Iterator[Diagnostic]:
    """The tuning method must be one of the base model's."""
    if subject.method not in subject.base.methods:
        yield misfit(
            subject.model,
            "method",
            "method-unsupported",
            "The base model cannot be tuned by this method",
            f"{subject.base.id} is tuned by {either(subject.base.methods)}, not by {subject.method}. "
            f"Choose one of these, or another base model.{_others(subject)}",
        )


def location(subject: Subject) -> Iterator[Diagnostic]:
    """The job's region must be one where the base model is tuned; where the list has gaps, only a doubt."""
    regions, place = subject.base.regions, subject.model.location
    if place in regions.locations:
        return
    known = ", ".join(regions.locations)
    if regions.is_complete or place in regions.refused:
        yield misfit(
            subject.model,
            "location",
            "location-unsupported",
            "The base model cannot be tuned in this location",
            f"{subject.base.id} is not tuned in {place}. Choose one of: {known}.",
        )
        return
    yield doubt(
        subject.model,
        "location",
        "location-unlisted",
        "The location is not known for this base model",
        f"{place} is not among the locations known for {subject.base.id}, and Vertex AI may refuse the job. "
        f"Known are: {known}.",
    )


def adapter_size(subject: Subject) -> Iterator[Diagnostic]:
    """The adapter size must be on the base model's list."""
    sizes = subject.base.adapter_sizes
    # A legacy model has no adapter, and fields_of_other_families says so.
    if sizes is None or not subject.has(_ADAPTER_SIZE) or subject.get(_ADAPTER_SIZE) in sizes:
        return
    default = subject.base.default_adapter_size
    yield misfit(
        subject.model,
        _ADAPTER_SIZE,
        "adapter-size-unsupported",
        "The base model does not take this adapter size",
        f"{subject.base.id} takes adapterSize {either(sizes)}"
        f"{'' if default is None else f' (default {default})'}, not {subject.get(_ADAPTER_SIZE)}; "
        "Vertex AI would refuse the job. Choose one of these, or leave it out.",
    )


def tuning_mode(subject: Subject) -> Iterator[Diagnostic]:
    """The tuning mode must be one of the base model's, and an adapter size needs the adapter mode."""
    modes = subject.base.tuning_modes
    mode = str(subject.model.fields.get("tuningMode", "")).removeprefix("TUNING_MODE_")
    if modes is not None and mode and mode not in modes:
        offers = f"is tuned by {either(modes)}" if modes else "has no tuning modes"
        yield misfit(
            subject.model,
            "tuningMode",
            "tuning-mode-unsupported",
            "The base model has no such tuning mode",
            f"{subject.base.id} {offers}, not by {mode}. {'Choose one of these' if modes else 'Remove tuningMode'}.",
        )
        return
    if subject.has(_ADAPTER_SIZE) and (mode == "FULL" or modes == ("FULL",)):
        yield misfit(
            subject.model,
            _ADAPTER_SIZE,
            "adapter-size-without-adapter",
            "Full tuning has no adapter",
            f"{subject.base.id} would be tuned in full, so that adapterSize has no meaning. "
            "Remove adapterSize, or choose a base model that is tuned by PEFT_ADAPTER.",
        )


def preference(subject: Subject) -> Iterator[Diagnostic]:
    """Preference tuning takes fewer fields than supervised tuning, and no managed dataset."""
    if subject.method != PREFERENCE or PREFERENCE not in subject.base.methods:
        return
    for path in subject.set_below("evaluationConfig", "tuningMode"):
        yield misfit(
            subject.model,
            path,
            "field-not-for-preference",
            "Preference tuning does not take this field",
            f"{path} belongs to supervised tuning. Remove it, or set method: supervised.",
        )
    for path in subject.set_below("trainingDatasetUri", "validationDatasetUri"):
        uri = str(subject.get(path))
        if not uri.startswith("gs://"):
            yield misfit(
                subject.model,
                path,
                "preference-dataset-uri",
                "Preference tuning reads its dataset from Cloud Storage",
                f"{uri} is not a gs:// URI; multimodal datasets serve supervised tuning only. "
                "Put the dataset into a bucket as JSONL.",
            )
    beta = subject.get(_BETA)
    low, high = _BETA_RANGE
    if isinstance(beta, int | float) and not low <= beta <= high:
        yield doubt(
            subject.model,
            _BETA,
            "beta-outside-recommendation",
            "Beta is outside the recommended range",
            f"beta is {beta}; recommended is {low} to {high}, and at 0 the model learns nothing.",
        )


def continuous_tuning(subject: Subject) -> Iterator[Diagnostic]:
    """Only some models can be tuned further once tuned, and then under the same encryption key."""
    paths = subject.set_below("preTunedModel.")
    if not paths:
        return
    place = earliest(subject.model, paths)
    if subject.base.supports.continuous is False:
        instead = "customBaseModel" if subject.base.family is Family.OPEN else "baseModel"
        yield misfit(
            subject.model,
            place,
            "continuous-tuning-unsupported",
            "The base model does not support continuous tuning",
            f"a model tuned from {subject.base.id} cannot be tuned further by preTunedModel. "
            f"Use {instead}, or another base model.",
        )
        return
    if subject.parent is None or subject.model.fields.get(_KEY) == subject.parent.fields.get(_KEY):
        return
    yield misfit(
        subject.model,
        _KEY if subject.has(_KEY) else place,
        "encryption-key-differs-from-parent",
        "Continuous tuning needs the encryption key of its parent",
        f"its {_KEY} is not that of {subject.parent.address}, which it goes on from. Give both the same key, or none.",
    )


def encryption_key(subject: Subject) -> Iterator[Diagnostic]:
    """Customer-managed encryption keys: not for every model, not in every location."""
    if not subject.has(_KEY):
        return
    why = _why_no_key(subject)
    if why is not None:
        yield misfit(
            subject.model, _KEY, "encryption-key-unsupported", "An encryption key of yours cannot be used here", why
        )


def _why_no_key(subject: Subject) -> str | None:
    base, place = subject.base, subject.model.location
    if base.supports.cmek is False:
        return f"{base.id} does not support customer-managed encryption keys. Remove {_KEY}, or use another base model."
    if base.family is Family.LEGACY:
        return why_no_legacy_key(subject)
    if place == "global":
        return f"a job in the location global takes no key. Choose a region, or remove {_KEY}."
    return None


def output_uri(subject: Subject) -> Iterator[Diagnostic]:
    """An open model is tuned into a bucket, which must be named."""
    if subject.base.family is Family.OPEN and not subject.has("outputUri"):
        yield misfit(
            subject.model,
            "baseModel",
            "output-uri-missing",
            "Open models need an output URI",
            f"{subject.base.id} is an open model, whose weights Vertex AI writes into a bucket of yours. "
            "Set outputUri: gs://…",
        )


def epochs(subject: Subject) -> Iterator[Diagnostic]:
    """Far more epochs than are recommended for any task of the family."""
    ranges = [task.epochs for task in subject.catalogue.tasks_of(subject.base) if task.epochs is not None]
    count = subject.get(_EPOCHS)
    if not ranges or not isinstance(count, int):
        return
    low, high = min(one[0] for one in ranges), max(one[1] for one in ranges)
    if count > high * _EPOCHS_ODD_FACTOR:
        yield doubt(
            subject.model,
            _EPOCHS,
            "epochs-outside-recommendation",
            "Unusually many epochs",
            f"epochCount is {count}; recommended are {low} to {high}, and each epoch is paid in full. "
            "Leave it out to let Vertex AI choose by the size of the dataset.",
        )


RULES: tuple[Callable[[Subject], Iterator[Diagnostic]], ...] = (
    fields_of_other_families,
    method,
    location,
    adapter_size,
    tuning_mode,
    preference,
    continuous_tuning,
    encryption_key,
    legacy_evaluation,
    legacy_placement,
    default_context,
    output_uri,
    epochs,
    train_steps,
)


def learning_rates(model: DesiredModel) -> Iterator[Diagnostic]:
    """A learning rate and a multiplier of it exclude each other, whatever the base model."""
    if _RATE in model.fields and _RATE_MULTIPLIER in model.fields:
        yield misfit(
            model,
            _RATE,
            "learning-rate-twice",
            "Two learning rates",
            f"{_RATE} and {_RATE_MULTIPLIER} exclude each other. "
            "Keep learningRate for an open model, learningRateMultiplier for any other.",
        )


def beta(model: DesiredModel) -> Iterator[Diagnostic]:
    """Beta belongs to preference tuning, whatever the base model."""
    if _BETA in model.fields and model.fields.get("method", SUPERVISED) != PREFERENCE:
        yield misfit(
            model,
            _BETA,
            "beta-without-preference",
            "Beta belongs to preference tuning",
            f"{_BETA} has no meaning for method: {model.fields.get('method', SUPERVISED)}. "
            "Remove it, or set method: preference.",
        )


# These hold even where the base model is unknown.
RULES_WITHOUT_BASE: tuple[Callable[[DesiredModel], Iterator[Diagnostic]], ...] = (learning_rates, beta)


def _others(subject: Subject) -> str:
    able = [one.id for one in subject.catalogue.models if subject.method in one.methods]
    return f" By {subject.method}: {', '.join(able)}." if able and subject.method != SUPERVISED else ""
