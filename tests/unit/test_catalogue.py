"""The catalogue's data, and the questions it answers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path

import pytest
import yaml

from reconciler.catalogue import catalogue as catalogue_module
from reconciler.catalogue.catalogue import (
    Catalogue,
    LifecycleStage,
    lifecycle_of,
    load_catalogue,
    steps_to_epochs,
)
from reconciler.catalogue.entries import BaseModel, Certainty, Evidence, Family, QuotaLane
from reconciler.catalogue.rows import CatalogueError
from reconciler.model.fields import effect_of, short_base_model

DATA = Path(catalogue_module.__file__).parent / "data"
CATALOGUE = load_catalogue()
LEGACY_REGIONS = (
    "us-central1",
    "europe-west4",
    "asia-southeast1",
    "us-west1",
    "europe-west3",
    "europe-west2",
    "asia-northeast1",
    "us-east4",
    "us-west4",
    "northamerica-northeast1",
    "europe-west9",
    "europe-west1",
    "asia-northeast3",
)


def known(base_model: str) -> BaseModel:
    """A base model that must be in the catalogue."""
    model = CATALOGUE.find(base_model)
    assert model is not None, base_model
    return model


@pytest.mark.parametrize(
    ("base_model", "sizes", "default"),
    [
        ("gemini-1.0-pro-002", None, None),
        ("gemini-1.5-pro-002", (1, 4), 4),
        ("gemini-1.5-flash-002", (1, 4, 8, 16), 8),
        ("gemini-2.0-flash-001", (1, 2, 4, 8), None),
        ("gemini-2.5-pro", (1, 2, 4, 8), None),
        ("gemini-2.5-flash", (1, 2, 4, 8, 16), None),
        ("gemini-3.5-flash", (1, 2, 4, 8, 16), None),
        ("translation-llm-002", (4,), None),
    ],
)
def test_adapter_sizes(base_model: str, sizes: tuple[int, ...] | None, default: int | None) -> None:
    """Each base model takes the adapter sizes of its page, and has a default only where the page tells one."""
    model = known(base_model)
    assert (sizes, default) == (model.adapter_sizes, model.default_adapter_size)


@pytest.mark.parametrize("base_model", ["gemini-1.0-pro-002", "gemini-1.5-pro-002", "gemini-1.5-flash-002"])
def test_the_first_gemini_models_share_their_dataset_limits(base_model: str) -> None:
    """The first Gemini models take 32,000 tokens an example, 256 validation examples and a file of 1 GB."""
    limits = known(base_model).limits
    assert (32_000, 256, 2**30) == (
        limits.tokens_per_example,
        limits.validation_examples_max,
        limits.training_file_bytes,
    )


@pytest.mark.parametrize("base_model", ["gemini-2.5-flash", "gemini-3.1-flash-lite", "gemini-3.5-flash"])
def test_todays_gemini_models_share_their_dataset_limits(base_model: str) -> None:
    """Today's Gemini models take 131,072 tokens an example, 10M or 300K examples, and 5000 or 30 % for validation."""
    limits = known(base_model).limits
    assert (131_072, 10_000_000, 300_000, 5000, 0.3) == (
        limits.tokens_per_example,
        limits.training_examples_max,
        limits.multimodal_examples_max,
        limits.validation_examples_max,
        limits.validation_fraction_max,
    )


@pytest.mark.parametrize(
    ("base_model", "gpu", "tpu"),
    [
        (f"{name}{size}@002", 8, tpu)
        for name in ("code-bison", "codechat-bison", "text-bison", "chat-bison")
        for size, tpu in (("", 24), ("-32k", 8))
    ],
)
def test_legacy_batch_sizes(base_model: str, gpu: int, tpu: int) -> None:
    """A step takes 8 examples on GPU; on TPU 24, but 8 for the models of 32k."""
    legacy = known(base_model).legacy
    assert legacy is not None
    assert {"GPU": gpu, "TPU": tpu} == legacy.batch_sizes


