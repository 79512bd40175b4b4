"""What the catalogue says about a base model, a list of regions, a quota and a task. Pure: rows in, values out.

None always means that the fact is unknown: nothing may be checked against it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import cast

from reconciler.catalogue.rows import Row
from reconciler.model.fields import Fields, Value


class Family(StrEnum):
    """The kinds of base models, as far as they are tuned in different ways."""

    GEMINI = "gemini"
    LEGACY = "legacy"
    OPEN = "open"
    TRANSLATION = "translation"


class Certainty(StrEnum):
    """How a fact came to be known, the surest first."""

    DOCUMENTED = "documented"
    OBSERVED = "observed"
    REPORTED = "reported"
    INFERRED = "inferred"
    MEMORY = "memory"


class QuotaLane(StrEnum):
    """Which quota a running job of the model takes from: one of the project's two, or accelerators of a region."""

    GLOBAL = "global"
    OPEN = "open"
    ACCELERATOR = "accelerator"


@dataclass(frozen=True, slots=True)
class Evidence:
    """Where a fact comes from (a URL or a document's name), when somebody last looked, and how sure it is."""

    source: str
    checked: date
    certainty: Certainty


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What datasets may hold. `messages_max` counts the author fields of all examples of a chat model.

    `validation_fraction_max` is a share of the training examples, `validation_bytes_fraction_max` of their bytes.
    """

    tokens_per_example: int | None = None
    training_examples_min: int | None = None
    training_examples_max: int | None = None
    multimodal_examples_max: int | None = None
    training_file_bytes: int | None = None
    validation_examples_min: int | None = None
    validation_examples_max: int | None = None
    validation_fraction_max: float | None = None
    validation_bytes_fraction_max: float | None = None
    messages_max: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Supports:
    """What else the model can do; None where nobody says so.

    `evaluation` is evaluationConfig, for a legacy model the evaluation parameters of its pipeline. `cmek` of a legacy
    model holds on GPU in us-central1 only.
    """

    continuous: bool | None = None
    checkpoints: bool | None = None
    evaluation: bool | None = None
    cmek: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LegacyTuning:
    """How a legacy model is tuned by a pipeline. `batch_sizes`, in examples a step, by accelerator: GPU and TPU."""

    template_uri: str
    is_chat: bool
    batch_sizes: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Regions:
    """Where jobs may be created. If not `is_complete`, others may work too; `refused` are known to fail."""

    name: str
    locations: tuple[str, ...]
    is_complete: bool
    refused: tuple[str, ...]
    evidence: Evidence
    notes: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """What a running job takes from a quota; `location` None means that all regions share one figure."""

    name: str
    display_name: str
    units_per_job: int
    default_limit: int
    evidence: Evidence
    metric: str | None = None
    location: str | None = None
    notes: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A recommendation: at least so many examples, and (from, to) epochs or steps.

    `models` None means all models of the family.
    """

    name: str
    family: Family
    examples_min: int
    evidence: Evidence
    models: tuple[str, ...] | None = None
    epochs: tuple[int, ...] | None = None
    train_steps: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseModel:
    """One base model.

    `defaults` are documented values the service fills in, by the paths of a manifest. `prices` are USD per million
    training tokens by method (dataset tokens x epochs; for preference the prompt's tokens count twice).
    `retires_not_before` means that `retires_on` is the earliest day, not the day. `outputs` maps a job's location to
    that of its model where the two differ. `recommended_*` are starting points, not what the service fills in.
    `observed_minutes` are durations of single jobs that somebody saw.
    """

    id: str
    family: Family
    methods: tuple[str, ...]
    regions: Regions
    quota_lane: QuotaLane
    api_version: str
    evidence: Evidence
    tuning_modes: tuple[str, ...] | None = None
    adapter_sizes: tuple[int, ...] | None = None
    defaults: Fields = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    supports: Supports = field(default_factory=Supports)
    legacy: LegacyTuning | None = None
    outputs: Mapping[str, str | None] = field(default_factory=dict)
    prices: Mapping[str, float] = field(default_factory=dict)
    price_evidence: Evidence | None = None
    released_on: date | None = None
    no_new_projects_from: date | None = None
    retires_on: date | None = None
    retires_not_before: bool = False
    lifecycle_evidence: Evidence | None = None
    recommended_epochs: int | None = None
    recommended_adapter_size: int | None = None
    observed_minutes: tuple[float, ...] = ()
    notes: str | None = None

    @property
    def default_adapter_size(self) -> int | None:
        """The adapter size the service takes when none is set; None where that is not documented."""
        value = self.defaults.get("hyperParameters.adapterSize")
        return value if isinstance(value, int) else None

    def output_location(self, job_location: str) -> str | None:
        """Where the tuned model and its endpoint appear; None where the service chooses."""
        return self.outputs.get(job_location, job_location)


_EVIDENCE_KEYS = ("source", "checked", "certainty")
_MODEL_KEYS = (
    "id",
    "family",
    "methods",
    "regions",
    "quotaLane",
    "apiVersion",
    *_EVIDENCE_KEYS,
    "tuningModes",
    "adapterSizes",
    "defaults",
    "limits",
    "supports",
    "legacy",
    "outputs",
    "prices",
    "priceEvidence",
    "releasedOn",
    "noNewProjectsFrom",
    "retiresOn",
    "retiresNotBefore",
    "lifecycleEvidence",
    "recommendedEpochs",
    "recommendedAdapterSize",
    "observedMinutes",
    "notes",
)


