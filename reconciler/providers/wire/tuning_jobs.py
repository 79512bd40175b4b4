"""A JobRequest turned into the JSON of a `TuningJob`, and such JSON into a LiveJob. Pure.

Field names, JSON forms and versions.
Source: Google's discovery documents of aiplatform v1 and v1beta1, revision 20261106; JSON forms also
https://protobuf.dev/programming-guides/json/.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from reconciler.model.fields import Fields, Value, short_base_model
from reconciler.model.job import Checkpoint, JobError, LiveJob, location_of
from reconciler.model.labels import user_labels
from reconciler.providers.protocol import JobRequest

# Jobs are read with v1beta1: it alone tells what a waiting job waits for (`tuningJobState`), how far a running one is
# (`tuningJobMetadata`), and the fields that only v1beta1 can set; v1 leaves them out of what it returns.
READ_VERSION = "v1beta1"
CANCEL_VERSION = "v1"
_ONLY_V1BETA1 = frozenset(
    {"customBaseModel", "hyperParameters.batchSize", "hyperParameters.learningRate", "outputUri", "tuningMode"}
)

JOB_NAME = re.compile(r"projects/[A-Za-z0-9._:-]+/locations/[a-z]+[a-z0-9-]*/tuningJobs/[A-Za-z0-9_-]+")
_SPEC_OF_METHOD = {"supervised": "supervisedTuningSpec", "preference": "preferenceOptimizationSpec"}
_METHOD_OF_SPEC = {spec: method for method, spec in _SPEC_OF_METHOD.items()}
# The rank is in the name; the enum's numbers are no ranks, so that a bare 4 would mean sixteen.
_ADAPTER_NAMES = {
    1: "ADAPTER_SIZE_ONE",
    2: "ADAPTER_SIZE_TWO",
    4: "ADAPTER_SIZE_FOUR",
    8: "ADAPTER_SIZE_EIGHT",
    16: "ADAPTER_SIZE_SIXTEEN",
    32: "ADAPTER_SIZE_THIRTY_TWO",
}
_ADAPTER_RANKS: Mapping[object, int] = {name: rank for rank, name in _ADAPTER_NAMES.items()}
_ADAPTER_RANKS_BY_NUMBER: Mapping[int, int] = {1: 1, 2: 4, 3: 8, 4: 16, 5: 32, 6: 2}
_TUNING_MODE = "TUNING_MODE_"
_TUNING_MODES_BY_NUMBER = {1: "TUNING_MODE_FULL", 2: "TUNING_MODE_PEFT_ADAPTER"}

_TOP_TEXTS = ("customBaseModel", "description", "outputUri", "serviceAccount", "tunedModelDisplayName")
_SPEC_TEXTS = ("trainingDatasetUri", "validationDatasetUri")
_INTEGERS = ("batchSize", "epochCount")
_NUMBERS = ("beta", "learningRate", "learningRateMultiplier")
# Fields that decide where and how a job is made, and are not part of its body by their own name.
_NOT_IN_BODY = frozenset(
    {"baseModel", "location", "method", "tunedModelDisplayName", "preTunedModel.address", "preTunedModel.checkpointId"}
    | {"preTunedModel.fingerprint", "preTunedModel.tunedModelName"}
)


def api_version_for(fields: Fields) -> str:
    """The API version a job of these fields is created with: v1 where it suffices, else v1beta1."""
    return "v1beta1" if any(fields.get(path) is not None for path in _ONLY_V1BETA1) else "v1"


def body_from_request(request: JobRequest) -> dict[str, Any]:
    """The body of `tuningJobs.create`. A model to go on from is sent in place of the base model it knows.

    Raises ValueError for what a tuning job has no place for, or for one that has nothing to start from.
    """
    fields = {path: value for path, value in request.fields.items() if value is not None}
    method = str(fields.get("method", "supervised"))
    if method not in _SPEC_OF_METHOD:
        raise ValueError(f"tuningJobs has no method {method!r}")
    body: dict[str, Any] = _source_model(request, fields)
    spec = body.setdefault(_SPEC_OF_METHOD[method], {})
    for path, value in sorted(fields.items()):
        if path in _NOT_IN_BODY or path.startswith("labels."):
            continue
        if path in (*_SPEC_TEXTS, "evaluationConfig", "exportLastCheckpointOnly"):
            spec[path] = value
        elif path == "tuningMode":
            spec[path] = f"{_TUNING_MODE}{str(value).removeprefix(_TUNING_MODE)}"
        elif path.startswith("hyperParameters."):
            name = path.removeprefix("hyperParameters.")
            spec.setdefault("hyperParameters", {})[name] = _hyper_parameter(name, value)
        elif path == "encryptionSpec.kmsKeyName":
            body["encryptionSpec"] = {"kmsKeyName": value}
        elif path in _TOP_TEXTS:
            body[path] = value
        else:
            raise ValueError(f"a tuning job has no field {path}")
    display_name = request.display_name or fields.get("tunedModelDisplayName")
    if display_name:
        body["tunedModelDisplayName"] = display_name
    return {**body, "labels": dict(request.labels)}


def _source_model(request: JobRequest, fields: Fields) -> dict[str, Any]:
    parent = request.pre_tuned_model or fields.get("preTunedModel.tunedModelName")
    if parent is not None:
        checkpoint = fields.get("preTunedModel.checkpointId")
        chosen = {} if checkpoint is None else {"checkpointId": str(checkpoint)}
        return {"preTunedModel": {"tunedModelName": parent, **chosen}}
    if "preTunedModel.address" in fields or "baseModel" not in fields:
        raise ValueError("it has no model to start from")
    return {"baseModel": fields["baseModel"]}


def _hyper_parameter(name: str, value: Value) -> Value:
    if name == "adapterSize":
        rank = _whole(value)
        if rank not in _ADAPTER_NAMES:
            raise ValueError(f"there is no adapter size {value}")
        return _ADAPTER_NAMES[rank]
    if name in _INTEGERS:
        # int64 is a string in proto JSON; a JSON number would lose digits on its way through other clients.
        return str(_whole(value))
    if name in _NUMBERS:
        return _finite(value)
    raise ValueError(f"there is no hyper-parameter {name}")


def job_from_body(body: Mapping[str, Any]) -> LiveJob:
    """The job that a `TuningJob` describes, in the words of a manifest.

    Whatever the service leaves out is absent; states, methods and enum names we do not know are kept as they are.
    Raises ValueError for what cannot be a tuning job.
    """
    name, created_at = _text(body, "name"), _instant(body, "createTime")
    if created_at is None or name is None or not JOB_NAME.fullmatch(name):
        raise ValueError("it is a tuning job without a usable name or time of creation")
    tuned, metadata = _object(body, "tunedModel"), _object(body, "tuningJobMetadata")
    labels = _labels(body)
    return LiveJob(
        name=name,
        location=location_of(name),
        state=_text(body, "state") or "JOB_STATE_UNSPECIFIED",
        created_at=created_at,
        fields=dict(_fields(body, location_of(name), labels)),
        labels=labels,
        started_at=_instant(body, "startTime"),
        ended_at=_instant(body, "endTime"),
        updated_at=_instant(body, "updateTime"),
        error=_error(body),
        experiment=_text(body, "experiment"),
        model=_text(tuned, "model"),
        endpoint=_text(tuned, "endpoint"),
        checkpoints=tuple(_checkpoint(one) for one in _objects(tuned, "checkpoints")),
        billable_token_count=_billable_token_count(body),
        completed_epoch_count=_integer(metadata, "completedEpochCount"),
        phase=_known_enum(_text(body, "tuningJobState")),
    )


def _fields(body: Mapping[str, Any], location: str, labels: Mapping[str, str]) -> Iterator[tuple[str, Value]]:
    parent = _object(body, "preTunedModel")
    base_model = _text(body, "baseModel") or _text(parent, "baseModel")
    yield "location", location
    if base_model is not None:
        yield "baseModel", short_base_model(base_model)
    yield from _present(
        ("preTunedModel.tunedModelName", _text(parent, "tunedModelName")),
        ("preTunedModel.checkpointId", _text(parent, "checkpointId")),
        ("encryptionSpec.kmsKeyName", _text(_object(body, "encryptionSpec"), "kmsKeyName")),
        *((key, _text(body, key)) for key in _TOP_TEXTS),
        *((f"labels.{key}", value) for key, value in user_labels(labels).items()),
    )
    yield from _method_fields(body)


def _method_fields(body: Mapping[str, Any]) -> Iterator[tuple[str, Value]]:
    """The method and its spec. Of a method that is not ours to start, only what has the shape we know."""
    name = next((key for key in body if key.endswith("Spec") and key != "encryptionSpec"), None)
    if name is None:
        return
    if name in _METHOD_OF_SPEC:
        spec = _object(body, name)
        yield "method", _METHOD_OF_SPEC[name]
        yield from _spec_fields(spec)
        # Proto JSON leaves out false: a job that does not say so exports all checkpoints.
        yield "exportLastCheckpointOnly", spec.get("exportLastCheckpointOnly") is True
        return
    yield "method", name.removesuffix("Spec").removesuffix("Tuning")
    with contextlib.suppress(ValueError):
        yield from tuple(_spec_fields(_object(body, name)))


def _spec_fields(spec: Mapping[str, Any]) -> Iterator[tuple[str, Value]]:
    tuned = _object(spec, "hyperParameters")
    yield from _present(
        *((key, _text(spec, key)) for key in _SPEC_TEXTS),
        ("evaluationConfig", _object(spec, "evaluationConfig") or None),
        ("tuningMode", _tuning_mode(spec.get("tuningMode"))),
        ("hyperParameters.adapterSize", _adapter_size(tuned.get("adapterSize"))),
        *((f"hyperParameters.{key}", _integer(tuned, key)) for key in _INTEGERS),
        *((f"hyperParameters.{key}", _number(tuned, key)) for key in _NUMBERS),
    )


def _present(*pairs: tuple[str, Any]) -> Iterator[tuple[str, Value]]:
    return ((path, value) for path, value in pairs if value is not None)


def _tuning_mode(value: object) -> str | None:
    name = _known_enum(_named(value, _TUNING_MODES_BY_NUMBER))
    # A manifest says FULL or PEFT_ADAPTER.
    return None if name is None else name.removeprefix(_TUNING_MODE)


def _adapter_size(value: object) -> int | str | None:
    name = _known_enum(_named(value, {n: _ADAPTER_NAMES[rank] for n, rank in _ADAPTER_RANKS_BY_NUMBER.items()}))
    return None if name is None else _ADAPTER_RANKS.get(name, name)


def _named(value: object, names: Mapping[int, str]) -> str | None:
    """An enum's name; proto JSON also allows its number, and 0 is "not set"."""
    if value is None or isinstance(value, str):
        return value or None
    number = _whole(value)
    return None if number == 0 else names.get(number, str(number))