@pytest.mark.parametrize("base_model", ["code-bison@002", "codechat-bison@002", "text-bison@002", "chat-bison-32k@002"])
def test_legacy_models_run_in_thirteen_regions(base_model: str) -> None:
    """A legacy model's pipeline may run in the thirteen regions of the page, and no others."""
    regions = known(base_model).regions
    assert (13, LEGACY_REGIONS, True) == (len(regions.locations), regions.locations, regions.is_complete)


@pytest.mark.parametrize(
    ("base_model", "template", "is_chat"),
    [
        ("code-bison@002", "tune-large-model/v3.0.0", False),
        ("code-bison-32k@002", "tune-large-model/v3.0.0", False),
        ("codechat-bison@002", "tune-large-chat-model/v3.0.0", True),
        ("text-bison-32k@002", "tune-large-model/v2.0.0", False),
        ("chat-bison@002", "tune-large-chat-model/v3.0.0", True),
    ],
)
def test_legacy_templates(base_model: str, template: str, is_chat: bool) -> None:
    """Chat models have a pipeline template of their own."""
    legacy = known(base_model).legacy
    assert legacy is not None
    prefix = "https://us-kfp.pkg.dev/ml-pipeline/large-language-model-pipelines/"
    assert (prefix + template, is_chat) == (legacy.template_uri, legacy.is_chat)


def test_limits_of_code_models() -> None:
    """A code model takes 10 to 10,000 examples and 10 to 250 for evaluation; a chat model counts authors instead."""
    code, chat = known("code-bison@002").limits, known("codechat-bison@002").limits
    assert (10, 10_000, 10, 250) == (
        code.training_examples_min,
        code.training_examples_max,
        code.validation_examples_min,
        code.validation_examples_max,
    )
    assert (10, 10_000, None) == (chat.training_examples_min, chat.messages_max, chat.validation_examples_max)


@pytest.mark.parametrize(
    ("name", "display_name", "location", "units", "limit"),
    [
        ("global", "Global concurrent tuning jobs", None, 1, 1),
        ("open", "Global concurrent managed OSS model fine-tuning jobs per project", None, 1, 1),
        ("GPU", "Restricted image training Nvidia A100 80GB GPUs per region", "us-central1", 8, 8),
        ("TPU", "Restricted image training TPU V3 pod cores per region", "europe-west4", 64, 64),
    ],
)
def test_quotas(name: str, display_name: str, location: str | None, units: int, limit: int) -> None:
    """A job takes one of the project's slots, or the accelerators of one region."""
    quota = CATALOGUE.quotas[name]
    assert (display_name, location, units, limit) == (
        quota.display_name,
        quota.location,
        quota.units_per_job,
        quota.default_limit,
    )


@pytest.mark.parametrize(
    ("base_model", "lane"),
    [
        ("gemini-3.5-flash", QuotaLane.GLOBAL),
        ("translation-llm-002", QuotaLane.GLOBAL),
        ("qwen/qwen3@qwen3-32b", QuotaLane.OPEN),
        ("code-bison@002", QuotaLane.ACCELERATOR),
    ],
)
def test_quota_lanes(base_model: str, lane: QuotaLane) -> None:
    """Open models and legacy models have quotas of their own; all others share the global one."""
    assert lane is known(base_model).quota_lane


@pytest.mark.parametrize(
    ("base_model", "task", "examples", "epochs", "steps"),
    [
        ("gemini-1.0-pro-002", "classification", 500, (2, 4), None),
        ("gemini-1.0-pro-002", "summarization", 1000, (2, 4), None),
        ("gemini-1.0-pro-002", "extractive question answering", 500, (2, 4), None),
        ("gemini-1.0-pro-002", "chat", 1000, (2, 4), None),
        ("code-bison@002", "code generation", 500, None, (200, 1000)),
        ("codechat-bison@002", "code chat", 500, None, (200, 1000)),
    ],
)
def test_recommendations(
    base_model: str, task: str, examples: int, epochs: tuple[int, int] | None, steps: tuple[int, int] | None
) -> None:
    """Examples and epochs, for code models steps, are recommended by task."""
    found = {one.name: one for one in CATALOGUE.tasks_of(known(base_model))}[task]
    assert (examples, epochs, steps) == (found.examples_min, found.epochs, found.train_steps)


