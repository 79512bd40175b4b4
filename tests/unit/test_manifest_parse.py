"""Manifest texts -> desired: what the fields, the stack, the parents and the fingerprints come out as."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import Diagnostic, ManifestError, Severity, Source
from reconciler.manifest.parse import ManifestFile, parse_manifests
from reconciler.model.desired import Desired, Lifecycle, Priority, QuotaSettings, SimulatorSettings, Stack
from reconciler.model.fields import EFFECTS, PARENT_FINGERPRINT, fingerprint

STACK = """\
apiVersion: tuneform/v1
kind: Stack
metadata: {name: support}
spec:
  project: demo-project
  location: us-central1
"""
MODEL = """\
apiVersion: tuneform/v1
kind: TunedModel
metadata: {name: intent}
spec:
  baseModel: gemini-2.5-flash
  trainingDatasetUri: gs://bucket/train.jsonl
"""


def parse(*texts: str) -> tuple[Desired, tuple[Diagnostic, ...]]:
    """What manifests say that have no errors; each text is a file, named a.yaml, b.yaml and so on."""
    files = [
        ManifestFile(f"manifests/{chr(97 + index)}.yaml", text, f"{index:064x}") for index, text in enumerate(texts)
    ]
    return parse_manifests(files, root="manifests")


def stack_of(more: str) -> Stack:
    """The stack with some more lines in its spec."""
    return parse(f"{STACK}{more}---\n{MODEL}")[0].stack


def model(name: str, spec: str) -> str:
    """A TunedModel document with that spec, which is written in braces."""
    return f"---\napiVersion: tuneform/v1\nkind: TunedModel\nmetadata: {{name: {name}}}\nspec: {{{spec}}}\n"


def child(name: str, parent: str) -> str:
    """A TunedModel document that goes on from another model of the stack."""
    return model(name, f"preTunedModel: {{address: '{parent}'}}, trainingDatasetUri: gs://bucket/{name}.jsonl")


def test_a_small_stack() -> None:
    """Only what the user set is a field, besides location and method; places and digests come along."""
    desired, warnings = parse(STACK, MODEL)
    (one,) = desired.models
    assert () == warnings
    assert {
        "baseModel": "gemini-2.5-flash",
        "location": "us-central1",
        "method": "supervised",
        "trainingDatasetUri": "gs://bucket/train.jsonl",
    } == one.fields
    assert "intent" == one.address
    assert fingerprint(one.fields) == one.fingerprint
    assert Source("manifests/b.yaml", 1, 1) == one.source
    assert Source("manifests/b.yaml", 5, 3) == one.place_of("baseModel")
    assert (Priority.NORMAL, Lifecycle(), None) == (one.priority, one.lifecycle, one.parent)
    assert {"a.yaml": f"{0:064x}", "b.yaml": f"{1:064x}"} == desired.digests
    assert "support" == desired.stack.name


EVERY_FIELD = """\
apiVersion: tuneform/v1
kind: TunedModel
metadata:
  name: everything
  labels: {team: support, tier: "1", empty: ""}
spec:
  baseModel: publishers/google/models/gemini-2.5-flash
  method: preference
  location: europe-west4
  trainingDatasetUri: gs://bucket/train.jsonl
  validationDatasetUri: projects/p/locations/europe-west4/datasets/7
  hyperParameters:
    {epochCount: 4.0, adapterSize: 8, learningRateMultiplier: 1, beta: 0.1, learningRate: 2e-4, batchSize: 16}
  tuningMode: PEFT_ADAPTER
  customBaseModel: gs://bucket/weights/
  outputUri: gs://bucket
  tunedModelDisplayName: Everything
  description: All there is
  encryptionSpec: {kmsKeyName: projects/p/locations/l/keyRings/r/cryptoKeys/k}
  serviceAccount: tuner@demo-project.iam.gserviceaccount.com
  exportLastCheckpointOnly: true
  evaluationConfig: {metrics: [{exactMatchSpec: {}, weight: null}], outputConfig: {a: 1}}
  priority: high
  lifecycle: {onRemove: delete, onDatasetChange: retrain, onParentChange: retrain, retries: 3, preventReplace: true}