def read_model(row: Row, regions: Mapping[str, Regions]) -> BaseModel:
    """One row as a base model; raises CatalogueError where the row is not what it must be."""
    row.only(*_MODEL_KEYS)
    region_name = row.need("regions", str)
    if region_name not in regions:
        raise row.error(f"regions is {region_name!r}; known lists are {', '.join(sorted(regions))}")
    family = row.choice("family", Family)
    if (family is Family.LEGACY) != bool(row.part("legacy").values):
        raise row.error("a legacy model, and no other, must have legacy")
    prices, retires_on = row.table("prices", float), row.maybe("retiresOn", date)
    return BaseModel(
        id=row.need("id", str),
        family=family,
        methods=row.many("methods", str) or (),
        regions=regions[region_name],
        quota_lane=row.choice("quotaLane", QuotaLane),
        api_version=row.need("apiVersion", str),
        evidence=_read_evidence(row),
        tuning_modes=row.many("tuningModes", str),
        adapter_sizes=row.many("adapterSizes", int),
        defaults=cast("dict[str, Value]", row.part("defaults").values),
        limits=_read_limits(row.part("limits")),
        supports=_read_supports(row.part("supports")),
        legacy=_read_legacy(row.part("legacy")) if family is Family.LEGACY else None,
        outputs=_read_outputs(row.part("outputs")),
        prices=prices,
        # Shared evidence may stand on a row without the fact, so it is kept only where there is something to prove.
        price_evidence=_read_evidence(row.part("priceEvidence")) if prices else None,
        released_on=row.maybe("releasedOn", date),
        no_new_projects_from=row.maybe("noNewProjectsFrom", date),
        retires_on=retires_on,
        retires_not_before=row.maybe("retiresNotBefore", bool) or False,
        lifecycle_evidence=_read_evidence(row.part("lifecycleEvidence")) if retires_on else None,
        recommended_epochs=row.maybe("recommendedEpochs", int),
        recommended_adapter_size=row.maybe("recommendedAdapterSize", int),
        observed_minutes=row.many("observedMinutes", float) or (),
        notes=row.maybe("notes", str),
    )


def read_regions(row: Row) -> Regions:
    """One row as a named list of regions; raises CatalogueError."""
    row.only("name", "locations", "complete", "refused", *_EVIDENCE_KEYS, "notes")
    return Regions(
        name=row.need("name", str),
        locations=row.many("locations", str) or (),
        is_complete=row.need("complete", bool),
        refused=row.many("refused", str) or (),
        evidence=_read_evidence(row),
        notes=row.maybe("notes", str),
    )


def read_quota(row: Row) -> Quota:
    """One row as a quota; raises CatalogueError."""
    row.only("name", "displayName", "metric", "location", "unitsPerJob", "defaultLimit", *_EVIDENCE_KEYS, "notes")
    return Quota(
        name=row.need("name", str),
        display_name=row.need("displayName", str),
        metric=row.maybe("metric", str),
        location=row.maybe("location", str),
        units_per_job=row.need("unitsPerJob", int),
        default_limit=row.need("defaultLimit", int),
        evidence=_read_evidence(row),
        notes=row.maybe("notes", str),
    )


def read_task(row: Row) -> Task:
    """One row as a task's recommendation; raises CatalogueError."""
    row.only("name", "family", "models", "examplesMin", "epochs", "trainSteps", *_EVIDENCE_KEYS)
    return Task(
        name=row.need("name", str),
        family=row.choice("family", Family),
        models=row.many("models", str),
        examples_min=row.need("examplesMin", int),
        epochs=_read_range(row, "epochs"),
        train_steps=_read_range(row, "trainSteps"),
        evidence=_read_evidence(row),
    )


def _read_range(row: Row, key: str) -> tuple[int, ...] | None:
    values = row.many(key, int)
    if values is not None and (len(values) != 2 or values[0] > values[1]):
        raise row.error(f"{key} must be two numbers, the smaller first")
    return values


def _read_evidence(row: Row) -> Evidence:
    return Evidence(row.need("source", str), row.need("checked", date), row.choice("certainty", Certainty))


def _read_limits(row: Row) -> Limits:
    row.only(
        "tokensPerExample",
        "trainingExamplesMin",
        "trainingExamplesMax",
        "multimodalExamplesMax",
        "trainingFileBytes",
        "validationExamplesMin",
        "validationExamplesMax",
        "validationFractionMax",
        "validationBytesFractionMax",
        "messagesMax",
    )
    return Limits(
        tokens_per_example=row.maybe("tokensPerExample", int),
        training_examples_min=row.maybe("trainingExamplesMin", int),
        training_examples_max=row.maybe("trainingExamplesMax", int),
        multimodal_examples_max=row.maybe("multimodalExamplesMax", int),
        training_file_bytes=row.maybe("trainingFileBytes", int),
        validation_examples_min=row.maybe("validationExamplesMin", int),
        validation_examples_max=row.maybe("validationExamplesMax", int),
        validation_fraction_max=row.maybe("validationFractionMax", float),
        validation_bytes_fraction_max=row.maybe("validationBytesFractionMax", float),
        messages_max=row.maybe("messagesMax", int),
    )


def _read_supports(row: Row) -> Supports:
    row.only("continuous", "checkpoints", "evaluation", "cmek")
    return Supports(
        continuous=row.maybe("continuous", bool),
        checkpoints=row.maybe("checkpoints", bool),
        evaluation=row.maybe("evaluation", bool),
        cmek=row.maybe("cmek", bool),
    )


def _read_legacy(row: Row) -> LegacyTuning:
    row.only("templateUri", "chat", "batchSizes")
    return LegacyTuning(
        template_uri=row.need("templateUri", str),
        is_chat=row.need("chat", bool),
        batch_sizes=row.table("batchSizes", int),
    )


def _read_outputs(row: Row) -> dict[str, str | None]:
    # A null here is a fact: the service chooses the location.
    return {name: row.maybe(name, str) for name in row.values}