def test_a_model_without_a_task_has_no_recommendations() -> None:
    """text-bison is a legacy model, but no code model."""
    assert () == CATALOGUE.tasks_of(known("text-bison@002"))


@pytest.mark.parametrize(
    ("base_model", "expected"),
    [
        ("gemini-1.5-pro-002", {"hyperParameters.adapterSize": 4, "hyperParameters.learningRateMultiplier": 1}),
        ("gemini-1.5-flash-002", {"hyperParameters.adapterSize": 8, "hyperParameters.learningRateMultiplier": 1}),
        (
            "publishers/google/models/gemini-3.5-flash",
            {"hyperParameters.learningRateMultiplier": 1, "exportLastCheckpointOnly": False},
        ),
        (
            "code-bison@002",
            {
                "pipelineTuning.trainSteps": 300,
                "pipelineTuning.learningRateMultiplier": 1,
                "pipelineTuning.acceleratorType": "GPU",
                "pipelineTuning.evaluationInterval": 20,
                "pipelineTuning.enableEarlyStopping": True,
            },
        ),
        (
            "codechat-bison@002",
            {
                "pipelineTuning.trainSteps": 300,
                "pipelineTuning.learningRateMultiplier": 1,
                "pipelineTuning.acceleratorType": "GPU",
            },
        ),
        ("gemini-9-ultra", {}),
    ],
)
def test_default_fields(base_model: str, expected: Mapping[str, object]) -> None:
    """What the service fills in is told only where it is a documented constant."""
    assert expected == CATALOGUE.default_fields(base_model)


def test_default_fields_are_fields_of_a_manifest() -> None:
    """Every default stands under the path that a manifest would set."""
    for model in CATALOGUE.models:
        for path in model.defaults:
            effect_of(path)


@pytest.mark.parametrize(
    ("base_model", "job_location", "expected"),
    [
        ("gemini-3.5-flash", "us-central1", "us"),
        ("gemini-3.1-flash-lite", "europe-west4", "eu"),
        ("gemini-2.5-flash", "europe-west4", "europe-west4"),
        ("qwen/qwen3@qwen3-32b", "us-west1", "us-west1"),
        ("qwen/qwen3@qwen3-32b", "global", None),
    ],
)
def test_output_location(base_model: str, job_location: str, expected: str | None) -> None:
    """Gemini 3 makes its models in a multi-region, a global job where the service likes, all others where they run."""
    assert expected == known(base_model).output_location(job_location)


@pytest.mark.parametrize(
    ("base_model", "price", "certainty"),
    [
        ("gemini-1.0-pro-002", 0.0, Certainty.DOCUMENTED),
        ("gemini-1.5-pro-002", 80.0, Certainty.MEMORY),
        ("gemini-1.5-flash-002", 8.0, Certainty.MEMORY),
        ("gemini-2.0-flash-lite-001", 1.0, Certainty.MEMORY),
        ("gemini-2.5-pro", 25.0, Certainty.REPORTED),
        ("gemini-3.5-flash", 10.0, Certainty.REPORTED),
        ("google/gemma4@gemma-4-31b-it", 9.06, Certainty.DOCUMENTED),
    ],
)
def test_prices(base_model: str, price: float, certainty: Certainty) -> None:
    """A price says how sure it is; one from memory is marked as such."""
    model = known(base_model)
    assert model.price_evidence is not None
    assert (price, certainty) == (model.prices["supervised"], model.price_evidence.certainty)


