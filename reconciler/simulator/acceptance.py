"""A parsed TuningJob -> the spec the service accepts, with its defaults, or the refusal it answers. Pure.

Source for the texts: recorded answers where there are any; texts of the simulator's own say what is wrong in the same
manner. Fields are checked first and complained of all at once; then comes what depends on the base model.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from reconciler.simulator.answers import (
    Problem,
    Resource,
    Violation,
    failed_precondition,
    invalid_argument,
    invalid_fields,
    not_found,
)
from reconciler.simulator.base_models import PREFERENCE, SUPERVISED, BaseModel, model_id
from reconciler.simulator.engine import Engine
from reconciler.simulator.outputs import find_version
from reconciler.simulator.schema import snake_case
from reconciler.simulator.tuning import default_epoch_count, method_of
from reconciler.simulator.tuning_schema import ADAPTER_NAMES, ADAPTER_SIZES, METHODS
from reconciler.simulator.world import canonical_name

DISPLAY_NAME_MAX_CHARS = 128
LABELS_MAX_COUNT = 64
LABEL_MAX_CHARS = 64
_JSONL_OBJECT = r"gs://[^/]+/(.*[^/])?\.jsonl"
_MULTIMODAL_DATASET = r"projects/[^/]+/locations/[^/]+/datasets/[^/]+"


@dataclass(frozen=True, slots=True)
class Accepted:
    """A spec with its defaults, and the short id of the base model under it."""

    base_model: str
    spec: Resource


def accept(engine: Engine, location: str, spec: Resource) -> Accepted:
    """The spec as it will run; raises Problem 400 or 404 where the service would refuse it."""
    violations = tuple(_violations(spec))
    if violations:
        raise invalid_fields(violations)
    parent = _parent(engine, spec)
    name = model_id(spec["baseModel"]) if parent is None else _base_model_of(parent)
    base = _known(engine, name)
    problem = (
        _method_problem(base, spec)
        or _adapter_problem(base, spec)
        or _open_model_problem(base, spec)
        or _location_problem(base, name, location)
        or _encryption_problem(base, spec)
        or _retired_problem(engine, base, name)
    )
    if problem is not None:
        raise problem
    return Accepted(name, _with_defaults(spec, name, base, parent))


def _violations(spec: Resource) -> Iterator[Violation]:
    if "preTunedModel" in spec and not spec["preTunedModel"].get("tunedModelName"):
        yield Violation("tuning_job.pre_tuned_model.tuned_model_name", "tuned_model_name is required.")
    if "preTunedModel" not in spec and not spec.get("baseModel"):
        yield Violation("tuning_job.base_model", "base_model is required.")
    if len(spec.get("tunedModelDisplayName", "")) > DISPLAY_NAME_MAX_CHARS:
        limit = f"tuned_model_display_name should have at most {DISPLAY_NAME_MAX_CHARS} characters."
        yield Violation("tuning_job.tuned_model_display_name", limit)
    yield from _label_violations(spec.get("labels", {}))
    if not any(method in spec for method in METHODS):
        yield Violation("tuning_job.tuning_spec", "tuning_spec is required.")
    for method in (SUPERVISED, PREFERENCE):
        if method in spec:
            yield from _method_violations(method, spec[method])


def _label_violations(labels: dict[str, str]) -> Iterator[Violation]:
    if len(labels) > LABELS_MAX_COUNT:
        yield Violation("tuning_job.labels", f"labels should have at most {LABELS_MAX_COUNT} entries.")
    for key, value in labels.items():
        if not key or not _is_label_text(key) or not _is_label_text(value):
            rule = f"at most {LABEL_MAX_CHARS} lowercase letters, digits, underscores and dashes"
            yield Violation("tuning_job.labels", f"label {key!r}: keys and values should have {rule}.")


def _is_label_text(text: str) -> bool:
    """Source: the field's documentation allows international letters as long as they are not upper case."""
    allowed = all(one in "_-" or one.isdigit() or (one.isalpha() and one == one.lower()) for one in text)
    return len(text) <= LABEL_MAX_CHARS and allowed


def _method_violations(method: str, tuning: Resource) -> Iterator[Violation]:
    path = f"tuning_job.{snake_case(method)}"
    uri = tuning.get("trainingDatasetUri", "")
    is_dataset = method == SUPERVISED and re.fullmatch(_MULTIMODAL_DATASET, uri)
    if not is_dataset and not re.fullmatch(_JSONL_OBJECT, uri):
        yield _not_jsonl(path, "training_dataset_uri")
    validation = tuning.get("validationDatasetUri")
    if validation is not None and not re.fullmatch(_JSONL_OBJECT, validation):
        yield _not_jsonl(path, "validation_dataset_uri")
    hyper = tuning.get("hyperParameters", {})
    for name in ("epochCount", "batchSize", "learningRateMultiplier", "learningRate", "beta"):
        if float(hyper.get(name, 0)) < 0:
            field = snake_case(name)
            yield Violation(f"{path}.hyper_parameters.{field}", f"{field} should be greater than 0.")


