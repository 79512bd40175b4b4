"""What must hold between the fields of one TunedModel spec; each rule that does not, as an error.

Judges the plain values, so that it can do so also where the schema has found something wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from reconciler.errors import Diagnostic
from reconciler.manifest.origin import LABELS, Origin, error
from reconciler.model.labels import OURS, USER_LABELS_MAX_COUNT


def spec_problems(spec: Any, origin: Origin) -> Iterator[Diagnostic]:
    """Every rule between fields that a spec, its defaults merged in, does not keep."""
    if not isinstance(spec, Mapping):
        return
    yield from _model_problems(spec, origin)
    if spec.get("trainingDatasetUri") is None:
        yield error(
            "missing-field",
            "trainingDatasetUri is missing",
            "A tuning job needs training data. Write trainingDatasetUri: gs://bucket/object.jsonl in the spec.",
            origin.source_of(origin.spec),
        )
    if isinstance(spec.get("pipelineTuning"), Mapping):
        yield from _pipeline_problems(spec, origin)


def _model_problems(spec: Mapping[str, Any], origin: Origin) -> Iterator[Diagnostic]:
    has_base, parent = spec.get("baseModel") is not None, spec.get("preTunedModel")
    if has_base and parent is not None:
        yield _conflict("baseModel", "preTunedModel", "A job starts from one model.", origin)
    if not has_base and parent is None:
        yield error(
            "missing-field",
            "baseModel is missing",
            "Say what to tune: write baseModel, such as gemini-2.5-flash, or preTunedModel to go on from a tuned one.",
            origin.source_of(origin.spec),
        )
    if not isinstance(parent, Mapping):
        return
    named = [name for name in ("address", "tunedModelName") if parent.get(name) is not None]
    if len(named) == 2:
        yield _conflict("preTunedModel.address", "preTunedModel.tunedModelName", "Both name the model.", origin)
    if not named:
        yield error(
            "missing-field",
            "preTunedModel names no model",
            "Write address: the name of another model of this stack, or tunedModelName: projects/…/models/MODEL.",
            origin.source_of((*origin.spec, "preTunedModel")),
        )


def _pipeline_problems(spec: Mapping[str, Any], origin: Origin) -> Iterator[Diagnostic]:
    if spec.get("hyperParameters") is not None:
        why = "Legacy code models take pipelineTuning, all others hyperParameters."
        yield _conflict("hyperParameters", "pipelineTuning", why, origin)
    if spec.get("preTunedModel") is not None:
        yield _conflict("preTunedModel", "pipelineTuning", "A pipeline starts from a base model.", origin)
    if spec.get("method") == "preference":
        yield _conflict("method", "pipelineTuning", "A pipeline knows supervised tuning only.", origin)
    if spec.get("validationDatasetUri") is not None:
        yield error(
            "conflict",
            "validationDatasetUri is not for legacy code models",
            "Their pipeline evaluates with pipelineTuning.evaluationDataUri. Move it there.",
            origin.source_of((*origin.spec, "validationDatasetUri")),
        )
    if spec["pipelineTuning"].get("gcsOutputDirectory") is None:
        yield error(
            "missing-field",
            "pipelineTuning.gcsOutputDirectory is missing",
            "A pipeline needs a folder for its artifacts. Write gcsOutputDirectory: gs://bucket/folder.",
            origin.source_of((*origin.spec, "pipelineTuning")),
        )


def _conflict(one: str, other: str, why: str, origin: Origin) -> Diagnostic:
    places = [origin.source_of((*origin.spec, *name.split("."))) for name in (one, other)]
    return error(
        "conflict",
        f"{one} and {other} exclude each other",
        f"{why} {one} is at {places[0]}; {other} is at {places[1]}. Remove one of the two.",
        places[1],
    )


def label_problems(labels: Any, origin: Origin) -> Iterator[Diagnostic]:
    """Labels that are not the user's to set, or too many of them."""
    if not isinstance(labels, Mapping):
        return
    for key in labels:
        if key in OURS or key.startswith("google-"):
            owner = "tuneform's own" if key in OURS else "reserved by Google"
            source = origin.source_of((*LABELS, key))
            yield error("label", "A label that is not yours to set", f"“{key}” is {owner}. Rename it.", source)
    if len(labels) > USER_LABELS_MAX_COUNT:
        yield error(
            "label",
            "Too many labels",
            f"It has {len(labels)}, defaults included, and can have at most {USER_LABELS_MAX_COUNT}. Remove some.",
            origin.source_of(LABELS),
        )