@pytest.mark.parametrize(
    "base_model", ["gemini-3.5-flash-lite", "translation-llm-002", "qwen/qwen3-5@qwen3.5-9b", "code-bison@002"]
)
def test_unknown_prices_stay_unknown(base_model: str) -> None:
    """Where no price is known there is none, and nothing that would prove one."""
    model = known(base_model)
    assert ({}, None) == (model.prices, model.price_evidence)


def every_evidence() -> dict[str, Evidence]:
    """The evidence of every row, by what it proves."""
    found: dict[str, Evidence] = {}
    for model in CATALOGUE.models:
        found[model.id] = model.evidence
        found[f"regions {model.regions.name}"] = model.regions.evidence
        if model.price_evidence is not None:
            found[f"price of {model.id}"] = model.price_evidence
        if model.lifecycle_evidence is not None:
            found[f"lifecycle of {model.id}"] = model.lifecycle_evidence
    found |= {f"quota {name}": quota.evidence for name, quota in CATALOGUE.quotas.items()}
    return found | {f"task {task.name}": task.evidence for task in CATALOGUE.tasks}


@pytest.mark.parametrize("evidence", every_evidence().values(), ids=every_evidence().keys())
def test_every_row_has_a_source(evidence: Evidence) -> None:
    """Every fact names a document or page, and a day on which somebody looked."""
    assert len(evidence.source) > 10
    assert date(2026, 1, 1) < evidence.checked <= date(2026, 11, 20)


def test_no_row_stands_twice() -> None:
    """The packaged files name each base model once, so that none silently overrides another."""
    documents = [one for path in DATA.glob("*.yaml") for one in yaml.safe_load_all(path.read_text(encoding="utf-8"))]
    ids = sorted(row["id"] for document in documents for row in document.get("models", ()))
    assert [model.id for model in CATALOGUE.models] == ids


@pytest.mark.parametrize("model", CATALOGUE.models, ids=lambda model: model.id)
def test_rows_hold_together(model: BaseModel) -> None:
    """Ids are short, defaults are offered sizes, prices belong to methods, and outputs to job locations."""
    assert short_base_model(model.id) == model.id
    assert model.default_adapter_size is None or model.default_adapter_size in (model.adapter_sizes or ())
    assert set(model.prices) <= set(model.methods) <= {"supervised", "preference"}
    assert set(model.outputs) <= set(model.regions.locations)
    assert set(model.tuning_modes or ()) <= {"FULL", "PEFT_ADAPTER"}
    assert ("v1beta1" if model.family is Family.OPEN else "v1") == model.api_version


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("gemini-1.5-pro-002", "gemini-1.5-pro-002"),
        ("publishers/google/models/gemini-1.5-pro-002", "gemini-1.5-pro-002"),
        ("publishers/google/models/code-bison@002", "code-bison@002"),
        ("meta/llama3_1@llama-3.1-8b", "meta/llama3_1@llama-3.1-8b"),
        ("publishers/meta/models/llama3_1@llama-3.1-8b", "meta/llama3_1@llama-3.1-8b"),
        ("publishers/google/models/gemma3@gemma-3-1b-it", "google/gemma3@gemma-3-1b-it"),
        ("gemma3@gemma-3-1b-it", "google/gemma3@gemma-3-1b-it"),
        ("code-bison", None),
        ("gemini-3.6-flash", None),
        ("", None),
    ],
)
def test_find(name: str, expected: str | None) -> None:
    """A base model is found by its short id and by its long name, and by nothing that only looks like it."""
    found = CATALOGUE.find(name)
    assert expected == (None if found is None else found.id)


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("gemini-1.5-pro-02", "gemini-1.5-pro-002"),
        ("gemini-2.0-flash", "gemini-2.0-flash-001"),
        ("code-bison", "code-bison@002"),
        ("publishers/google/models/codechat-bison", "codechat-bison@002"),
        ("google/gemma-3-4b-it", "google/gemma3@gemma-3-4b-it"),
        ("Qwen/Qwen3-8B", "qwen/qwen3@qwen3-8b"),
        ("meta/llama3-3", "meta/llama3-3@llama-3.3-70b-instruct"),
    ],
)
def test_suggest(name: str, first: str) -> None:
    """A name that is nearly right brings the right one to mind first."""
    assert first == CATALOGUE.suggest(name)[0]


