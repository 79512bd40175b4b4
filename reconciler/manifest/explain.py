"""What pydantic finds wrong with a manifest, in plain words: where it is, what it is, and what to write instead."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from reconciler.errors import Diagnostic
from reconciler.manifest.origin import LABELS, Origin, error
from reconciler.manifest.schema import (
    QuotaSpec,
    SimulatorSpec,
    StackManifest,
    StackSpec,
    SweepManifest,
    SweepSpec,
    TunedModelSpec,
)
from reconciler.manifest.shapes import DATASET_PATTERN, FOLDER_PATTERN, OBJECT_PATTERN, WORDS
from reconciler.yamldoc import Path, Placeholder

Model = TypeVar("Model", bound=BaseModel)


def validate(model: type[Model], value: Any, origin: Origin, at: Path = ()) -> tuple[Model | None, list[Diagnostic]]:
    """The value as a model; else None and what is wrong with it. `at` is where the value stands in its document.

    What the reader has refused, and what is wrong in the stack's defaults, is not told again here; so None may come
    with no diagnostics.
    """
    try:
        return model.model_validate(value), []
    except ValidationError as invalid:
        found = [
            _diagnostic(one, model, origin, at)
            for one in invalid.errors(include_url=False)
            if not _is_told_already(one, origin, at)
        ]
        return None, found


def _is_told_already(one: ErrorDetails, origin: Origin, at: Path) -> bool:
    refused = one["input"] is Placeholder.REFUSED and one["type"] != "extra_forbidden"
    return refused or origin.is_default(_place(one, at))


def _place(one: ErrorDetails, at: Path) -> Path:
    return (*at, *(part for part in one["loc"] if part != "[key]"))


def _diagnostic(one: ErrorDetails, model: type[BaseModel], origin: Origin, at: Path) -> Diagnostic:
    path = _place(one, at)
    source, name = origin.source_of(path), _field_name(path)
    if one["type"] == "extra_forbidden":
        return error("unknown-field", "Unknown field", _unknown(path, _model_at(model, one["loc"][:-1])), source)
    if one["type"] == "missing":
        description = _description(_model_at(model, one["loc"][:-1]), str(path[-1]))
        return error("missing-field", f"{name} is missing", f"{description} Add it.".strip(), source)
    # The name says which field; where the user chose the key, the detail has to say which entry.
    entry = f"“{_short(str(path[-1]))}”: " if name.endswith("labels") and path[-1] != "labels" else ""
    if one["type"] in _TYPES:
        detail = entry + _mistyped(one, path)
        return error("type", f"{name} must be {_TYPES[one['type']]}", detail, source)
    if one["type"] == "string_pattern_mismatch":
        detail = entry + _misshapen(str(one["ctx"]["pattern"]), str(one["input"]))
        return error("value", f"{name} has the wrong form", detail, source)
    return error("value", f"{name} has a value that is not allowed", entry + _not_allowed(one, path), source)


def _field_name(path: Path) -> str:
    """The field, without what the user called things."""
    if path[:2] == LABELS or path[:3] == ("spec", "defaults", "labels"):
        return ".".join(map(str, path[: path.index("labels") + 1]))
    if path[:2] == ("spec", "matrix"):
        return "spec.matrix"
    return ".".join(map(str, path)) or "The document"


_TYPES: Mapping[str, str] = {
    "string_type": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
}
_ADAPTER_SIZES: Mapping[str, int] = {
    "ADAPTER_SIZE_ONE": 1,
    "ADAPTER_SIZE_TWO": 2,
    "ADAPTER_SIZE_FOUR": 4,
    "ADAPTER_SIZE_EIGHT": 8,
    "ADAPTER_SIZE_SIXTEEN": 16,
    "ADAPTER_SIZE_THIRTY_TWO": 32,
}


def _mistyped(one: ErrorDetails, path: Path) -> str:
    value, wanted = one["input"], one["type"]
    if value is None:
        return "It has no value. Write one, or remove the line."
    if wanted == "string_type" and isinstance(value, int | float):
        return f'{json.dumps(value)} without quotes is not text. Write it in quotes: "{json.dumps(value)}".'
    if path[-1] == "adapterSize" and isinstance(value, str) and value.upper() in _ADAPTER_SIZES:
        return f"The API's enum names are not used here. Write {_ADAPTER_SIZES[value.upper()]}."
    if path[-2:] == ("quota", "concurrentJobs"):
        return f"It is {_shown(value)}. Write a number, or auto."
    if isinstance(value, str) and wanted in ("int_type", "float_type", "bool_type") and _is_json_scalar(value):
        return f"“{value}” in quotes is text. Write it without quotes: {value}."
    if wanted in ("dict_type", "model_type"):
        return f"It is {_shown(value)}. Write “key: value” lines below it, indented."
    if wanted == "list_type" and isinstance(value, str | int | float):
        return f"It is {_shown(value)}. Write its values in brackets: [{_bare(str(value))}]."
    return f"It is {_shown(value)}."


def _not_allowed(one: ErrorDetails, path: Path) -> str:
    kind, value, facts = one["type"], one["input"], one.get("ctx", {})
    shown = _shown(value)
    if kind == "literal_error":
        return _not_listed(value, str(facts["expected"]))
    if kind in ("greater_than", "greater_than_equal") and value == 0 and "simulator" not in path:
        return "Vertex AI takes 0 as not set. Remove the line to let it choose, or write a number above 0."
    if kind == "greater_than":
        return f"It is {shown}, and must be above {facts['gt']:g}."
    if kind == "greater_than_equal":
        return f"It is {shown}, and must be at least {facts['ge']}."
    if kind == "less_than_equal":
        return f"It is {shown}, and can be at most {facts['le']}."
    if kind == "string_too_long":
        return f"It has {len(value)} characters, and can have at most {facts['max_length']}. Shorten it."
    if kind in ("string_too_short", "too_short"):
        return "It is empty. Write a value, or remove the line."
    return f"It is {shown}, which this field does not take."


def _not_listed(value: Any, expected: str) -> str:
    choices = expected.replace("'", "")
    close = close_to(str(value), choices.replace(" or ", ", ").split(", "))
    return f"It is {_shown(value)}. " + (f"Did you mean {close}? " if close else "") + f"Write {choices}."


def _misshapen(pattern: str, text: str) -> str:
    is_uri = pattern in (DATASET_PATTERN, OBJECT_PATTERN, FOLDER_PATTERN)
    return f"It is {_shown(text)}. {_uri_advice(text) if is_uri else WORDS[pattern]}"


def _uri_advice(text: str) -> str:
    for host in ("https://storage.googleapis.com/", "https://storage.cloud.google.com/"):
        if text.startswith(host):
            return f"Write it as gs://{_short(text.removeprefix(host).partition('?')[0])}."
    if "?" in text or "#" in text:
        return "Write the name of the object alone, without ? and #; a signed URL holds a secret."
    if text.startswith("gs://"):
        bucket, _, name = text.removeprefix("gs://").partition("/")
        if not bucket or not name:
            return "It names no object. Write gs://bucket/object."
        if name.endswith("/"):
            return "It names a folder, not an object. Write gs://bucket/object."
        return "It is not a name Cloud Storage can have. Write gs://bucket/object."
    if "://" in text:
        return "Only Cloud Storage can be read by a tuning job. Copy it there and write gs://bucket/object."
    if text.startswith("projects/"):
        return "Write projects/PROJECT/locations/LOCATION/datasets/DATASET, or gs://bucket/object."
    return (
        "It is a local path, and a tuning job can only read Cloud Storage. "
        "Upload it with “gcloud storage cp FILE gs://BUCKET/FILE” and write that gs:// name."
    )


# Names that other tools, or the requests themselves, give to what a manifest calls otherwise; letters only.
_ALIASES: Mapping[str, str] = {
    "adaptersizes": "hyperParameters.adapterSize",
    "dataseturi": "trainingDatasetUri",
    "displayname": "tunedModelDisplayName",
    "encryptionspeckeyname": "encryptionSpec.kmsKeyName",
    "epochs": "hyperParameters.epochCount",
    "largemodelreference": "baseModel",
    "modeldisplayname": "tunedModelDisplayName",
    "parametervalues": "pipelineTuning",
    "pretunedmodelname": "preTunedModel.tunedModelName",
    "region": "location",
    "runtimeconfig": "pipelineTuning",
    "sourcemodel": "baseModel",
    "steps": "pipelineTuning.trainSteps",
    "traindataset": "trainingDatasetUri",
    "trainingdataset": "trainingDatasetUri",
    "tuningmethod": "method",
    "validationdataset": "validationDatasetUri",
}
_METHOD_SPECS: Mapping[str, str] = {"supervisedtuningspec": "supervised", "preferenceoptimizationspec": "preference"}


def _unknown(path: Path, model: type[BaseModel] | None) -> str:
    """What an unknown field probably is; `model` is what it stands in."""
    key, letters = str(path[-1]), _letters(path[-1])
    inside = ".".join(map(str, path[:-1])) or "a manifest"
    said = f"“{_short(key)}” is not a field of {inside}."
    siblings = {_letters(name): name for name in (model.model_fields if model else {})}
    if letters in siblings:
        return f"{said} Write {siblings[letters]}."
    if letters in _METHOD_SPECS and "spec" in path[:-1]:
        return (
            f"{said} Manifests are flat: write its fields (trainingDatasetUri, hyperParameters, …) directly in the "
            f"spec, and method: {_METHOD_SPECS[letters]}."
        )
    if letters in ("name", "labels"):
        return f"{said} Write it in metadata."
    elsewhere = _elsewhere(letters, model)
    if elsewhere is not None:
        last = elsewhere.rsplit(".", 1)[-1]
        return f"{said} Write {last}." if last in siblings.values() else f"{said} It belongs elsewhere: {elsewhere}."
    close = close_to(key, siblings.values())
    if close:
        return f"{said} Did you mean {close}?"
    return f"{said} Its fields are {', '.join(siblings.values())}." if siblings else said


def _elsewhere(letters: str, model: type[BaseModel] | None) -> str | None:
    """The path, from the document's start, of the field that is meant; None where no field has such a name."""
    in_stack = model in (StackManifest, StackSpec, QuotaSpec, SimulatorSpec)
    if in_stack and letters in (paths := _paths(StackSpec)):
        return f"spec.{paths[letters]}"
    found = _ALIASES.get(letters) or _paths(TunedModelSpec).get(letters)
    if found is None:
        return None
    in_sweep = model in (SweepManifest, SweepSpec)
    root = "spec.defaults" if in_stack else "spec.template" if in_sweep else "spec"
    return f"{root}.{found}"


