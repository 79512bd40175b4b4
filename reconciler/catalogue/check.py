"""What the catalogue has to say about declared models. Pure: models, catalogue and a day in, diagnostics out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date

from reconciler.catalogue.catalogue import Catalogue, LifecycleStage, lifecycle_of
from reconciler.catalogue.entries import BaseModel, Certainty
from reconciler.catalogue.rules import RULES, RULES_WITHOUT_BASE
from reconciler.catalogue.subject import Subject, doubt, misfit
from reconciler.errors import Diagnostic, Severity
from reconciler.model.desired import DesiredModel

_CATALOGUE_COMMAND = "tuneform catalogue"


def check_models(
    models: Iterable[DesiredModel],
    catalogue: Catalogue,
    *,
    as_of: date,
    retired_severity: Severity = Severity.WARNING,
) -> tuple[Diagnostic, ...]:
    """Everything that does not fit the models' base models, in the order of the models.

    A base model that is not in the catalogue is a warning: it passes, unchecked. Lifecycles are judged as of the day.
    """
    by_address = {model.address: model for model in models}
    return tuple(
        one
        for model in by_address.values()
        for one in _check_model(model, by_address, catalogue, as_of, retired_severity)
    )


def base_model_of(model: DesiredModel, by_address: Mapping[str, DesiredModel]) -> str | None:
    """The base model at the root of a chain of parents; None where the chain leaves the declared models."""
    seen: set[str] = set()
    current: DesiredModel | None = model
    # Parents that run in a circle are told elsewhere; here they only must not hang us.
    while current is not None and current.address not in seen:
        if current.base_model is not None:
            return current.base_model
        seen.add(current.address)
        current = None if current.parent is None else by_address.get(current.parent)
    return None


def retired_diagnostic(model: DesiredModel, base: BaseModel, as_of: date, severity: Severity) -> Diagnostic:
    """That the base model is retired and takes no new tuning jobs; the planner asks for an error on a create."""
    return Diagnostic(
        severity=severity,
        rule="base-model-retired",
        summary="The base model is retired",
        detail=(
            f"{model.address}: {base.id} was retired on {base.retires_on}{_doubt_about_dates(base)}, and as of {as_of} "
            "Vertex AI takes no new tuning jobs for it. Choose a base model that is available."
        ),
        source=model.place_of(_base_path(model)),
        command=_CATALOGUE_COMMAND,
    )


def _check_model(
    model: DesiredModel,
    by_address: Mapping[str, DesiredModel],
    catalogue: Catalogue,
    as_of: date,
    retired_severity: Severity,
) -> Iterator[Diagnostic]:
    for rule in RULES_WITHOUT_BASE:
        yield from rule(model)
    name = base_model_of(model, by_address)
    if name is None:
        return
    base = catalogue.find(name)
    if base is None:
        # A child's base model is told of once, at the root of its parents.
        if model.base_model is not None:
            yield _unknown(model, name, catalogue)
        return
    yield from _lifecycle(model, base, as_of, retired_severity)
    subject = Subject(model, base, catalogue, None if model.parent is None else by_address.get(model.parent))
    for check in RULES:
        yield from check(subject)


def _unknown(model: DesiredModel, name: str, catalogue: Catalogue) -> Diagnostic:
    versions = catalogue.versions_of(name)
    if versions:
        return misfit(
            model,
            "baseModel",
            "base-model-unversioned",
            "The base model needs a version",
            f"{name} does not say which version, and Vertex AI tunes none without. Write {' or '.join(versions)}.",
        )
    near = catalogue.suggest(name)
    hint = f" Did you mean {', '.join(near)}?" if near else ""
    return doubt(
        model,
        "baseModel",
        "base-model-unknown",
        "The base model is not in the catalogue",
        f"{name} is not in the catalogue, so its limits cannot be checked; it is passed to Vertex AI as it is.{hint}",
    )


def _lifecycle(model: DesiredModel, base: BaseModel, as_of: date, retired_severity: Severity) -> Iterator[Diagnostic]:
    stage = lifecycle_of(base, as_of)
    if stage is LifecycleStage.RETIRED:
        yield retired_diagnostic(model, base, as_of, retired_severity)
    if stage is LifecycleStage.RETIRING and base.retires_on is not None:
        yield _retiring(model, base, base.retires_on, as_of)
    if stage is LifecycleStage.DEPRECATED:
        yield doubt(
            model,
            _base_path(model),
            "base-model-deprecated",
            "The base model is closed to new projects",
            f"since {base.no_new_projects_from}, {base.id} takes jobs only of projects that have used it before. "
            "Choose another base model if yours has not.",
        )


def _retiring(model: DesiredModel, base: BaseModel, retires_on: date, as_of: date) -> Diagnostic:
    days = (retires_on - as_of).days
    when = f"on {retires_on}, in {days} day{'' if days == 1 else 's'}"
    if base.retires_not_before:
        when = f"on {retires_on} at the earliest, in {days} days" if days > 0 else f"any day since {retires_on}"
    return Diagnostic(
        # An earliest date is no date yet.
        severity=Severity.INFO if base.retires_not_before else Severity.WARNING,
        rule="base-model-retiring",
        summary="The base model retires soon",
        detail=(
            f"{model.address}: {base.id} retires {when}{_doubt_about_dates(base)}; after that, Vertex AI takes no "
            "new tuning jobs for it. Plan the move to another base model."
        ),
        source=model.place_of(_base_path(model)),
        command=_CATALOGUE_COMMAND,
    )


def _doubt_about_dates(base: BaseModel) -> str:
    evidence = base.lifecycle_evidence
    if evidence is None or evidence.certainty is Certainty.DOCUMENTED:
        return ""
    return f" (date {evidence.certainty})"


def _base_path(model: DesiredModel) -> str:
    return "baseModel" if model.base_model is not None else "preTunedModel.address"