def _not_jsonl(path: str, field: str) -> Violation:
    return Violation(f"{path}.{field}", f"{field} should be a GCS object of type JSONL.")


def _parent(engine: Engine, spec: Resource) -> Resource | None:
    """The model version that continuous tuning goes on from; None for a base model."""
    pre_tuned = spec.get("preTunedModel")
    if pre_tuned is None:
        return None
    parent = find_version(engine.world, canonical_name(pre_tuned["tunedModelName"]))
    if parent is None:
        raise not_found("The Model does not exist.")
    wanted = pre_tuned.get("checkpointId")
    if wanted is not None and wanted not in {one["checkpointId"] for one in parent.get("checkpoints", ())}:
        raise invalid_argument(f"The checkpoint {wanted} does not exist in the pre-tuned model.")
    return parent


def _base_model_of(parent: Resource) -> str:
    """The base model under a tuned one, which says where it comes from."""
    source = parent["baseModelSource"]
    if "genieSource" in source:
        return model_id(source["genieSource"]["baseModelUri"])
    return model_id(source["modelGardenSource"]["publicModelName"])


def _known(engine: Engine, name: str) -> BaseModel:
    base = engine.base_models.get(name)
    if base is not None:
        return base
    if "/" in name:
        raise invalid_argument("Invalid open source publisher model resource name")
    raise invalid_argument(f"Base model {name} is not supported for tuning.")


def _method_problem(base: BaseModel, spec: Resource) -> Problem | None:
    method = next(method for method in METHODS if method in spec)
    if method in base.methods:
        return None
    return invalid_argument(f"{snake_case(method)} is not supported for this base model.")


def _adapter_problem(base: BaseModel, spec: Resource) -> Problem | None:
    """Source: https://github.com/googleapis/python-genai/issues/908 shows the text, without details."""
    name = spec[method_of(spec)].get("hyperParameters", {}).get("adapterSize")
    if name is None or ADAPTER_SIZES[name] in base.adapters:
        return None
    return invalid_argument("The adapter size is not supported for this base model.")


def _open_model_problem(base: BaseModel, spec: Resource) -> Problem | None:
    """Open models need `outputUri`; the fields that are theirs alone are refused for the others."""
    if base.is_open:
        if spec.get("outputUri", "").startswith("gs://"):
            return None
        return invalid_argument("The output_uri field is required for this model.")
    hyper = spec[method_of(spec)].get("hyperParameters", {})
    fields = {**spec, **hyper, **spec[method_of(spec)]}
    theirs = [name for name in ("outputUri", "customBaseModel", "learningRate", "batchSize") if name in fields]
    if not theirs:
        return None
    return invalid_argument(f"The {snake_case(theirs[0])} field is not supported for this model.")


def _location_problem(base: BaseModel, name: str, location: str) -> Problem | None:
    if location == "global" and not base.is_open:
        return failed_precondition(f"Model {name} does not support global endpoint tuning.")
    if base.locations is not None and location not in base.locations:
        return failed_precondition(f"Tuning of model {name} is not supported in location {location}.")
    return None


def _encryption_problem(base: BaseModel, spec: Resource) -> Problem | None:
    """Source: the supervised tuning page says that Gemini 3 has no customer-managed keys."""
    if "encryptionSpec" in spec and base.is_multi_region:
        return failed_precondition("Customer-managed encryption keys are not supported for this base model.")
    return None


def _retired_problem(engine: Engine, base: BaseModel, name: str) -> Problem | None:
    if not engine.world.settings.refuse_retired or base.retires_on is None or engine.now.date() < base.retires_on:
        return None
    return not_found(f"Publisher Model `{name}` was not found or your project does not have access to it.")


def _with_defaults(spec: Resource, name: str, base: BaseModel, parent: Resource | None) -> Resource:
    """Source: a job made without hyper-parameters was seen to come back with all three of them."""
    method = method_of(spec)
    chosen: Resource = {"epochCount": str(default_epoch_count(spec[method]["trainingDatasetUri"]))}
    hyper = spec[method].get("hyperParameters", {})
    if "learningRate" not in hyper:
        chosen["learningRateMultiplier"] = 1
    if base.default_adapter is not None:
        chosen["adapterSize"] = ADAPTER_NAMES[base.default_adapter]
    complete = spec | {method: spec[method] | {"hyperParameters": chosen | hyper}}
    if parent is not None:
        pre_tuned = spec["preTunedModel"]
        complete["preTunedModel"] = pre_tuned | {
            "tunedModelName": canonical_name(pre_tuned["tunedModelName"]),
            "baseModel": name,
        }
        complete.setdefault("tunedModelDisplayName", parent["displayName"])
    return complete
