"""The JSON Schema for editors: valid, complete, and of one mind with what is accepted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from reconciler.errors import ManifestError
from reconciler.manifest.parse import ManifestFile, parse_manifests
from reconciler.manifest.schema import json_schema
from reconciler.yamldoc import read_documents

STACK = """\
apiVersion: tuneform/v1
kind: Stack
metadata: {name: support}
spec: {project: demo-project, location: us-central1%s}
"""
MODEL = """\
apiVersion: tuneform/v1
kind: TunedModel
metadata: {name: intent%s}
spec: {baseModel: gemini-2.5-flash, trainingDatasetUri: gs://bucket/train.jsonl%s}
"""
SWEEP = """\
apiVersion: tuneform/v1
kind: Sweep
metadata: {name: sweep}
spec:
  template: {baseModel: gemini-2.5-flash, trainingDatasetUri: gs://bucket/sweep.jsonl}
  matrix: {%s}
"""


def test_it_is_a_schema() -> None:
    """The schema keeps the rules of its own draft."""
    schema = json_schema()
    Draft202012Validator.check_schema(schema)
    assert "https://json-schema.org/draft/2020-12/schema" == schema["$schema"]
    assert ["StackManifest", "TunedModelManifest", "SweepManifest"] == [
        one["$ref"].removeprefix("#/$defs/") for one in schema["oneOf"]
    ]


def properties(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every property of every kind of mapping, by its path."""
    for name, definition in schema["$defs"].items():
        for key, value in definition.get("properties", {}).items():
            yield f"{name}.{key}", value


def test_every_field_is_described() -> None:
    """An editor can say of each field what it is for."""
    schema = json_schema()
    described = {name: "description" in one or "$ref" in one for name, one in properties(schema)}
    assert 60 < len(described)
    assert [] == [name for name, is_described in described.items() if not is_described]
    targets = [one["$ref"].rsplit("/", 1)[-1] for _, one in properties(schema) if "$ref" in one]
    assert [] == [name for name in targets if "description" not in schema["$defs"][name]]


def test_nothing_but_the_fields_is_allowed() -> None:
    """Every mapping of the schema is closed, so that an editor marks what is misspelt."""
    closed = {name: one["additionalProperties"] for name, one in json_schema()["$defs"].items() if "properties" in one}
    assert {False} == set(closed.values())


GOOD = [
    STACK % "",
    STACK % ", endpoint: simulator, simulator: {speed: 60, overQuota: wait, world: ../w.json, concurrentJobs: 2}",
    STACK % ", quota: {concurrentJobs: auto, maxSlots: 2}, catalogueAsOf: 2026-11-20, state: gs://b/p",
    STACK % ", defaults: {hyperParameters: {epochCount: 4}, labels: {team: a}, method: null}",
    MODEL % ("", ""),
    MODEL % (", labels: {team: a, tier: ''}", ", hyperParameters: {epochCount: 4, adapterSize: 8}"),
    MODEL % ("", ", hyperParameters: {epochCount: 4.0, learningRateMultiplier: 1}, evaluationConfig: {a: [1, {}]}"),
    MODEL % ("", ", lifecycle: {retries: 10, preventReplace: true, onRemove: delete}, priority: low, location: null"),
    MODEL % ("", ", pipelineTuning: {gcsOutputDirectory: gs://bucket, enableCheckpointSelection: true}"),
    MODEL % ("", ", pipelineTuning: {gcsOutputDirectory: gs://bucket/x/, enableCheckpointSelection: default}"),
    SWEEP % "hyperParameters.epochCount: [1, 2], method: [supervised]",
]
BAD = [
    STACK % ", quota: {concurrentJobs: automatic}",
    STACK % ", quota: {maxSlots: -1}",
    STACK % ", catalogueAsOf: yesterday",
    STACK % ", state: 3",
    STACK % ", defaults: {hyperParameters: {epochCount: x}}",
    STACK % ", defaults: {labels: {Team: a}}",
    STACK % ", unknown: 1",
    STACK.replace("project: demo-project, ", "") % "",
    STACK.replace("kind: Stack", "kind: Stacks") % "",
    STACK.replace("tuneform/v1", "tuneform/v2") % "",
    MODEL % (", labels: {team: A}", ""),
    MODEL % (", labels: {team: 1}", ""),
    MODEL % (", annotations: {}", ""),
    MODEL % ("", ", hyperParameters: {epochCount: 0}"),
    MODEL % ("", ", hyperParameters: {epochCount: 1.5}"),
    MODEL % ("", ", hyperParameters: {epochCount: '4'}"),
    MODEL % ("", ", hyperParameters: {learningRateMultiplier: 0}"),
    MODEL % ("", ", hyperParameters: {adapterSize: ADAPTER_SIZE_FOUR}"),
    MODEL % ("", ", lifecycle: {retries: 11}"),
    MODEL % ("", ", lifecycle: {retries: -1}"),
    MODEL % ("", ", validationDatasetUri: train.jsonl"),
    MODEL % ("", ", validationDatasetUri: 'gs://bucket/a?b'"),
    MODEL % ("", ", tunedModelDisplayName: ''"),
    MODEL % ("", f", tunedModelDisplayName: {'x' * 129}"),
    MODEL % ("", ", pipelineTuning: {gcsOutputDirectory: gs://bucket, enableCheckpointSelection: best}"),
    MODEL % ("", ", training_dataset_uri: x"),
    SWEEP % "hyperParameters.epochCount: []",
    SWEEP % "hyperParameters.epochCount: 3",
    SWEEP % "hyperParameters.epochCount: [1, 1]",
    SWEEP % "hyperParameters.epochCount: [null]",
    SWEEP % "",
]


def is_accepted(text: str) -> bool:
    """Whether a document is accepted beside the rest of a good stack."""
    others = [MODEL.replace("intent", "other") % ("", "")] if "kind: Stack" in text else [STACK % ""]
    files = [ManifestFile(f"m/{index}.yaml", one, "") for index, one in enumerate([text, *others])]
    try:
        parse_manifests(files, root="m")
    except ManifestError:
        return False
    return True


@pytest.mark.parametrize(("text", "expected"), [*((one, True) for one in GOOD), *((one, False) for one in BAD)])
def test_the_schema_and_the_reader_agree(text: str, expected: bool) -> None:
    """What an editor marks by the schema is refused, and what is accepted it does not mark."""
    documents, problems = read_documents(text, "a.yaml")
    assert () == problems
    assert expected == Draft202012Validator(json_schema()).is_valid(documents[0].value)
    assert expected == is_accepted(text)