"""


def test_every_field_of_a_model() -> None:
    """Every field is flat, in the API's own name, and of the type the API has."""
    one = parse(STACK, EVERY_FIELD)[0].models[0]
    assert {
        "baseModel": "gemini-2.5-flash",
        "method": "preference",
        "location": "europe-west4",
        "trainingDatasetUri": "gs://bucket/train.jsonl",
        "validationDatasetUri": "projects/p/locations/europe-west4/datasets/7",
        "hyperParameters.epochCount": 4,
        "hyperParameters.adapterSize": 8,
        "hyperParameters.learningRateMultiplier": 1.0,
        "hyperParameters.beta": 0.1,
        "hyperParameters.learningRate": 0.0002,
        "hyperParameters.batchSize": 16,
        "tuningMode": "PEFT_ADAPTER",
        "customBaseModel": "gs://bucket/weights/",
        "outputUri": "gs://bucket",
        "tunedModelDisplayName": "Everything",
        "description": "All there is",
        "encryptionSpec.kmsKeyName": "projects/p/locations/l/keyRings/r/cryptoKeys/k",
        "serviceAccount": "tuner@demo-project.iam.gserviceaccount.com",
        "exportLastCheckpointOnly": True,
        "evaluationConfig": {"metrics": [{"exactMatchSpec": {}, "weight": None}], "outputConfig": {"a": 1}},
        "labels.team": "support",
        "labels.tier": "1",
        "labels.empty": "",
    } == one.fields
    assert int is type(one.fields["hyperParameters.epochCount"])
    assert Priority.HIGH == one.priority
    assert one.lifecycle == Lifecycle(
        on_remove="delete", on_dataset_change="retrain", on_parent_change="retrain", retries=3, prevent_replace=True
    )
    assert Source("manifests/b.yaml", 13, 23) == one.place_of("hyperParameters.adapterSize")
    assert Source("manifests/b.yaml", 5, 27) == one.place_of("labels.tier")
    assert one.source == one.place_of("nothing.of.the.kind")


def test_every_field_has_an_effect() -> None:
    """No field can be written in a manifest that the planner has not classed."""
    pipeline = model(
        "code", f"baseModel: code-bison@002, trainingDatasetUri: gs://bucket/a, pipelineTuning: {PIPELINE}"
    )
    parent = model(
        "more",
        "preTunedModel: {tunedModelName: projects/p/locations/l/models/1@2, checkpointId: '3'}, "
        "trainingDatasetUri: gs://bucket/a",
    )
    models = parse(STACK + "---\n" + EVERY_FIELD + pipeline + parent + child("next", "more"))[0].models
    written = {path for one in models for path in one.fields if not path.startswith("labels.")}
    assert EFFECTS.keys() == written


PIPELINE = (
    "{gcsOutputDirectory: gs://bucket/out, trainSteps: 300, learningRateMultiplier: 1, acceleratorType: GPU, "
    "evaluationDataUri: gs://bucket/eval.jsonl, evaluationInterval: 20, enableEarlyStopping: false, "
    "enableCheckpointSelection: true, tensorboardResourceId: projects/1/locations/l/tensorboards/2, "
    "defaultContext: You review code., modelUploadLocation: europe-west4}"
)


def test_a_legacy_code_model() -> None:
    """A pipeline's parameters are fields of their own; a truth value for the selection becomes the pipeline's word."""
    text = model("code", f"baseModel: code-bison@002, trainingDatasetUri: gs://bucket/a, pipelineTuning: {PIPELINE}")
    fields = parse(STACK + text)[0].models[0].fields
    assert {
        "baseModel": "code-bison@002",
        "location": "us-central1",
        "method": "supervised",
        "trainingDatasetUri": "gs://bucket/a",
        "pipelineTuning.gcsOutputDirectory": "gs://bucket/out",
        "pipelineTuning.trainSteps": 300,
        "pipelineTuning.learningRateMultiplier": 1.0,
        "pipelineTuning.acceleratorType": "GPU",
        "pipelineTuning.evaluationDataUri": "gs://bucket/eval.jsonl",
        "pipelineTuning.evaluationInterval": 20,
        "pipelineTuning.enableEarlyStopping": False,
        "pipelineTuning.enableCheckpointSelection": "true",
        "pipelineTuning.tensorboardResourceId": "projects/1/locations/l/tensorboards/2",
        "pipelineTuning.defaultContext": "You review code.",
        "pipelineTuning.modelUploadLocation": "europe-west4",
    } == fields


