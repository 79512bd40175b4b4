"""What the catalogue says about declared models, rule by rule."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import pytest

from reconciler.catalogue.catalogue import load_catalogue
from reconciler.catalogue.check import base_model_of, check_models, retired_diagnostic
from reconciler.errors import Diagnostic, Severity, Source
from reconciler.model.desired import DesiredModel
from reconciler.model.fields import Value, fingerprint

CATALOGUE = load_catalogue()
# A day on which every base model used here was available, and today.
SEED_DAY = date(2024, 12, 1)
TODAY = date(2026, 11, 20)
FILE = "manifests/a.yaml"
KEY = "projects/p/locations/us-central1/keyRings/r/cryptoKeys/k"
GEMINI_1_5_PRO: Mapping[str, Value] = {"baseModel": "gemini-1.5-pro-002"}
GEMINI_2_5: Mapping[str, Value] = {"baseModel": "gemini-2.5-flash"}
GEMINI_3_5: Mapping[str, Value] = {"baseModel": "gemini-3.5-flash"}
CODE: Mapping[str, Value] = {"baseModel": "code-bison@002"}
CHAT: Mapping[str, Value] = {"baseModel": "codechat-bison@002"}
PREFERENCE: Mapping[str, Value] = {**GEMINI_2_5, "method": "preference"}
OPEN: Mapping[str, Value] = {"baseModel": "qwen/qwen3@qwen3-32b", "outputUri": "gs://b/out"}
OPEN_FULL: Mapping[str, Value] = {"baseModel": "qwen/qwen3@qwen3-8b", "outputUri": "gs://b/out"}
EVALUATED: Mapping[str, Value] = {**CODE, "pipelineTuning.evaluationDataUri": "gs://b/eval.jsonl"}


def declared(fields: Mapping[str, Value], address: str = "m", parent: str | None = None) -> DesiredModel:
    """A declared model in us-central1 whose fields stand one below the other from line 3."""
    complete = {
        "location": "us-central1",
        "method": "supervised",
        "trainingDatasetUri": "gs://b/train.jsonl",
        **fields,
    }
    return DesiredModel(
        address=address,
        fields=complete,
        fingerprint=fingerprint(complete),
        source=Source(FILE, 1, 1),
        parent=parent,
        positions={path: (line, 5) for line, path in enumerate(complete, start=3)},
    )


def found(*models: DesiredModel, as_of: date = SEED_DAY) -> list[tuple[Severity, str, Source | None]]:
    """Severity, rule and place of everything the catalogue says about the models."""
    return [(one.severity, one.rule, one.source) for one in check_models(models, CATALOGUE, as_of=as_of)]


def only(*models: DesiredModel, as_of: date = SEED_DAY) -> Diagnostic:
    """The one thing the catalogue says about the models."""
    (one,) = check_models(models, CATALOGUE, as_of=as_of)
    return one


@pytest.mark.parametrize(
    "fields",
    [
        {**GEMINI_1_5_PRO, "hyperParameters.adapterSize": 4, "hyperParameters.epochCount": 4},
        {"baseModel": "publishers/google/models/gemini-1.5-flash-002", "hyperParameters.adapterSize": 16},
        {"baseModel": "gemini-1.0-pro-002", "hyperParameters.learningRateMultiplier": 1.0},
        {**GEMINI_3_5, "location": "europe-west4", "exportLastCheckpointOnly": True, "hyperParameters.epochCount": 40},
        {**GEMINI_2_5, "tuningMode": "TUNING_MODE_PEFT_ADAPTER", "encryptionSpec.kmsKeyName": KEY},
        {**PREFERENCE, "hyperParameters.beta": 0.1, "validationDatasetUri": "gs://b/v.jsonl"},
        {**OPEN, "location": "global", "tuningMode": "PEFT_ADAPTER", "hyperParameters.adapterSize": 16},
        {**OPEN_FULL, "hyperParameters.learningRate": 5e-5, "hyperParameters.batchSize": 8, "tuningMode": "FULL"},
        {**EVALUATED, "pipelineTuning.evaluationInterval": 20, "pipelineTuning.enableEarlyStopping": True},
        {**CODE, "pipelineTuning.trainSteps": 200, "encryptionSpec.kmsKeyName": KEY},
        {**CHAT, "pipelineTuning.trainSteps": 1000, "pipelineTuning.defaultContext": "You write Go."},
        {**CODE, "location": "europe-west9", "pipelineTuning.modelUploadLocation": "asia-northeast3"},
        {**CODE, "pipelineTuning.tensorboardResourceId": "projects/1/locations/us-central1/tensorboards/2"},
        {"baseModel": "text-bison@002", "pipelineTuning.trainSteps": 5000},
        {"baseModel": "translation-llm-002", "hyperParameters.adapterSize": 4},
    ],
)
def test_what_fits_is_not_mentioned(fields: Mapping[str, Value]) -> None:
    """A manifest within the limits of its base model gets no word."""
    assert [] == found(declared(fields))


@pytest.mark.parametrize(
    ("fields", "rule", "path"),
    [
        (
            {**GEMINI_1_5_PRO, "hyperParameters.adapterSize": 8},
            "adapter-size-unsupported",
            "hyperParameters.adapterSize",
        ),
        (
            {"baseModel": "gemini-1.5-flash-002", "hyperParameters.adapterSize": 2},
            "adapter-size-unsupported",
            "hyperParameters.adapterSize",
        ),
        ({**GEMINI_3_5, "hyperParameters.adapterSize": 32}, "adapter-size-unsupported", "hyperParameters.adapterSize"),
        ({**GEMINI_3_5, "method": "preference"}, "method-unsupported", "method"),
        ({**CODE, "method": "preference"}, "method-unsupported", "method"),
        ({**GEMINI_3_5, "location": "us-west1"}, "location-unsupported", "location"),
        ({**GEMINI_1_5_PRO, "location": "global"}, "location-unsupported", "location"),
        ({**CODE, "location": "us-east1"}, "location-unsupported", "location"),
        ({"baseModel": "translation-llm-002", "location": "europe-west4"}, "location-unsupported", "location"),
        ({**OPEN, "location": "europe-west1"}, "location-unsupported", "location"),
        ({**CODE, "hyperParameters.epochCount": 4}, "field-not-supported", "hyperParameters.epochCount"),
        ({**CODE, "validationDatasetUri": "gs://b/v.jsonl"}, "field-not-supported", "validationDatasetUri"),
        ({**CODE, "exportLastCheckpointOnly": True}, "field-not-supported", "exportLastCheckpointOnly"),
        ({**GEMINI_3_5, "pipelineTuning.trainSteps": 300}, "field-not-supported", "pipelineTuning.trainSteps"),
        ({**OPEN, "pipelineTuning.trainSteps": 300}, "field-not-supported", "pipelineTuning.trainSteps"),
        ({**GEMINI_3_5, "outputUri": "gs://b/out"}, "field-not-supported", "outputUri"),
        ({**CODE, "outputUri": "gs://b/out"}, "field-not-supported", "outputUri"),
        ({**GEMINI_3_5, "customBaseModel": "gs://b/weights"}, "field-not-supported", "customBaseModel"),
        ({**GEMINI_3_5, "hyperParameters.learningRate": 0.1}, "field-not-supported", "hyperParameters.learningRate"),
        ({**GEMINI_3_5, "hyperParameters.batchSize": 8}, "field-not-supported", "hyperParameters.batchSize"),
        (
            {**OPEN, "hyperParameters.learningRateMultiplier": 1},
            "field-not-supported",
            "hyperParameters.learningRateMultiplier",
        ),
        (
            {**OPEN, "hyperParameters.learningRateMultiplier": 1, "hyperParameters.learningRate": 0.1},
            "learning-rate-twice",
            "hyperParameters.learningRate",
        ),
        (
            {**GEMINI_3_5, "hyperParameters.learningRateMultiplier": 1, "hyperParameters.learningRate": 0.1},
            "learning-rate-twice",
            "hyperParameters.learningRate",
        ),
        ({**GEMINI_2_5, "hyperParameters.beta": 0.1}, "beta-without-preference", "hyperParameters.beta"),
        ({**PREFERENCE, "evaluationConfig": {}}, "field-not-for-preference", "evaluationConfig"),
        ({**PREFERENCE, "tuningMode": "PEFT_ADAPTER"}, "field-not-for-preference", "tuningMode"),
        (
            {**PREFERENCE, "trainingDatasetUri": "projects/p/locations/l/datasets/1"},
            "preference-dataset-uri",
            "trainingDatasetUri",
        ),
        ({**GEMINI_3_5, "tuningMode": "TUNING_MODE_FULL"}, "tuning-mode-unsupported", "tuningMode"),
        ({**OPEN_FULL, "tuningMode": "PEFT_ADAPTER"}, "tuning-mode-unsupported", "tuningMode"),
        ({**CODE, "tuningMode": "FULL"}, "tuning-mode-unsupported", "tuningMode"),
        (
            {**OPEN_FULL, "hyperParameters.adapterSize": 8},
            "adapter-size-without-adapter",
            "hyperParameters.adapterSize",
        ),
        (
            {**OPEN, "tuningMode": "TUNING_MODE_FULL", "hyperParameters.adapterSize": 8},
            "adapter-size-without-adapter",
            "hyperParameters.adapterSize",
        ),
        ({"baseModel": "qwen/qwen3@qwen3-32b"}, "output-uri-missing", "baseModel"),
        ({**GEMINI_3_5, "encryptionSpec.kmsKeyName": KEY}, "encryption-key-unsupported", "encryptionSpec.kmsKeyName"),
        (
            {**OPEN, "location": "global", "encryptionSpec.kmsKeyName": KEY},
            "encryption-key-unsupported",
            "encryptionSpec.kmsKeyName",
        ),
        (
            {**CODE, "encryptionSpec.kmsKeyName": KEY, "pipelineTuning.acceleratorType": "TPU"},
            "encryption-key-unsupported",
            "encryptionSpec.kmsKeyName",
        ),
        (
            {**CODE, "encryptionSpec.kmsKeyName": KEY, "location": "europe-west4"},
            "encryption-key-unsupported",
            "encryptionSpec.kmsKeyName",
        ),
        (
            {**CODE, "encryptionSpec.kmsKeyName": KEY, "pipelineTuning.modelUploadLocation": "us-west1"},
            "encryption-key-unsupported",
            "encryptionSpec.kmsKeyName",
        ),
        (
            {**CHAT, "pipelineTuning.evaluationDataUri": "gs://b/e.jsonl"},
            "evaluation-on-chat-model",
            "pipelineTuning.evaluationDataUri",
        ),
        (
            {**CHAT, "pipelineTuning.evaluationInterval": 20},
            "evaluation-on-chat-model",
            "pipelineTuning.evaluationInterval",
        ),
        (
            {**CHAT, "pipelineTuning.enableEarlyStopping": True},
            "evaluation-on-chat-model",
            "pipelineTuning.enableEarlyStopping",
        ),
        (
            {**CODE, "pipelineTuning.evaluationInterval": 20},
            "evaluation-data-missing",
            "pipelineTuning.evaluationInterval",
        ),
        (
            {**CODE, "pipelineTuning.enableEarlyStopping": False},
            "evaluation-data-missing",
            "pipelineTuning.enableEarlyStopping",
        ),
        (
            {**CODE, "pipelineTuning.defaultContext": "You write Go."},
            "default-context-unsupported",
            "pipelineTuning.defaultContext",
        ),
        (
            {**CODE, "pipelineTuning.modelUploadLocation": "us-east1"},
            "upload-location-unsupported",
            "pipelineTuning.modelUploadLocation",
        ),
        (
            {**CODE, "pipelineTuning.tensorboardResourceId": "projects/1/locations/us-west1/tensorboards/2"},
            "tensorboard-location",
            "pipelineTuning.tensorboardResourceId",
        ),
        ({"baseModel": "code-bison"}, "base-model-unversioned", "baseModel"),
        ({"baseModel": "meta/llama3_1"}, "base-model-unversioned", "baseModel"),
    ],
)
def test_errors(fields: Mapping[str, Value], rule: str, path: str) -> None:
    """What the base model cannot do is one error, at the place of the field."""
    model = declared(fields)
    assert [(Severity.ERROR, rule, model.place_of(path))] == found(model)


@pytest.mark.parametrize(
    ("fields", "rule", "path"),
    [
        ({**GEMINI_1_5_PRO, "location": "africa-south1"}, "location-unlisted", "location"),
        ({**GEMINI_2_5, "location": "us-west1"}, "location-unlisted", "location"),
        (
            {**GEMINI_3_5, "hyperParameters.epochCount": 41},
            "epochs-outside-recommendation",
            "hyperParameters.epochCount",
        ),
        (
            {**CODE, "pipelineTuning.trainSteps": 199},
            "train-steps-outside-recommendation",
            "pipelineTuning.trainSteps",
        ),
        (
            {**CHAT, "pipelineTuning.trainSteps": 1001},
            "train-steps-outside-recommendation",
            "pipelineTuning.trainSteps",
        ),
        ({**PREFERENCE, "hyperParameters.beta": 0}, "beta-outside-recommendation", "hyperParameters.beta"),
        ({**PREFERENCE, "hyperParameters.beta": 0.6}, "beta-outside-recommendation", "hyperParameters.beta"),
        ({"baseModel": "gemini-3.6-flash", "hyperParameters.adapterSize": 99}, "base-model-unknown", "baseModel"),
    ],
)
def test_warnings(fields: Mapping[str, Value], rule: str, path: str) -> None:
    """What is only unusual, or not known, is one warning at the place of the field."""
    model = declared(fields)
    assert [(Severity.WARNING, rule, model.place_of(path))] == found(model)


def test_an_adapter_size_error_names_the_list_and_the_default() -> None:
    """Who sees the error knows what to write instead."""
    assert (
        "m: gemini-1.5-pro-002 takes adapterSize 1 or 4 (default 4), not 8; Vertex AI would refuse the job. "
        "Choose one of these, or leave it out."
    ) == only(declared({**GEMINI_1_5_PRO, "hyperParameters.adapterSize": 8})).detail


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"baseModel": "code-bison"}, "Write code-bison@002."),
        ({"baseModel": "gemini-3.6-flash"}, "Did you mean gemini-3.5-flash"),
        ({**GEMINI_3_5, "method": "preference"}, "By preference: gemini-2.5-flash, gemini-2.5-flash-lite."),
        ({**GEMINI_3_5, "location": "us-west1"}, "Choose one of: us-central1, europe-west4."),
        ({**CODE, "hyperParameters.epochCount": 4}, "Use pipelineTuning.trainSteps"),
        ({**OPEN_FULL, "tuningMode": "PEFT_ADAPTER"}, "qwen/qwen3@qwen3-8b is tuned by FULL, not by PEFT_ADAPTER."),
        ({**CODE, "tuningMode": "FULL"}, "code-bison@002 has no tuning modes, not by FULL. Remove tuningMode."),
        (
            {**CODE, "encryptionSpec.kmsKeyName": KEY, "pipelineTuning.modelUploadLocation": "us-west1"},
            "here it is GPU, us-central1 and us-west1",
        ),
        ({**CODE, "pipelineTuning.trainSteps": 5}, "recommended for code generation are 200 to 1000 with 500 examples"),
    ],
)
def test_details_say_what_to_do(fields: Mapping[str, Value], words: str) -> None:
    """A detail names the values that would do."""
    assert words in only(declared(fields)).detail


def test_a_group_of_fields_is_told_once_at_the_first() -> None:
    """Several hyper-parameters of one legacy model are one mistake, told where it begins and with every field."""
    model = declared({**CODE, "hyperParameters.epochCount": 4, "hyperParameters.adapterSize": 4})
    one = only(model)
    assert model.place_of("hyperParameters.epochCount") == one.source
    assert "hyperParameters.adapterSize, hyperParameters.epochCount cannot be set" in one.detail


def test_all_mistakes_are_told_at_once() -> None:
    """Every mistake of every model is told, in the order of the models."""
    first = declared({**GEMINI_3_5, "hyperParameters.adapterSize": 3, "location": "us-west1"}, "first")
    second = declared({**CODE, "pipelineTuning.defaultContext": "x", "outputUri": "gs://b/o"}, "second")
    assert [
        ("first", "location-unsupported"),
        ("first", "adapter-size-unsupported"),
        ("second", "field-not-supported"),
        ("second", "default-context-unsupported"),
    ] == [(one.detail.partition(":")[0], one.rule) for one in check_models([first, second], CATALOGUE, as_of=SEED_DAY)]


def test_rules_that_need_no_base_model_hold_for_an_unknown_one() -> None:
    """Two learning rates, and beta without preference, are wrong for any base model."""
    model = declared(
        {
            "baseModel": "xyz",
            "hyperParameters.learningRate": 0.1,
            "hyperParameters.learningRateMultiplier": 1,
            "hyperParameters.beta": 0.1,
        }
    )
    assert ["learning-rate-twice", "beta-without-preference", "base-model-unknown"] == [
        rule for _, rule, _ in found(model)
    ]


def child(fields: Mapping[str, Value], address: str = "child", parent: str = "m") -> DesiredModel:
    """A model tuned on from the declared model at another address."""
    return declared({"preTunedModel.address": parent, **fields}, address, parent)


def test_a_child_is_checked_against_the_base_model_of_its_ancestors() -> None:
    """Continuous tuning keeps the limits of the base model it began with, through any number of generations."""
    middle = child({}, "middle")
    last = child({"hyperParameters.adapterSize": 3}, "last", parent="middle")
    one = only(declared(GEMINI_2_5), middle, last)
    assert ("adapter-size-unsupported", last.place_of("hyperParameters.adapterSize")) == (one.rule, one.source)


@pytest.mark.parametrize("parent", [GEMINI_1_5_PRO, CODE, OPEN])
def test_models_that_cannot_be_tuned_on(parent: Mapping[str, Value]) -> None:
    """Continuous tuning of a model that lacks it is an error where the parent is named."""
    model = child({"outputUri": "gs://b/o"} if parent is OPEN else {})
    assert [(Severity.ERROR, "continuous-tuning-unsupported", model.place_of("preTunedModel.address"))] == found(
        declared(parent), model
    )


@pytest.mark.parametrize(
    ("parent_fields", "child_fields", "path"),
    [
        ({"encryptionSpec.kmsKeyName": KEY}, {}, "preTunedModel.address"),
        ({}, {"encryptionSpec.kmsKeyName": KEY}, "encryptionSpec.kmsKeyName"),
        ({"encryptionSpec.kmsKeyName": KEY}, {"encryptionSpec.kmsKeyName": KEY + "2"}, "encryptionSpec.kmsKeyName"),
    ],
)
def test_a_child_needs_its_parents_key(
    parent_fields: Mapping[str, Value], child_fields: Mapping[str, Value], path: str
) -> None:
    """Continuous tuning under another encryption key than the parent's is an error."""
    model = child(child_fields)
    assert [(Severity.ERROR, "encryption-key-differs-from-parent", model.place_of(path))] == found(
        declared({**GEMINI_2_5, **parent_fields}), model
    )