def _paths(model: type[BaseModel]) -> Mapping[str, str]:
    """The path of each field of a model, and of the fields one level below, by its letters."""
    found: dict[str, str] = {}
    for name in model.model_fields:
        below = _model_at(model, (name,))
        found |= {_letters(part): f"{name}.{part}" for part in (below.model_fields if below else ())}
    return found | {_letters(name): name for name in model.model_fields}


def _model_at(model: type[BaseModel] | None, loc: tuple[str | int, ...]) -> type[BaseModel] | None:
    """The model of the mapping at a place, None where it is no model's."""
    for part in loc:
        field = model.model_fields.get(str(part)) if model else None
        model = next(_models(field.annotation), None) if field else None
    return model


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    for one in (annotation, *get_args(annotation)):
        if isinstance(one, type) and issubclass(one, BaseModel):
            yield one


def _description(model: type[BaseModel] | None, name: str) -> str:
    field = model.model_fields.get(name) if model else None
    return (field.description or "") if field else ""


def close_to(word: str, choices: Iterable[str]) -> str | None:
    """The choice that was probably meant, whatever its case and separators; None where none is near."""
    by_letters = {_letters(choice): choice for choice in choices}
    close = difflib.get_close_matches(_letters(word[:200]), by_letters, 1)
    return by_letters[close[0]] if close else None


def _letters(key: str | int) -> str:
    return "".join(one for one in str(key).lower() if one.isalnum())


def _is_json_scalar(text: str) -> bool:
    try:
        return isinstance(json.loads(text), int | float | bool)
    except ValueError:
        return False


def _shown(value: Any) -> str:
    """A value as it may be shown: short, and without what follows a ?, which may be a signature."""
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    return f"“{_bare(value)}”" if isinstance(value, str) else json.dumps(value)


def _bare(text: str) -> str:
    name, mark, _ = text.partition("?")
    return _short(f"{name}{mark}…" if mark else name)


def _short(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:80]}…"