@pytest.mark.parametrize(("written", "carried"), [("true", "true"), ("false", "false"), ("default", "default")])
@pytest.mark.parametrize("quote", ["", '"'])
def test_the_checkpoint_selection_is_a_word(written: str, carried: str, quote: str) -> None:
    """The pipeline takes a string; with or without quotes, a manifest gives it one."""
    pipeline = f"{{gcsOutputDirectory: gs://bucket/out, enableCheckpointSelection: {quote}{written}{quote}}}"
    text = model("code", f"baseModel: code-bison@002, trainingDatasetUri: gs://bucket/a, pipelineTuning: {pipeline}")
    fields = parse(STACK + text)[0].models[0].fields
    assert carried == fields["pipelineTuning.enableCheckpointSelection"]


@pytest.mark.parametrize(
    "line", ["exportLastCheckpointOnly: false", "description:", "hyperParameters: {epochCount: null}", "lifecycle: ~"]
)
def test_what_is_unset_is_no_field(line: str) -> None:
    """A null, and a false that the API cannot tell from nothing, leave a field unset."""
    assert parse(STACK, MODEL)[0].models[0].fields == parse(STACK, f"{MODEL}  {line}\n")[0].models[0].fields


DEFAULTS = """\
  defaults:
    location: europe-west4
    hyperParameters: {epochCount: 4, adapterSize: 8}
    evaluationConfig: {a: 1, b: {c: 2}}
    tunedModelDisplayName: Shared
    priority: low
    lifecycle: {retries: 2, onRemove: delete}
    labels: {team: support, cost: a1}
"""


def test_defaults_stand_under_each_model() -> None:
    """A default holds where the model says nothing, field by field, and counts as set."""
    text = MODEL.replace("{name: intent}", "{name: intent, labels: {cost: b2, own: x}}")
    more = "  hyperParameters: {epochCount: 9}\n  evaluationConfig: {b: {d: 3}}\n  lifecycle: {retries: 0}\n"
    one = parse(STACK + DEFAULTS, text + more)[0].models[0]
    assert {
        "baseModel": "gemini-2.5-flash",
        "location": "europe-west4",
        "method": "supervised",
        "trainingDatasetUri": "gs://bucket/train.jsonl",
        "hyperParameters.epochCount": 9,
        "hyperParameters.adapterSize": 8,
        "evaluationConfig": {"b": {"d": 3}},
        "tunedModelDisplayName": "Shared",
        "labels.team": "support",
        "labels.cost": "b2",
        "labels.own": "x",
    } == one.fields
    assert Priority.LOW == one.priority
    assert Lifecycle(on_remove="delete", retries=0) == one.lifecycle


def test_null_takes_a_default_back() -> None:
    """A model gets rid of a default by writing null."""
    text = MODEL.replace("{name: intent}", "{name: intent, labels: {team: null}}")
    more = "  hyperParameters: {epochCount: null}\n  location:\n  tunedModelDisplayName: ~\n  evaluationConfig: null\n"
    assert {
        "baseModel": "gemini-2.5-flash",
        "location": "us-central1",
        "method": "supervised",
        "trainingDatasetUri": "gs://bucket/train.jsonl",
        "hyperParameters.adapterSize": 8,
        "labels.cost": "a1",
    } == parse(STACK + DEFAULTS, text + more)[0].models[0].fields


@pytest.mark.parametrize(
    ("defaults", "own", "dropped"),
    [
        ("baseModel: a", "preTunedModel: {tunedModelName: projects/p/locations/l/models/1}", "baseModel"),
        ("preTunedModel: {tunedModelName: projects/p/locations/l/models/1}", "baseModel: a", "preTunedModel"),
        (
            "hyperParameters: {epochCount: 4}",
            "baseModel: code-bison@002, pipelineTuning: {gcsOutputDirectory: gs://bucket}",
            "hyperParameters",
        ),
        (
            "baseModel: a, pipelineTuning: {gcsOutputDirectory: gs://bucket}",
            "hyperParameters: {epochCount: 4}",
            "pipelineTuning",
        ),
    ],
)
def test_a_models_choice_drops_the_defaults_other_one(defaults: str, own: str, dropped: str) -> None:
    """Of two fields that exclude each other, the model's own drops the one that the defaults set."""
    text = model("one", f"{own}, trainingDatasetUri: gs://bucket/a")
    fields = parse(f"{STACK}  defaults: {{{defaults}}}\n{text}")[0].models[0].fields
    assert not [path for path in fields if path.startswith(dropped)]