@pytest.mark.parametrize(
    "models",
    [
        (declared({"preTunedModel.tunedModelName": "projects/1/locations/us-central1/models/2"}),),
        (child({"hyperParameters.adapterSize": 99}, parent="elsewhere"),),
        (child({}, "a", parent="b"), child({}, "b", parent="a")),
    ],
    ids=["by name", "unknown parent", "circle"],
)
def test_a_model_without_a_known_root_is_passed(models: tuple[DesiredModel, ...]) -> None:
    """Where the base model cannot be told from the manifests, nothing is checked against one."""
    assert [] == found(*models)
    assert None is base_model_of(models[0], {model.address: model for model in models})


def test_an_unknown_base_model_is_told_at_the_root_only() -> None:
    """The children of a model with an unknown base model do not repeat it."""
    root = declared({"baseModel": "gemini-3.6-flash"})
    assert [(Severity.WARNING, "base-model-unknown", root.place_of("baseModel"))] == found(root, child({}))


@pytest.mark.parametrize(
    ("base_model", "as_of", "expected"),
    [
        ("gemini-1.5-pro-002", date(2024, 12, 1), []),
        ("gemini-1.5-pro-002", date(2025, 5, 1), [(Severity.WARNING, "base-model-deprecated")]),
        ("gemini-1.5-pro-002", date(2025, 7, 1), [(Severity.WARNING, "base-model-retiring")]),
        ("gemini-1.5-pro-002", date(2025, 9, 24), [(Severity.WARNING, "base-model-retired")]),
        ("gemini-3.5-flash", TODAY, []),
        ("gemini-3.5-flash", date(2027, 4, 1), [(Severity.INFO, "base-model-retiring")]),
        ("code-bison@002", TODAY, [(Severity.WARNING, "base-model-retired")]),
    ],
)
def test_lifecycles_are_judged_as_of_a_day(base_model: str, as_of: date, expected: list[tuple[Severity, str]]) -> None:
    """The day decides whether a base model is fine, closing, about to go, or gone."""
    model = declared({"baseModel": base_model})
    place = model.place_of("baseModel")
    assert [(severity, rule, place) for severity, rule in expected] == found(model, as_of=as_of)