def test_suggest_nothing() -> None:
    """A name that looks like no base model brings none to mind."""
    assert () == CATALOGUE.suggest("xyz")


def test_locations() -> None:
    """Observing a global quota takes every location where some model can be tuned, each once, sorted."""
    locations = CATALOGUE.locations
    assert sorted(set(locations)) == list(locations)
    assert {"global", "us-central1", "europe-west4", "me-west1", "asia-southeast2", *LEGACY_REGIONS} <= set(locations)


@pytest.mark.parametrize(
    ("base_model", "as_of", "expected"),
    [
        ("gemini-1.0-pro-002", date(2025, 1, 20), LifecycleStage.AVAILABLE),
        ("gemini-1.0-pro-002", date(2025, 1, 21), LifecycleStage.RETIRING),
        ("gemini-1.0-pro-002", date(2025, 4, 20), LifecycleStage.RETIRING),
        ("gemini-1.0-pro-002", date(2025, 4, 21), LifecycleStage.RETIRED),
        ("gemini-1.5-pro-002", date(2025, 4, 28), LifecycleStage.AVAILABLE),
        ("gemini-1.5-pro-002", date(2025, 4, 29), LifecycleStage.DEPRECATED),
        ("gemini-1.5-pro-002", date(2025, 6, 26), LifecycleStage.RETIRING),
        ("gemini-1.5-flash-002", date(2025, 9, 24), LifecycleStage.RETIRED),
        ("gemini-2.0-flash-001", date(2026, 6, 1), LifecycleStage.RETIRED),
        ("gemini-2.5-flash", date(2026, 10, 19), LifecycleStage.RETIRING),
        ("gemini-2.5-flash", date(2026, 10, 20), LifecycleStage.RETIRED),
        ("gemini-3.5-flash", date(2026, 11, 20), LifecycleStage.AVAILABLE),
        ("gemini-3.5-flash", date(2027, 3, 1), LifecycleStage.RETIRING),
        ("gemini-3.5-flash", date(2030, 1, 1), LifecycleStage.RETIRING),
        ("code-bison@002", date(2024, 6, 1), LifecycleStage.AVAILABLE),
        ("code-bison@002", date(2026, 11, 20), LifecycleStage.RETIRED),
        ("qwen/qwen3@qwen3-32b", date(2030, 1, 1), LifecycleStage.AVAILABLE),
    ],
)
def test_lifecycle(base_model: str, as_of: date, expected: LifecycleStage) -> None:
    """A model is judged by its dates on the day asked for; an earliest date never makes it retired."""
    assert expected is lifecycle_of(known(base_model), as_of)


def test_the_retirement_of_code_models_is_inferred() -> None:
    """Google's table lists text-bison, not code-bison, and the catalogue says which of the two dates is a guess."""
    evidence = {name: known(name).lifecycle_evidence for name in ("text-bison@002", "code-bison@002")}
    assert {"text-bison@002": Certainty.DOCUMENTED, "code-bison@002": Certainty.INFERRED} == {
        name: one and one.certainty for name, one in evidence.items()
    }


@pytest.mark.parametrize(
    ("base_model", "accelerator", "steps", "examples", "expected"),
    [
        ("text-bison@002", "TPU", 20, 240, 2.0),
        ("text-bison@002", "GPU", 15, 240, 0.5),
        ("code-bison-32k@002", "TPU", 300, 2400, 1.0),
    ],
)
def test_steps_to_epochs(base_model: str, accelerator: str, steps: int, examples: int, expected: float) -> None:
    """Steps times batch size, over the examples: the arithmetic of Google's page with its own examples."""
    assert expected == steps_to_epochs(known(base_model), accelerator, steps, examples)