def test_a_model_can_be_all_defaults() -> None:
    """With everything in the defaults, a model needs no more than a name."""
    defaults = "  defaults: {baseModel: a, trainingDatasetUri: gs://bucket/a}\n"
    text = "---\napiVersion: tuneform/v1\nkind: TunedModel\nmetadata: {name: one}\nspec: {}\n"
    assert ["one"] == [one.address for one in parse(STACK + defaults + text)[0].models]


def test_a_parents_fingerprint_is_in_its_childs() -> None:
    """A child bears its parent's fingerprint, wherever that is declared and whatever its name, and changes with it."""
    texts = (STACK, child("c", "b"), child("b", "a"), model("a", "baseModel: x, trainingDatasetUri: gs://bucket/0"))
    models = parse(*texts)[0].by_address()
    assert [None, "a", "b"] == [models[name].parent for name in "abc"]
    assert models["a"].fingerprint == models["b"].fields[PARENT_FINGERPRINT]
    assert models["b"].fingerprint == models["c"].fields[PARENT_FINGERPRINT]
    assert "b" == models["c"].fields["preTunedModel.address"]
    renamed = parse(STACK, child("c", "b"), child("b", "z"), texts[3].replace("name: a", "name: z"))[0].by_address()
    assert models["c"].fingerprint == renamed["c"].fingerprint
    changed = parse(*texts[:3], texts[3].replace("x,", "other,"))[0].by_address()
    assert models["c"].fingerprint != changed["c"].fingerprint


def test_a_long_chain_of_parents() -> None:
    """A chain of parents can be as long as the stack."""
    chain = "".join(child(f"m{index}", f"m{index - 1}") for index in range(2_000, 0, -1))
    models = parse(STACK + chain + model("m0", "baseModel: x, trainingDatasetUri: gs://bucket/0"))[0].models
    assert 2_001 == len({one.fingerprint for one in models})


def test_models_are_sorted_by_address() -> None:
    """The order of files and documents does not matter."""
    texts = [model(name, f"baseModel: x, trainingDatasetUri: gs://bucket/{name}") for name in ("b", "a-b", "a", "c")]
    forward, backward = parse(STACK, *texts)[0], parse(*reversed(texts), STACK)[0]
    assert ["a", "a-b", "b", "c"] == [one.address for one in forward.models] == [one.address for one in backward.models]


def test_equal_fingerprints_are_warned_of() -> None:
    """Two addresses with one spec are told, since the second is paid for nothing."""
    twin = MODEL.replace("intent", "twin") + "  tunedModelDisplayName: Other name\n  priority: high\n"
    desired, (warning,) = parse(STACK, MODEL, twin)
    assert 2 == len(desired.models)
    assert (Severity.WARNING, "manifest-same-spec") == (warning.severity, warning.rule)
    assert Source("manifests/c.yaml", 1, 1) == warning.source
    assert "twin and intent (manifests/b.yaml:1:1)" in warning.detail


def test_the_stack() -> None:
    """Everything a stack can say."""
    more = (
        "  endpoint: simulator\n  state: ../state/other.json\n  catalogueAsOf: 2026-11-20\n"
        "  quota: {concurrentJobs: 4, maxSlots: 2}\n"
        "  simulator: {world: ../worlds/w.json, speed: 3600, concurrentJobs: 0, overQuota: refuse}\n"
    )
    assert Stack(
        name="support",
        project="demo-project",
        location="us-central1",
        state="state/other.json",
        source=Source("manifests/a.yaml", 1, 1),
        endpoint="simulator",
        catalogue_as_of=date(2026, 11, 20),
        quota=QuotaSettings(concurrent_jobs=4, max_slots=2),
        simulator=SimulatorSettings(world="worlds/w.json", speed=3600.0, concurrent_jobs=0, over_quota="refuse"),
    ) == stack_of(more)


