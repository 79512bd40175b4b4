"""Fields of a spec: fingerprints that never change, what a change to each field means, and what counts as equal."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from reconciler.manifest.schema import TunedModelSpec
from reconciler.model.fields import (
    EFFECTS,
    PARENT_FINGERPRINT,
    Effect,
    FieldChange,
    Fields,
    Value,
    canonical,
    effect_of,
    field_changes,
    fingerprint,
    short_base_model,
)
from reconciler.providers.wire.tuning_jobs import job_from_body

# Written once. A fingerprint that differs from this file would tune every model of every stack again.
VECTORS: list[dict[str, Any]] = json.loads((Path(__file__).parents[1] / "golden" / "fingerprints.json").read_text())
BY_NAME = {one["name"]: one["fingerprint"] for one in VECTORS}
USUAL: Fields = next(one["fields"] for one in VECTORS if one["name"] == "a usual model")


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_a_fingerprint_never_changes(vector: dict[str, Any]) -> None:
    """Each spec has the fingerprint it was given when this version of fingerprints began."""
    assert vector["fingerprint"] == fingerprint(vector["fields"])


def test_the_form_of_a_fingerprint() -> None:
    """A fingerprint is the first 16 hex digits of the sha256 of the sorted, compact JSON of what shapes the job."""
    text = (
        '{"baseModel":"gemini-3.5-flash","hyperParameters.epochCount":4,"location":"us-central1",'
        '"method":"supervised","trainingDatasetUri":"gs://b/t.jsonl"}'
    )
    assert f"v1-{hashlib.sha256(text.encode()).hexdigest()[:16]}" == BY_NAME["a usual model"]


@pytest.mark.parametrize(
    "same",
    [
        "a whole number as a float",
        "the base model with its publisher",
        "fields in another order",
        "with what the next job only reads",
        "with what only updates the model",
    ],
)
def test_what_needs_no_new_job_has_an_equal_fingerprint(same: str) -> None:
    """How a value is written, the order of fields, and fields that shape no job are no reason to tune again."""
    assert BY_NAME["a usual model"] == BY_NAME[same]


def test_a_renamed_parent_is_the_same_parent() -> None:
    """A child's fingerprint holds its parent's fingerprint, not its parent's address."""
    assert BY_NAME["a child"] == BY_NAME["a child of the renamed parent"]


def test_what_differs_has_another_fingerprint() -> None:
    """All specs of the table that are not the same in other words differ in their fingerprints."""
    assert 16 == len({one["fingerprint"] for one in VECTORS})
    assert 3 == len({BY_NAME["true is not one"], BY_NAME["one is not true"], BY_NAME["false is not unset"]})


@pytest.mark.parametrize("path", sorted(path for path, effect in EFFECTS.items() if effect is Effect.RETRAIN))
def test_every_field_that_shapes_a_job_is_in_the_fingerprint(path: str) -> None:
    """Changing any field that asks for a new job changes the fingerprint."""
    assert fingerprint({**USUAL, path: "one"}) != fingerprint({**USUAL, path: "other"})


@pytest.mark.parametrize(
    "path", [*sorted(path for path, effect in EFFECTS.items() if effect is not Effect.RETRAIN), "labels.team"]
)
def test_no_other_field_is_in_the_fingerprint(path: str) -> None:
    """Changing a field that only updates the model, or that only the next job reads, does not change it."""
    assert fingerprint(USUAL) == fingerprint({**USUAL, path: "other"})


def test_a_number_that_is_none_has_no_fingerprint() -> None:
    """NaN equals nothing, so a spec that holds it is refused rather than tuned again for ever."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        fingerprint({"hyperParameters.learningRate": float("nan")})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1.0, 1),
        (-0.0, 0),
        (0.5, 0.5),
        (True, True),
        (None, None),
        ("1", "1"),
        ("publishers/google/models/gemini-3.5-flash", "gemini-3.5-flash"),
        ([1.0, {"a": 2.0}], [1, {"a": 2}]),
        ({"b": [True, 3.0]}, {"b": [True, 3]}),
    ],
)
def test_values_have_one_form(value: Value, expected: Value) -> None:
    """A whole number is an integer however it was written, at any depth; true stays true."""
    assert json.dumps(expected) == json.dumps(canonical(value))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("gemini-3.5-flash", "gemini-3.5-flash"),
        ("publishers/google/models/gemini-3.5-flash", "gemini-3.5-flash"),
        ("publishers/meta/models/llama-3.3", "publishers/meta/models/llama-3.3"),
        ("code-bison@002", "code-bison@002"),
        ("", ""),
    ],
)
def test_a_base_model_of_google_goes_by_its_short_id(name: str, expected: str) -> None:
    """Google's own publisher is left out; other publishers keep their prefix."""
    assert expected == short_base_model(name)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(json_values)
