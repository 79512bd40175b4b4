"""Manifest texts -> desired; or every diagnostic there is, each with its place. Pure.

In this order: read the YAML, sort the documents by kind, judge the stack, judge each model with the stack's defaults
under it, expand sweeps, then what only shows across documents (names, parents, equal fingerprints).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reconciler.errors import Diagnostic, ManifestError, Severity, Source
from reconciler.manifest.explain import close_to, validate
from reconciler.manifest.flatten import Draft, draft
from reconciler.manifest.graph import finish, parent_problems
from reconciler.manifest.merge import merged
from reconciler.manifest.origin import Origin, error
from reconciler.manifest.rules import label_problems, spec_problems
from reconciler.manifest.schema import API_VERSION, Metadata, StackManifest, SweepManifest, TunedModelManifest
from reconciler.manifest.stack import stack_of, stack_problems
from reconciler.manifest.sweep import expand, matrix_problems
from reconciler.model.desired import Desired, DesiredModel, Stack
from reconciler.yamldoc import DEFAULT_LIMITS, UNREAD_RULES, Document, Limits, Placeholder, read_documents

KINDS = ("Stack", "TunedModel", "Sweep")
MODELS_MAX_COUNT = 100_000


@dataclass(frozen=True, slots=True)
class ManifestFile:
    """One file of the manifests; `path` as the user would type it, `sha256` in hex."""

    path: str
    text: str
    sha256: str


@dataclass(frozen=True, slots=True)
class _Sorted:
    """All documents by kind. `complete` is false where some text could not be understood well enough to tell."""

    stacks: tuple[Document, ...]
    models: tuple[Document, ...]
    sweeps: tuple[Document, ...]
    complete: bool


def parse_manifests(
    files: Sequence[ManifestFile], *, root: str, limits: Limits = DEFAULT_LIMITS, complete: bool = True
) -> tuple[Desired, tuple[Diagnostic, ...]]:
    """What the manifests of one folder say, and warnings about it.

    `root` is that folder, as the user typed it; the digests are by path below it. Where the files are not `complete`,
    nothing is told about what they lack. Raises ManifestError with all errors and warnings, sorted by place. No I/O.
    """
    documents, found = _read(files, limits)
    complete = complete and all(one.rule not in UNREAD_RULES for one in found)
    by_kind, kind_problems = _sort(documents, complete=complete)
    found += kind_problems
    found += _stack_count_problems(by_kind, root)
    stack, problems = _stack(by_kind.stacks)
    found += problems
    drafts, problems = _drafts(by_kind, stack.location if stack else "")
    found += problems
    found += _across(drafts, by_kind)
    models: tuple[DesiredModel, ...] = ()
    if not found:
        models = finish(drafts)
        found += _twins(models)
    # What is wrong in the defaults is found anew in each model, in the same words and at the same place.
    ordered = tuple(sorted(dict.fromkeys(found), key=_place))
    if stack is None or any(one.severity is Severity.ERROR for one in ordered):
        raise ManifestError(ordered)
    digests = {file.path.removeprefix(f"{root.rstrip('/')}/"): file.sha256 for file in files}
    return Desired(stack=stack, models=models, digests=digests), ordered


def _place(one: Diagnostic) -> tuple[str, int, int]:
    return (one.source.path, one.source.line, one.source.column) if one.source else ("", 0, 0)


def _read(files: Iterable[ManifestFile], limits: Limits) -> tuple[list[Document], list[Diagnostic]]:
    documents: list[Document] = []
    found: list[Diagnostic] = []
    for file in files:
        read, problems = read_documents(file.text, file.path, limits)
        documents += read
        found += problems
    return documents, found


def _sort(documents: Sequence[Document], *, complete: bool) -> tuple[_Sorted, list[Diagnostic]]:
    by_kind: dict[str, list[Document]] = {kind: [] for kind in KINDS}
    found: list[Diagnostic] = []
    for document in documents:
        kind = document.value.get("kind") if isinstance(document.value, dict) else None
        if isinstance(kind, str) and kind in by_kind and document.value.get("apiVersion") == API_VERSION:
            by_kind[kind].append(document)
            continue
        complete = False
        found += _kind_problems(document)
    stacks, models, sweeps = (tuple(by_kind[kind]) for kind in KINDS)
    return _Sorted(stacks, models, sweeps, complete), found


def _kind_problems(document: Document) -> Iterator[Diagnostic]:
    value, origin = document.value, Origin(document)
    if value is Placeholder.REFUSED:
        # Told by the reader already.
        return
    if not isinstance(value, dict):
        detail = f"A manifest is a mapping that starts with apiVersion: {API_VERSION} and a kind."
        yield error("kind", "This document is no manifest", detail, origin.source_of())
        return
    version, kind = value.get("apiVersion"), value.get("kind")
    if version != API_VERSION and version is not Placeholder.REFUSED:
        said = "It has no apiVersion." if version is None else f"{str(version)[:40]} is not known here."
        detail = f"{said} Write apiVersion: {API_VERSION}."
        yield error("kind", "Not the apiVersion that is understood", detail, origin.source_of(("apiVersion",)))
    if (not isinstance(kind, str) or kind not in KINDS) and kind is not Placeholder.REFUSED:
        close = close_to(kind, KINDS) if isinstance(kind, str) else None
        said = "It has no kind." if kind is None else f"{str(kind)[:40]} is not one."
        advice = f"Did you mean {close}?" if close else f"Write one of {', '.join(KINDS)}."
        yield error("kind", "Unknown kind of manifest", f"{said} {advice}", origin.source_of(("kind",)))


def _stack_count_problems(by_kind: _Sorted, root: str) -> Iterator[Diagnostic]:
    first, *others = by_kind.stacks or (None,)
    for other in others:
        if first is not None and other is not None:
            detail = (
                f"One folder is one stack, and the first one is at {Origin(first).source_of()}. "
                "Remove one, or move it and its models to a folder of its own."
            )
            yield error("stack", "A second stack in one folder", detail, Origin(other).source_of())
    if not by_kind.complete:
        # What could not be read may be what is missing.
        return
    if first is None:
        detail = f"No document in {root} has kind: Stack, which says where the models live. Make one with:"
        yield error("stack", "No stack is declared", detail, None, command="tuneform init")
    elif not by_kind.models and not by_kind.sweeps:
        detail = "It declares nothing to tune. Add a TunedModel. To take down all that is there, use:"
        source = Origin(first).source_of()
        yield error("no-models", "The stack has no models", detail, source, command="tuneform destroy")


def _stack(stacks: Sequence[Document]) -> tuple[Stack | None, list[Diagnostic]]:
    """The first stack, None where it is wrong; and what is wrong with any."""
    good: list[Stack] = []
    found: list[Diagnostic] = []
    for document in stacks:
        origin = Origin(document)
        manifest, problems = validate(StackManifest, document.value, origin)
        problems += stack_problems(document.value.get("spec"), origin)
        good += [stack_of(manifest, origin)] if manifest and not problems else []
        found += problems
    return good[0] if good else None, found


def _drafts(by_kind: _Sorted, location: str) -> tuple[list[Draft], list[Diagnostic]]:
    stack = by_kind.stacks[0] if by_kind.stacks else None
    model_defaults, sweep_defaults = _defaults(stack)
    base = stack if model_defaults else None
    drafts: list[Draft] = []
    found: list[Diagnostic] = []
    for document in by_kind.models:
        value = merged(model_defaults, document.value) if model_defaults else document.value
        one, problems = _model(value, Origin(document, base), location)
        drafts += [one] if one else []
        found += problems
    for document in by_kind.sweeps:
        value = merged(sweep_defaults, document.value) if sweep_defaults else document.value
        more, problems = _sweep(value, Origin(document, base, spec=("spec", "template")), location)
        drafts += more
        found += problems
    if len(drafts) > MODELS_MAX_COUNT:
        detail = f"There are {len(drafts):,}, and can be at most {MODELS_MAX_COUNT:,}. Split the stack."
        found.append(error("limit", "Too many models in one stack", detail, None))
    return drafts, found


def _defaults(stack: Document | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """The stack's defaults in the shape of a TunedModel document, and in that of a Sweep."""
    spec = stack.value.get("spec") if stack else None
    defaults = spec.get("defaults") if isinstance(spec, dict) else None
    if not isinstance(defaults, dict) or not defaults:
        return {}, {}
    labels = defaults.get("labels")
    metadata = {"metadata": {"labels": labels}} if labels is not None else {}
    own = {key: value for key, value in defaults.items() if key != "labels"}
    return {**metadata, "spec": own}, {**metadata, "spec": {"template": own}}