def test_the_stacks_own_defaults() -> None:
    """A stack that says little is on Vertex AI, keeps its state beside the manifests, and has no limits of its own."""
    assert Stack(
        name="support",
        project="demo-project",
        location="us-central1",
        state="state/support.json",
        source=Source("manifests/a.yaml", 1, 1),
    ) == stack_of("")


@pytest.mark.parametrize("quota", ["{}", "{concurrentJobs: auto}", "{concurrentJobs: null}", "~"])
def test_the_quota_is_read_by_api_unless_written(quota: str) -> None:
    """`auto` is what a stack has that says nothing."""
    assert QuotaSettings() == stack_of(f"  quota: {quota}\n").quota


@pytest.mark.parametrize(
    ("written", "state", "world"),
    [
        ("support.json", "manifests/support.json", "manifests/simulator-world.json"),
        ("../state/a.json", "state/a.json", "state/simulator-world.json"),
        ("../../elsewhere/a.json", "../elsewhere/a.json", "../elsewhere/simulator-world.json"),
        ("/var/a.json", "/var/a.json", "/var/simulator-world.json"),
        ("gs://bucket/prefix", "gs://bucket/prefix", "state/simulator-world.json"),
        ("s3://bucket", "s3://bucket", "state/simulator-world.json"),
        ("az://account/container/prefix", "az://account/container/prefix", "state/simulator-world.json"),
    ],
)
def test_paths_are_relative_to_the_manifest(written: str, state: str, world: str) -> None:
    """The state is where its manifest means it, and the simulated world beside it unless the state is no file."""
    stack = stack_of(f"  endpoint: simulator\n  state: {written}\n")
    assert stack.simulator is not None
    assert (state, world) == (stack.state, stack.simulator.world)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("https://vertex.example.com", "https://vertex.example.com"),
        ("https://vertex.example.com/", "https://vertex.example.com"),
        ("https://vertex.example.com:8443/base", "https://vertex.example.com:8443/base"),
        ("http://localhost:8085", "http://localhost:8085"),
        ("http://127.0.0.1:8085", "http://127.0.0.1:8085"),
        ("'http://[::1]:8085'", "http://[::1]:8085"),
    ],
)
def test_an_endpoint_can_be_a_url(written: str, expected: str) -> None:
    """Any https address, and plain http on this machine; there is no simulator then."""
    stack = stack_of(f"  endpoint: {written}\n")
    assert (expected, None) == (stack.endpoint, stack.simulator)


TOKENS = st.sampled_from(
    [
        *("apiVersion: tuneform/v1\n", "kind: Stack\n", "kind: TunedModel\n", "kind: Sweep\n", "metadata: {name: a}\n"),
        *("metadata:\n  labels: {a: 1, no: b}\n", "spec:\n", "  project: demo-project\n", "  location: us-central1\n"),
        *(
            "  defaults: {hyperParameters: 3}\n",
            "  defaults: {labels: [1]}\n",
            "  baseModel: x\n",
            "  baseModel: [1]\n",
        ),
        *(
            "  trainingDatasetUri: gs://b/c\n",
            "  matrix: {a: [1]}\n",
            "  matrix: {method: [no, {}]}\n",
            "  template: 3\n",
        ),
        *("  template: {hyperParameters: {epochCount: 1}}\n", "  matrix: {hyperParameters.epochCount: [1, x]}\n"),
        *("  preTunedModel: {address: a}\n", "  simulator: {world: 3}\n", "  pipelineTuning: {}\n", "  state: [no]\n"),
        *(
            "  evaluationConfig: {a: 010}\n",
            "---\n",
            "spec: [x]\n",
            "metadata: x\n",
            "  endpoint: http://[\n",
            "null: 1\n",
        ),
    ]
)


@given(st.lists(TOKENS, max_size=20).map("".join))
def test_no_manifest_makes_it_raise_anything_else(text: str) -> None:
    """Whatever is put together gives a desired stack, or a ManifestError with errors in our own words."""
    try:
        parse(text)
    except ManifestError as invalid:
        errors = [one for one in invalid.found if one.severity is Severity.ERROR]
        assert errors
        assert all(one.summary and one.detail for one in errors)
        assert all("pydantic" not in one.detail and "Input should" not in one.detail for one in errors)