@pytest.mark.parametrize(
    ("base_model", "accelerator", "examples", "message"),
    [
        ("gemini-3.5-flash", "GPU", 240, "gemini-3.5-flash has no batch size on GPU"),
        ("code-bison@002", "CPU", 240, "code-bison@002 has no batch size on CPU"),
        ("code-bison@002", "GPU", 0, "a dataset of 0 examples has no epochs"),
    ],
)
def test_steps_without_epochs(base_model: str, accelerator: str, examples: int, message: str) -> None:
    """Where there is no batch size, or nothing to count, there are no epochs."""
    with pytest.raises(ValueError, match=message):
        steps_to_epochs(known(base_model), accelerator, 20, examples)


def with_extra(text: str) -> Catalogue:
    """The packaged catalogue and one text of a user."""
    return load_catalogue([text])


def test_an_extra_text_overrides_single_keys() -> None:
    """A user's row changes the keys it names, and leaves the others as packaged."""
    changed = with_extra("models: [{id: gemini-3.5-flash, adapterSizes: [1, 32]}]").find("gemini-3.5-flash")
    assert changed is not None
    assert ((1, 32), known("gemini-3.5-flash").limits) == (changed.adapter_sizes, changed.limits)


def test_an_extra_text_adds_a_model() -> None:
    """A user's row with a new id is one more base model."""
    text = """
regions:
  - {name: lab, locations: [mars-north1], complete: true, source: notes, checked: 2026-11-01, certainty: reported}
models:
  - {id: gemini-9-ultra, family: gemini, methods: [supervised], regions: lab, quotaLane: global, apiVersion: v1,
     source: our notes, checked: 2026-11-01, certainty: reported}
"""
    extended = with_extra(text)
    model = extended.find("gemini-9-ultra")
    assert model is not None
    assert ("mars-north1",) == model.regions.locations
    assert "mars-north1" in extended.locations
    assert None is model.adapter_sizes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("models: [{family: gemini}]", "extra catalogue 1: id is missing."),
        (
            "models: [{id: gemini-3.5-flash, adapterSize: [1]}]",
            "gemini-3.5-flash: unknown key adapterSize; did you mean",
        ),
        (
            "models: [{id: gemini-3.5-flash, adapterSizes: 4}]",
            "gemini-3.5-flash: adapterSizes must be of type list, not 4.",
        ),
        ("models: [{id: gemini-3.5-flash, adapterSizes: [true]}]", "adapterSizes must be of type int, not True."),
        ("models: [{id: gemini-3.5-flash, regions: moon}]", "regions is 'moon'; known lists are gemini-1-2,"),
        ("models: [{id: gemini-3.5-flash, family: palm}]", "family is 'palm'; it must be one of gemini, legacy, open,"),
        ("models: [{id: gemini-3.5-flash, family: legacy}]", "a legacy model, and no other, must have legacy."),
        ("models: [{id: gemini-3.5-flash, retiresOn: soon}]", "retiresOn must be of type date, not 'soon'."),
        ("models: [{id: gemini-3.5-flash, limits: {tokens: 4}}]", "gemini-3.5-flash, limits: unknown key tokens;"),
        ("models: [{id: gemini-3.5-flash, limits: {1: 4}}]", "limits must have texts as keys."),
        ("models: [{id: x}]", "extra catalogue 1: x: regions is missing."),
        ("tasks: [{name: chat, epochs: [4, 2]}]", "chat: epochs must be two numbers, the smaller first."),
        ("modells: []", "extra catalogue 1: unknown key modells; did you mean models?"),
        ("- a list", "extra catalogue 1: every document must be a mapping."),
        ("models: [", "extra catalogue 1: while parsing"),
    ],
)
def test_a_bad_row_is_named(text: str, message: str) -> None:
    """What is wrong with a catalogue is told with the file, the row and the key."""
    with pytest.raises(CatalogueError) as caught:
        with_extra(text)
    assert message in caught.value.detail