@pytest.mark.parametrize(
    ("base_model", "as_of", "words"),
    [
        ("gemini-1.5-pro-002", date(2025, 9, 23), "retires on 2025-09-24, in 1 day;"),
        ("gemini-3.5-flash", date(2027, 5, 9), "retires on 2027-05-19 at the earliest, in 10 days;"),
        ("gemini-3.5-flash", date(2027, 6, 1), "retires any day since 2027-05-19;"),
        ("gemini-1.5-pro-002", TODAY, "was retired on 2025-09-24, and as of 2026-11-20"),
        ("code-bison@002", TODAY, "was retired on 2025-04-21 (date inferred), and as of 2026-11-20"),
        ("gemini-1.5-pro-002", date(2025, 5, 1), "since 2025-04-29, gemini-1.5-pro-002 takes jobs only of projects"),
    ],
)
def test_lifecycle_details(base_model: str, as_of: date, words: str) -> None:
    """The date, the days left and how sure the date is are told."""
    assert words in only(declared({"baseModel": base_model}), as_of=as_of).detail


def test_the_caller_decides_how_bad_a_retired_model_is() -> None:
    """On a create the planner makes a retired base model an error; the rest of the message stays the same."""
    model, base = declared(CODE), CATALOGUE.find("code-bison@002")
    assert base is not None
    (checked,) = check_models([model], CATALOGUE, as_of=TODAY, retired_severity=Severity.ERROR)
    assert retired_diagnostic(model, base, TODAY, Severity.ERROR) == checked


def test_a_child_of_a_retired_model_is_told_at_its_parents_name() -> None:
    """A child has no baseModel of its own to point at."""
    model = child({})
    assert (Severity.WARNING, "base-model-retired", model.place_of("preTunedModel.address")) in found(
        declared(GEMINI_2_5), model, as_of=TODAY
    )