def _known_enum(name: str | None) -> str | None:
    """The name, unless it is the one for "not set"."""
    return None if name is None or name.endswith("_UNSPECIFIED") else name


def _labels(body: Mapping[str, Any]) -> dict[str, str]:
    labels = _object(body, "labels")
    if not all(isinstance(value, str) for value in labels.values()):
        raise ValueError("a label that is not text")
    return dict(labels)


def _error(body: Mapping[str, Any]) -> JobError | None:
    error = _object(body, "error")
    return JobError(_integer(error, "code") or 0, _text(error, "message") or "") if error else None


def _checkpoint(body: Mapping[str, Any]) -> Checkpoint:
    return Checkpoint(
        _text(body, "checkpointId") or "", _integer(body, "epoch"), _integer(body, "step"), _text(body, "endpoint")
    )


def _billable_token_count(body: Mapping[str, Any]) -> int | None:
    stats = _object(body, "tuningDataStats")
    counts = (_integer(_object(stats, member), "totalBillableTokenCount") for member in stats)
    return next((count for count in counts if count is not None), None)


def _text(body: Mapping[str, Any], key: str) -> str | None:
    value = body.get(key)
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{key} is not text")
    # Proto JSON has no difference between empty text and none.
    return value or None


def _object(body: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = body.get(key)
    if value is not None and not isinstance(value, dict):
        raise ValueError(f"{key} is not an object")
    return value or {}


def _objects(body: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    value = body.get(key)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise ValueError(f"{key} is not a list of objects")
    return value


def _integer(body: Mapping[str, Any], key: str) -> int | None:
    value = body.get(key)
    return None if value is None else _whole(value)


def _number(body: Mapping[str, Any], key: str) -> int | float | None:
    value = body.get(key)
    return None if value is None else _finite(value)


def _whole(value: object) -> int:
    """A whole number in any of the forms proto JSON has for int64: 4, "4", 4.0, "4.0"."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and value.removeprefix("-").isdecimal():
        return int(value)
    number = _finite(value)
    if not float(number).is_integer():
        raise ValueError(f"{value!r} is not a whole number")
    return int(number)


def _finite(value: object) -> int | float:
    """A number in any of the forms proto JSON has for double: 1, 1.5, "1.5"."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"{value!r} is not a number")
    # A number of four hundred digits is an int that no double holds.
    with contextlib.suppress(OverflowError):
        number = float(value) if isinstance(value, str) else value
        if math.isfinite(number):
            return number
    raise ValueError("a number that is not finite")


def _instant(body: Mapping[str, Any], key: str) -> datetime | None:
    """An RFC 3339 instant in UTC; what is finer than a microsecond is cut off."""
    text = _text(body, key)
    if text is None:
        return None
    at = datetime.fromisoformat(text.upper())
    if at.tzinfo is None:
        raise ValueError(f"{key} has no time zone")
    try:
        return at.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{key} is out of range") from None