def _model(value: Any, origin: Origin, location: str) -> tuple[Draft | None, list[Diagnostic]]:
    manifest, found = validate(TunedModelManifest, value, origin)
    # A field that is misnamed is probably the one that is missing.
    misnamed = any(one.rule == "manifest-unknown-field" for one in found)
    broken = spec_problems(value.get("spec"), origin)
    found += [one for one in broken if not (misnamed and one.rule == "manifest-missing-field")]
    found += label_problems(_written_labels(value), origin)
    if manifest is None:
        return None, found
    return draft(manifest.metadata.name, manifest.spec, _labels(manifest.metadata), origin, location), found


def _sweep(value: Any, origin: Origin, location: str) -> tuple[list[Draft], list[Diagnostic]]:
    manifest, found = validate(SweepManifest, value, origin)
    spec = value.get("spec")
    found += matrix_problems(spec.get("matrix") if isinstance(spec, Mapping) else None, origin)
    found += label_problems(_written_labels(value), origin)
    if manifest is None or found:
        return [], found
    return expand(manifest, spec.get("template"), _labels(manifest.metadata), origin, location)


def _written_labels(value: Any) -> Any:
    metadata = value.get("metadata")
    return metadata.get("labels") if isinstance(metadata, Mapping) else None


def _labels(metadata: Metadata) -> dict[str, str]:
    return {key: value for key, value in (metadata.labels or {}).items() if value is not None}


def _across(drafts: Sequence[Draft], by_kind: _Sorted) -> Iterator[Diagnostic]:
    """What only shows when all documents are seen together."""
    names: dict[str, Source] = {}
    for document in (*by_kind.models, *by_kind.sweeps):
        name = _name(document)
        if name is None:
            continue
        source = Origin(document).source_of(("metadata", "name"))
        first = names.setdefault(name, source)
        if first is not source:
            detail = f"“{name[:80]}” is already declared at {first}. Rename or remove one of the two."
            yield error("duplicate-name", "Two models have one name", detail, source)
    yield from parent_problems(drafts, declared=names, complete=by_kind.complete)


def _name(document: Document) -> str | None:
    metadata = document.value.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return name if isinstance(name, str) else None


def _twins(models: Iterable[DesiredModel]) -> Iterator[Diagnostic]:
    seen: dict[str, DesiredModel] = {}
    for model in models:
        first = seen.setdefault(model.fingerprint, model)
        if first is not model:
            yield Diagnostic(
                severity=Severity.WARNING,
                rule="manifest-same-spec",
                summary="You pay twice for one model",
                detail=(
                    f"{model.address} and {first.address} ({first.source}) define the same tuning job, "
                    "so two jobs would make the same model. Remove one, unless you want both."
                ),
                source=model.source,
            )
