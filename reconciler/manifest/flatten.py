"""A valid TunedModel spec -> flat fields in the API's names, and the rest of what a desired model is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import BaseModel

from reconciler.errors import Source
from reconciler.manifest.origin import LABELS, Origin
from reconciler.manifest.schema import LifecycleSpec, TunedModelSpec
from reconciler.model.desired import DesiredModel, Lifecycle, Priority
from reconciler.model.fields import PARENT_FINGERPRINT, Fields, Value, fingerprint, short_base_model

# Part of a spec, but of no job.
_NOT_FIELDS = frozenset({"priority", "lifecycle"})
_DEFAULT_METHOD = "supervised"


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A desired model but for its fingerprint, which waits for its parent's."""

    address: str
    fields: Fields
    origin: Origin
    priority: Priority
    lifecycle: Lifecycle
    positions: Mapping[str, tuple[int, int]]

    @property
    def parent(self) -> str | None:
        """The address it is tuned on from."""
        value = self.fields.get("preTunedModel.address")
        return None if value is None else str(value)

    @property
    def source(self) -> Source:
        """Where its manifest starts."""
        return self.origin.source_of()


def draft(address: str, spec: TunedModelSpec, labels: Mapping[str, str], origin: Origin, location: str) -> Draft:
    """The model at an address; `location` holds where its spec has none."""
    return Draft(
        address=address,
        fields={"location": location, "method": _DEFAULT_METHOD} | flat(spec) | _label_fields(labels),
        origin=origin,
        priority=Priority(spec.priority) if spec.priority else Priority.NORMAL,
        lifecycle=_lifecycle(spec.lifecycle),
        positions=_positions(origin),
    )


def flat(spec: TunedModelSpec) -> dict[str, Value]:
    """The fields of a spec that are set, by their dotted names; a base model by its short id."""
    fields: dict[str, Value] = {}
    for name, value in spec:
        if value is None or name in _NOT_FIELDS:
            continue
        if isinstance(value, BaseModel):
            fields.update({f"{name}.{part}": inner for part, inner in value if inner is not None})
        else:
            fields[name] = value
    if spec.baseModel is not None:
        fields["baseModel"] = short_base_model(spec.baseModel)
    # Source: proto3 JSON has no presence for false; Vertex AI returns such a job without the field.
    if spec.exportLastCheckpointOnly is False:
        del fields["exportLastCheckpointOnly"]
    return fields


def finished(one: Draft, parent_fingerprint: str | None) -> DesiredModel:
    """The desired model; `parent_fingerprint` is None where it has no parent in this stack."""
    fields = one.fields
    if parent_fingerprint is not None:
        fields = {**fields, PARENT_FINGERPRINT: parent_fingerprint}
    return DesiredModel(
        address=one.address,
        fields=fields,
        fingerprint=fingerprint(fields),
        source=one.source,
        priority=one.priority,
        lifecycle=one.lifecycle,
        parent=one.parent,
        positions=one.positions,
    )


def _label_fields(labels: Mapping[str, str]) -> dict[str, Value]:
    return {f"labels.{key}": value for key, value in labels.items()}


def _lifecycle(spec: LifecycleSpec | None) -> Lifecycle:
    if spec is None:
        return Lifecycle()
    return Lifecycle(
        on_remove=spec.onRemove or "keep",
        on_dataset_change=spec.onDatasetChange or "warn",
        on_parent_change=spec.onParentChange or "warn",
        retries=spec.retries or 0,
        prevent_replace=spec.preventReplace or False,
    )


def _positions(origin: Origin) -> dict[str, tuple[int, int]]:
    """Where each field stands that was written in the model's own document."""
    start, written = origin.spec, origin.document.positions
    depth = len(start)
    found: dict[str, tuple[int, int]] = {}
    for path, place in written.items():
        if path[:depth] == start and depth < len(path) <= depth + 2:
            found[".".join(map(str, path[depth:]))] = place
        elif path[:2] == LABELS and len(path) == 3:
            found[f"labels.{path[2]}"] = place
    for path, item in origin.items.items():
        found[".".join(map(str, path[depth:]))] = written[item]
    return found
