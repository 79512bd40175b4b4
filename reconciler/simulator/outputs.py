"""A job that succeeded -> the Model and the Endpoints it leaves in the world, and the job's `tunedModel`.

Touches the world's models and endpoints only.
Source for the system labels, the version suffix and the `us`/`eu` locations: recorded resources of tuned Gemini models.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from reconciler.simulator.answers import Resource
from reconciler.simulator.base_models import SUPERVISED, BaseModel
from reconciler.simulator.outcomes import Outcome
from reconciler.simulator.tuning import checkpoint_epochs, epoch_count_of, method_of, step_count_of
from reconciler.simulator.world import Job, World, rfc3339

BASE_MODEL_LABEL = "google-vertex-llm-tuning-base-model-id"
JOB_LABEL = "google-vertex-llm-tuning-job-id"
TUNE_TYPE_LABEL = "tune-type"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Output:
    """What model and endpoints of one job have in common."""

    model: str
    version: str
    location: str
    display_name: str
    labels: dict[str, str]
    at: str


def publish(world: World, job: Job, base: BaseModel, instant: datetime) -> Resource:
    """Put the job's model and endpoints into the world; returns its `tunedModel`."""
    model, version = _target(world, job, base)
    output = _Output(
        model=model,
        version=version,
        location=model.split("/")[3],
        display_name=job.spec["tunedModelDisplayName"],
        labels=_labels(job, copy=world.settings.copy_labels),
        at=rfc3339(instant),
    )
    checkpoints = _checkpoints(job, base)
    resource = _model(job, base, output, checkpoints)
    _take_default(world, model)
    world.models[f"{model}@{version}"] = resource
    world.revision += 1
    tuned: Resource = {"model": f"{model}@{version}"}
    if job.outcome is Outcome.FAIL_WITH_MODEL or base.is_open:
        return tuned
    return tuned | _deploy(world, output, resource, checkpoints)


def _deploy(world: World, output: _Output, model: Resource, checkpoints: list[Resource]) -> Resource:
    """An endpoint for each checkpoint, or for the model as a whole; the last one is the tuned model's own."""
    if not checkpoints:
        return {"endpoint": _endpoint(world, output, model, None)}
    deployed = [one | {"endpoint": _endpoint(world, output, model, one["checkpointId"])} for one in checkpoints]
    return {"endpoint": deployed[-1]["endpoint"], "checkpoints": deployed}


def _target(world: World, job: Job, base: BaseModel) -> tuple[str, str]:
    """The model and the version to make: the parent's next one, or a new model for a new display name."""
    parent = parent_model(world, job.spec)
    if parent is not None and parent["displayName"] == job.spec["tunedModelDisplayName"]:
        taken = [int(one["versionId"]) for one in world.models.values() if one["name"] == parent["name"]]
        return parent["name"], str(max(taken) + 1)
    project = f"projects/{job.project_number}"
    return f"{project}/locations/{_output_location(job.location, base)}/models/{world.new_id()}", "1"


def parent_model(world: World, spec: Resource) -> Resource | None:
    """The model version that continuous tuning goes on from; None for a base model, or a parent that is gone."""
    pre_tuned = spec.get("preTunedModel")
    return None if pre_tuned is None else find_version(world, pre_tuned["tunedModelName"])


def find_version(world: World, name: str) -> Resource | None:
    """The version of a model named `…/models/M`, `…/models/M@2` or by an alias; without one, the default version."""
    model, _, version = name.partition("@")
    exact = world.models.get(f"{model}@{version}")
    if exact is not None:
        return exact
    alias = version or "default"
    found = (one for one in world.models.values() if one["name"] == model and alias in one.get("versionAliases", ()))
    return next(found, None)


def _take_default(world: World, model: str) -> None:
    current = find_version(world, model)
    if current is not None:
        current.pop("versionAliases")


def _output_location(location: str, base: BaseModel) -> str:
    if base.is_multi_region:
        return "eu" if location.startswith("europe-") else "us"
    # A job in `global` runs somewhere, and what it makes lives there.
    return "us-central1" if location == "global" else location


def _labels(job: Job, *, copy: bool) -> dict[str, str]:
    own = dict(job.spec.get("labels", {})) if copy else {}
    return own | {
        BASE_MODEL_LABEL: job.base_model.rsplit("/", 1)[-1].replace(".", "_").replace("@", "-"),
        JOB_LABEL: job.job_id,
        TUNE_TYPE_LABEL: "sft" if method_of(job.spec) == SUPERVISED else "preference",
    }


def _checkpoints(job: Job, base: BaseModel) -> list[Resource]:
    if not base.has_checkpoints or job.spec[method_of(job.spec)].get("exportLastCheckpointOnly"):
        return []
    return [
        {"checkpointId": str(number), "epoch": str(epoch), "step": str(step_count_of(job.spec, epoch))}
        for number, epoch in enumerate(checkpoint_epochs(epoch_count_of(job.spec)), start=1)
    ]


def _model(job: Job, base: BaseModel, output: _Output, checkpoints: list[Resource]) -> Resource:
    resource: Resource = {
        "name": output.model,
        "displayName": output.display_name,
        "labels": output.labels,
        "versionId": output.version,
        "versionAliases": ["default"],
        "versionCreateTime": output.at,
        "versionUpdateTime": output.at,
        "createTime": output.at,
        "updateTime": output.at,
        "modelSourceInfo": {"sourceType": "MODEL_GARDEN" if base.is_open else "GENIE"},
        "baseModelSource": {"genieSource": {"baseModelUri": f"publishers/google/models/{job.base_model}"}},
    }
    if base.is_open:
        publisher, _, model = job.base_model.partition("/")
        resource["baseModelSource"] = {
            "modelGardenSource": {"publicModelName": f"publishers/{publisher}/models/{model}"}
        }
    if job.spec.get("description"):
        resource["description"] = job.spec["description"]
    if job.spec.get("encryptionSpec"):
        resource["encryptionSpec"] = dict(job.spec["encryptionSpec"])
    if checkpoints:
        resource |= {"checkpoints": checkpoints, "defaultCheckpointId": checkpoints[-1]["checkpointId"]}
    return resource


def _endpoint(world: World, output: _Output, model: Resource, checkpoint_id: str | None) -> str:
    """A new endpoint that serves the model, or one checkpoint of it; returns its name."""
    project = "/".join(output.model.split("/")[:2])
    name = f"{project}/locations/{output.location}/endpoints/{world.new_id()}"
    deployed_id = world.new_id()
    checkpoint = {} if checkpoint_id is None else {"checkpointId": checkpoint_id}
    deployed = {
        "id": deployed_id,
        "model": output.model,
        "modelVersionId": output.version,
        "displayName": output.display_name,
        "createTime": output.at,
    }
    world.endpoints[name] = {
        "name": name,
        "displayName": output.display_name,
        "labels": dict(output.labels),
        "deployedModels": [deployed | checkpoint],
        "trafficSplit": {deployed_id: 100},
        "createTime": output.at,
        "updateTime": output.at,
    }
    model.setdefault("deployedModels", []).append({"endpoint": name, "deployedModelId": deployed_id} | checkpoint)
    world.revision += 1
    return name