def test_the_canonical_form_is_final(value: Value) -> None:
    """Taking the canonical form of a canonical value changes nothing, unless a prefix stands in front of a prefix."""
    once = canonical(value)
    if "publishers/google/models/" not in json.dumps(once):
        assert json.dumps(once, sort_keys=True) == json.dumps(canonical(once), sort_keys=True)


@given(st.dictionaries(st.sampled_from(sorted(EFFECTS)), json_values))
def test_equal_fields_have_no_changes_and_one_fingerprint(fields: dict[str, Value]) -> None:
    """A spec that went through JSON is the same spec."""
    again = json.loads(json.dumps(fields))
    assert () == field_changes(fields, again)
    assert fingerprint(fields) == fingerprint(again)


def manifest_paths() -> Iterator[str]:
    """Every field a manifest can set that is part of a job."""
    for name, info in TunedModelSpec.model_fields.items():
        nested = [one for one in get_args(info.annotation) if isinstance(one, type) and issubclass(one, BaseModel)]
        if name in ("priority", "lifecycle"):
            continue
        yield from (f"{name}.{part}" for part in nested[0].model_fields) if nested else [name]


def test_every_field_of_a_manifest_is_classed() -> None:
    """Every field of a manifest has an effect, and every effect belongs to such a field or to the parent's spec."""
    assert set(EFFECTS) == {*manifest_paths(), PARENT_FINGERPRINT}


def test_every_field_of_a_live_job_is_classed() -> None:
    """Whatever a live job says of itself can be compared with a manifest."""
    body = {
        "name": "projects/1/locations/us-central1/tuningJobs/2",
        "createTime": datetime(2026, 11, 20, tzinfo=UTC).isoformat(),
        "baseModel": "gemini-3.5-flash",
        "customBaseModel": "gs://w/",
        "preTunedModel": {"tunedModelName": "projects/1/locations/us/models/7", "checkpointId": "1"},
        "encryptionSpec": {"kmsKeyName": "k"},
        "description": "d",
        "outputUri": "gs://o/",
        "serviceAccount": "a@b.c",
        "tunedModelDisplayName": "n",
        "labels": {"team": "support"},
        "supervisedTuningSpec": {
            "trainingDatasetUri": "gs://b/t.jsonl",
            "validationDatasetUri": "gs://b/v.jsonl",
            "evaluationConfig": {"metrics": []},
            "tuningMode": "TUNING_MODE_FULL",
            "exportLastCheckpointOnly": True,
            "hyperParameters": {
                "adapterSize": "ADAPTER_SIZE_FOUR",
                "batchSize": "8",
                "beta": 0.1,
                "epochCount": "4",
                "learningRate": 1e-5,
                "learningRateMultiplier": 1,
            },
        },
    }
    fields = job_from_body(body).fields
    assert 23 == len(fields)
    assert set(Effect) == {effect_of(path) for path in fields}


@pytest.mark.parametrize("path", ["hyperParameters.momentum", "team", "labels"])
def test_a_field_nobody_classed_is_no_field(path: str) -> None:
    """What nobody thought about has no effect that could be guessed."""
    with pytest.raises(KeyError, match=path):
        effect_of(path)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({}, {}, []),
        ({"location": "us"}, {"location": "us"}, []),
        ({"hyperParameters.beta": 1}, {"hyperParameters.beta": 1.0}, []),
        ({"baseModel": "publishers/google/models/g"}, {"baseModel": "g"}, []),
        ({"location": None}, {}, []),
        ({"location": "us"}, {"location": "eu"}, [("location", "us", "eu", Effect.RETRAIN)]),
        ({}, {"location": "eu"}, [("location", None, "eu", Effect.RETRAIN)]),
        ({"location": "us"}, {}, [("location", "us", None, Effect.RETRAIN)]),
        ({"labels.a": "1"}, {"labels.a": "2"}, [("labels.a", "1", "2", Effect.UPDATE)]),
        ({}, {"tunedModelDisplayName": "n"}, [("tunedModelDisplayName", None, "n", Effect.UPDATE)]),
        ({"description": "a"}, {}, [("description", "a", None, Effect.NEXT_JOB)]),
        (
            {"pipelineTuning.enableEarlyStopping": True},
            {"pipelineTuning.enableEarlyStopping": False},
            [("pipelineTuning.enableEarlyStopping", True, False, Effect.RETRAIN)],
        ),
        (
            {"method": "supervised", "description": "a"},
            {"method": "preference", "baseModel": "g"},
            [
                ("baseModel", None, "g", Effect.RETRAIN),
                ("description", "a", None, Effect.NEXT_JOB),
                ("method", "supervised", "preference", Effect.RETRAIN),
            ],
        ),
    ],
)
def test_field_changes(before: Fields, after: Fields, expected: list[tuple[str, Value, Value, Effect]]) -> None:
    """Every field that differs, by name, with both values and what its change asks for."""
    assert tuple(FieldChange(*one) for one in expected) == field_changes(before, after)
