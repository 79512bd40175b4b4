"""Every way a manifest can be wrong: one error each, at its line and column, that says what to write."""

from __future__ import annotations

import pytest

from reconciler.errors import Diagnostic, ManifestError, Severity, Source
from reconciler.manifest.parse import ManifestFile, parse_manifests
from reconciler.model.labels import USER_LABELS_MAX_COUNT

PATH = "manifests/a.yaml"
STACK = """\
apiVersion: tuneform/v1
kind: Stack
metadata: {name: support}
spec:
  project: demo-project
  location: us-central1
"""
STACK_LINES = 6
HEAD = """\
---
apiVersion: tuneform/v1
kind: TunedModel
metadata: {name: intent}
spec:
"""
SPEC = """\
  baseModel: gemini-2.5-flash
  trainingDatasetUri: gs://bucket/train.jsonl
"""
# The line of what a model's spec has after SPEC.
AFTER = STACK_LINES + 8


def problems(*texts: str) -> tuple[Diagnostic, ...]:
    """What is told of manifests that are wrong; each text is a file, named a.yaml, b.yaml and so on."""
    files = [ManifestFile(f"manifests/{chr(97 + index)}.yaml", text, "0" * 64) for index, text in enumerate(texts)]
    with pytest.raises(ManifestError) as raised:
        parse_manifests(files, root="manifests")
    return raised.value.found


def the_one(*texts: str) -> tuple[str, int, int, str]:
    """Rule, line, column and detail of the only problem there is."""
    found = problems(*texts)
    assert 1 == len(found), "\n".join(f"{one.source} {one.summary}: {one.detail}" for one in found)
    (one,) = found
    assert one.source is not None
    assert Severity.ERROR is one.severity
    return one.rule, one.source.line, one.source.column, f"{one.summary}. {one.detail}"


def column_of(line: str) -> int:
    """The column of the key that a line of a spec is about: the inner one of a mapping in braces that is a field's."""
    outer, _, rest = line.partition(": ")
    nested = outer in ("hyperParameters", "encryptionSpec", "lifecycle") and rest.startswith("{")
    return line.index("{") + 4 if nested else 3


UNKNOWN = [
    ("training_dataset_uri: x", "Write trainingDatasetUri."),
    ("TrainingDatasetURI: x", "Write trainingDatasetUri."),
    ("hyper_parameters: {epoch_count: 1}", "Write hyperParameters."),
    ("tuned_model_display_name: x", "Write tunedModelDisplayName."),
    ("baseModle: x", "Did you mean baseModel?"),
    ("hyperParams: x", "Did you mean hyperParameters?"),
    ("supervisedTuningSpec: {trainingDatasetUri: x}", "directly in the spec, and method: supervised."),
    ("supervised_tuning_spec: {}", "directly in the spec, and method: supervised."),
    ("preferenceOptimizationSpec: {}", "directly in the spec, and method: preference."),
    ("epochs: 4", "It belongs elsewhere: spec.hyperParameters.epochCount."),
    ("epochCount: 4", "It belongs elsewhere: spec.hyperParameters.epochCount."),
    ("adapter_size: 4", "It belongs elsewhere: spec.hyperParameters.adapterSize."),
    ("kmsKeyName: x", "It belongs elsewhere: spec.encryptionSpec.kmsKeyName."),
    ("retries: 1", "It belongs elsewhere: spec.lifecycle.retries."),
    ("train_steps: 300", "It belongs elsewhere: spec.pipelineTuning.trainSteps."),
    ("large_model_reference: x", "Write baseModel."),
    ("source_model: x", "Write baseModel."),
    ("train_dataset: x", "Write trainingDatasetUri."),
    ("dataset_uri: x", "Write trainingDatasetUri."),
    ("model_display_name: x", "Write tunedModelDisplayName."),
    ("displayName: x", "Write tunedModelDisplayName."),
    ("region: x", "Write location."),
    ("runtimeConfig: {}", "Write pipelineTuning."),
    ("name: x", "Write it in metadata."),
    ("labels: {a: b}", "Write it in metadata."),
    ("wholly_other: 1", "Its fields are baseModel, preTunedModel,"),
    ("hyperParameters: {epoch_count: 4}", "Write epochCount."),
    ("hyperParameters: {epochs: 4}", "Write epochCount."),
    ("hyperParameters: {epochCounts: 4}", "Did you mean epochCount?"),
    ("hyperParameters: {trainSteps: 4}", "It belongs elsewhere: spec.pipelineTuning.trainSteps."),
    ("lifecycle: {on_remove: keep}", "Write onRemove."),
    ("encryptionSpec: {key: x}", "Its fields are kmsKeyName."),
]


@pytest.mark.parametrize(("line", "advice"), UNKNOWN)
def test_an_unknown_field_is_told_with_what_was_meant(line: str, advice: str) -> None:
    """An unknown key is an error at the key, with the field that was probably meant."""
    rule, at_line, at_column, detail = the_one(f"{STACK}{HEAD}{SPEC}  {line}\n")
    assert ("manifest-unknown-field", AFTER, column_of(line)) == (rule, at_line, at_column)
    assert advice in detail


def test_a_misnamed_field_is_not_missed_too() -> None:
    """The API's own spelling is told once, not also as a field that is missing."""
    text = "  base_model: gemini-2.5-flash\n  supervisedTuningSpec: {training_dataset_uri: gs://bucket/a}\n"
    assert ["manifest-unknown-field"] * 2 == [one.rule for one in problems(STACK + HEAD + text)]


WRONG_VALUES = [
    ("baseModel: 4", 'Write it in quotes: "4".'),
    ("baseModel: 1.50", 'Write it in quotes: "1.5".'),
    ("baseModel: true", 'Write it in quotes: "true".'),
    ("baseModel: [x]", "It is a list."),
    ("baseModel: gemini 2", "Write a model id"),
    ("baseModel: gemini/", "Write a model id"),
    (f"baseModel: {'x' * 201}", "at most 200"),
    ("method: supervize", "Did you mean supervised? Write supervised or preference."),
    ("method: Supervised", "Did you mean supervised?"),
    ("method: 3", "Write supervised or preference."),
    ("location: US", "Write a region, such as us-central1."),
    ("location: europe west4", "Write a region"),
    ("hyperParameters: 4", "Write “key: value” lines below it, indented."),
    ("hyperParameters: [epochCount]", "It is a list. Write “key: value” lines below it"),
    ('hyperParameters: {epochCount: "4"}', "“4” in quotes is text. Write it without quotes: 4."),
    ("hyperParameters: {epochCount: four}", "must be a whole number. It is “four”."),
    ("hyperParameters: {epochCount: 4.5}", "must be a whole number. It is 4.5."),
    ("hyperParameters: {epochCount: true}", "must be a whole number. It is true."),
    ("hyperParameters: {epochCount: 0}", "Vertex AI takes 0 as not set."),
    ("hyperParameters: {epochCount: 0.0}", "Vertex AI takes 0 as not set."),
    ("hyperParameters: {epochCount: -1}", "It is -1, and must be at least 1."),
    ("hyperParameters: {adapterSize: ADAPTER_SIZE_FOUR}", "Write 4."),
    ("hyperParameters: {adapterSize: adapter_size_thirty_two}", "Write 32."),
    ("hyperParameters: {adapterSize: 0}", "Vertex AI takes 0 as not set."),
    ("hyperParameters: {learningRateMultiplier: 0}", "Vertex AI takes 0 as not set. Remove the line"),
    ("hyperParameters: {learningRateMultiplier: -0.5}", "It is -0.5, and must be above 0."),
    ('hyperParameters: {learningRateMultiplier: "1.0"}', "Write it without quotes: 1.0."),
    ("hyperParameters: {learningRateMultiplier: false}", "must be a number. It is false."),
    ("hyperParameters: {beta: x}", "must be a number"),
    ("hyperParameters: {learningRate: 0}", "Vertex AI takes 0 as not set."),
    ("hyperParameters: {batchSize: 0}", "Vertex AI takes 0 as not set."),
    ("tuningMode: TUNING_MODE_FULL", "Write FULL or PEFT_ADAPTER."),
    (f"tunedModelDisplayName: {'x' * 129}", "It has 129 characters, and can have at most 128."),
    ('tunedModelDisplayName: ""', "It is empty."),
    ('description: ""', "It is empty."),
    ("description: 2026", 'Write it in quotes: "2026".'),
    ("encryptionSpec: {kmsKeyName: my-key}", "Write projects/PROJECT/locations/LOCATION/keyRings/RING/cryptoKeys/KEY."),
    ("serviceAccount: tuner", "Write the service account's address"),
    ('exportLastCheckpointOnly: "true"', "Write it without quotes: true."),
    ("exportLastCheckpointOnly: 1", "must be true or false. It is 1."),
    ("evaluationConfig: [a]", "must be a mapping"),
    ("outputUri: bucket/out", "local path"),
    ("customBaseModel: s3://bucket/out", "Only Cloud Storage"),
    ("priority: urgent", "Write low, normal or high."),
    ("priority: HIGH", "Did you mean high?"),
    ("lifecycle: {onRemove: remove}", "Write keep or delete."),
    ("lifecycle: {onDatasetChange: retry}", "Write warn, retrain or ignore."),
    ("lifecycle: {onParentChange: ignore}", "Write warn or retrain."),
    ("lifecycle: {retries: 11}", "It is 11, and can be at most 10."),
    ("lifecycle: {retries: -1}", "It is -1, and must be at least 0."),
    ('lifecycle: {preventReplace: "false"}', "Write it without quotes: false."),
]


@pytest.mark.parametrize(("line", "advice"), WRONG_VALUES)
def test_a_wrong_value_is_told_with_what_to_write(line: str, advice: str) -> None:
    """A value that a field does not take is an error at the field, in words, with what it takes."""
    own_model = line.startswith("baseModel")
    text = SPEC.splitlines(True)[1] if own_model else SPEC
    rule, *place, detail = the_one(f"{STACK}{HEAD}{text}  {line}\n")
    assert rule in ("manifest-type", "manifest-value")
    assert [AFTER - own_model, column_of(line)] == place
    assert advice in detail


URIS = [
    (
        "train.jsonl",
        "It is a local path, and a tuning job can only read Cloud Storage. Upload it with “gcloud storage cp",
    ),
    ("./data/train.jsonl", "It is a local path"),
    ("/data/train.jsonl", "It is a local path"),
    ("gs://bucket", "It names no object."),
    ("gs://bucket/", "It names no object."),
    ("gs:///train.jsonl", "It names no object."),
    ("gs://bucket/folder/", "It names a folder, not an object."),
    ("gs://Bucket/train.jsonl", "It is not a name Cloud Storage can have."),
    ("gs://b/train.jsonl", "It is not a name Cloud Storage can have."),
    ('"gs://bucket/a\\tb"', "It is not a name Cloud Storage can have."),
    ("gs://bucket/train.jsonl?generation=1", "without ? and #"),
    ("'gs://bucket/train.jsonl#1'", "without ? and #"),
    ("https://storage.googleapis.com/bucket/train.jsonl", "Write it as gs://bucket/train.jsonl."),
    ("https://storage.cloud.google.com/bucket/train.jsonl?authuser=1", "Write it as gs://bucket/train.jsonl."),
    ("https://example.com/train.jsonl", "Only Cloud Storage can be read"),
    ("s3://bucket/train.jsonl", "Only Cloud Storage can be read"),
    ("file:///etc/passwd", "Only Cloud Storage can be read"),
    ("projects/p/datasets/1", "Write projects/PROJECT/locations/LOCATION/datasets/DATASET"),
]


@pytest.mark.parametrize("field", ["trainingDatasetUri", "validationDatasetUri"])
@pytest.mark.parametrize(("uri", "advice"), URIS)
def test_a_dataset_is_an_object_in_cloud_storage(field: str, uri: str, advice: str) -> None:
    """What cannot be a dataset is refused with the way to make it one."""
    text = SPEC if field != "trainingDatasetUri" else SPEC.split("\n")[0] + "\n"
    rule, _, column, detail = the_one(f"{STACK}{HEAD}{text}  {field}: {uri}\n")
    assert ("manifest-value", 3) == (rule, column)
    assert advice in detail


@pytest.mark.parametrize(
    "uri",
    [
        "gs://bucket/train.jsonl",
        "gs://my-gcs-bucket-uri/dataset",
        "gs://my.bucket_1/a/b c/train (2).jsonl",
        "gs://bucket/größe.jsonl",
        "projects/demo-project/locations/us-central1/datasets/123",
    ],
)
def test_a_dataset_can_have_any_name_storage_has(uri: str) -> None:
    """Any object's name, and a dataset's resource name, is taken as written."""
    text = f"{STACK}{HEAD}  baseModel: x\n  trainingDatasetUri: {uri}\n"
    desired, _ = parse_manifests([ManifestFile(PATH, text, "")], root="manifests")
    assert uri == desired.models[0].fields["trainingDatasetUri"]


def test_a_signature_is_not_repeated() -> None:
    """What follows a question mark may be a secret, and is in no message."""
    uri = "https://storage.googleapis.com/bucket/a.jsonl?X-Goog-Signature=canary"
    found = problems(f"{STACK}{HEAD}{SPEC}  validationDatasetUri: {uri}\n  outputUri: {uri}\n  location: a?canary\n")
    assert 3 == len(found)
    assert not [one for one in found if "canary" in one.summary + one.detail]


BETWEEN_FIELDS = [
    (
        "both models",
        f"{SPEC}  preTunedModel: {{tunedModelName: projects/p/locations/l/models/1}}\n",
        "conflict",
        3,
        3,
        "baseModel and preTunedModel exclude",
    ),
    ("no model", SPEC.split("\n")[1] + "\n", "missing-field", -1, 1, "write baseModel"),
    ("no dataset", SPEC.split("\n")[0] + "\n", "missing-field", -1, 1, "Write trainingDatasetUri: gs://bucket"),
    (
        "no parent",
        "  trainingDatasetUri: gs://bucket/a\n  preTunedModel: {checkpointId: '3'}\n",
        "missing-field",
        2,
        3,
        "Write address",
    ),
    (
        "two parents",
        "  trainingDatasetUri: gs://bucket/a\n  preTunedModel:\n    tunedModelName: projects/p/locations/l/models/1\n"
        "    address: other\n" + HEAD.replace("intent", "other") + SPEC,
        "conflict",
        3,
        5,
        "exclude each other",
    ),
    (
        "hyperParameters in a pipeline",
        f"{SPEC}  hyperParameters: {{epochCount: 1}}\n  pipelineTuning: {{gcsOutputDirectory: gs://bucket}}\n",
        "conflict",
        4,
        3,
        f"hyperParameters is at {PATH}:14:3; pipelineTuning is at {PATH}:15:3",
    ),
    (
        "preference in a pipeline",
        f"{SPEC}  method: preference\n  pipelineTuning: {{gcsOutputDirectory: gs://bucket}}\n",
        "conflict",
        4,
        3,
        "supervised tuning only",
    ),
    (
        "validation in a pipeline",
        f"{SPEC}  validationDatasetUri: gs://bucket/b\n  pipelineTuning: {{gcsOutputDirectory: gs://bucket}}\n",
        "conflict",
        3,
        3,
        "Move it there",
    ),
    ("no output folder", f"{SPEC}  pipelineTuning: {{trainSteps: 3}}\n", "missing-field", 3, 3, "gcsOutputDirectory"),
    (
        "a pipeline from a tuned model",
        "  preTunedModel: {tunedModelName: projects/p/locations/l/models/1}\n  trainingDatasetUri: gs://bucket/a\n"
        "  pipelineTuning: {gcsOutputDirectory: gs://bucket}\n",
        "conflict",
        3,
        3,
        "from a base model",
    ),
    (
        "a number as a checkpoint",
        SPEC.split("\n")[1] + "\n  preTunedModel: {tunedModelName: projects/p/locations/l/models/1, checkpointId: 3}\n",
        "type",
        2,
        68,
        'Write it in quotes: "3".',
    ),
    (
        "a tuned model's short name",
        SPEC.split("\n")[1] + "\n  preTunedModel: {tunedModelName: '123'}\n",
        "value",
        2,
        19,
        "with @version where wanted",
    ),
]


@pytest.mark.parametrize(
    ("spec", "rule", "line", "column", "advice"), [pytest.param(*rest, id=name) for name, *rest in BETWEEN_FIELDS]
)
def test_fields_that_do_not_go_together(spec: str, rule: str, line: int, column: int, advice: str) -> None:
    """A rule between fields is told at the field that breaks it; what is missing, at what it is missing from."""
    at_line = STACK_LINES + 5 + (line if line > 0 else 0)
    actual = the_one(STACK + HEAD + spec)
    assert (f"manifest-{rule}", at_line, column) == actual[:3]
    assert advice in actual[3]


NAMES = [
    ("Intent", "Use small letters"),
    ("1st", "Use small letters"),
    ("a_b", "Use small letters"),
    ("a.b", "Use small letters"),
    (f"a{'b' * 63}", "at most 63"),
    ("7", 'Write it in quotes: "7".'),
    ('""', "Use small letters"),
]


@pytest.mark.parametrize(("name", "advice"), NAMES)
def test_a_name_fits_everywhere(name: str, advice: str) -> None:
    """A name that cannot be one is refused at metadata.name."""
    _, line, column, detail = the_one(STACK + HEAD.replace("name: intent", f"name: {name}") + SPEC)
    assert (STACK_LINES + 4, 12) == (line, column)
    assert advice in detail


LABELS = [
    ("{Team: a}", 35, "“Team”: It is “Team”. Use small letters"),
    ("{1a: a}", 35, "“1a”: It is “1a”. Use small letters"),
    ("{team: A}", 35, "“team”: It is “A”. Use small letters"),
    ("{team: 7}", 35, '“team”: 7 without quotes is not text. Write it in quotes: "7".'),
    ("{ok: a, team: [a]}", 42, "“team”: It is a list."),
    (f"{{team: {'a' * 64}}}", 35, "at most 63"),
    ("{managed-by: me}", 35, "“managed-by” is tuneform's own. Rename it."),
    ("{ok: a, tuneform-owner: me}", 42, "“tuneform-owner” is tuneform's own."),
    ("{google-x: me}", 35, "“google-x” is reserved by Google."),
    ("[team]", 26, "must be a mapping"),
    ("{" + ", ".join(f"k{index}: v" for index in range(USER_LABELS_MAX_COUNT + 1)) + "}", 26, "at most 57"),
]


@pytest.mark.parametrize(("labels", "column", "advice"), LABELS)
def test_labels_are_the_users_own(labels: str, column: int, advice: str) -> None:
    """A label that Google would refuse, or that is not the user's to set, is refused at its key."""
    text = HEAD.replace("{name: intent}", f"{{name: intent, labels: {labels}}}")
    _, *place, detail = the_one(STACK + text + SPEC)
    assert [STACK_LINES + 4, column] == place
    assert advice in detail


OTHER = HEAD.removeprefix("---\n").replace("intent", "other")
DOCUMENTS = [
    ("a list", "- a\n", 1, 1, "A manifest is a mapping"),
    ("text", "hello\n", 1, 1, "A manifest is a mapping"),
    ("no kind", "apiVersion: tuneform/v1\n", 1, 1, "It has no kind. Write one of Stack, TunedModel, Sweep."),
    ("no apiVersion", "kind: Stack\n", 1, 1, "It has no apiVersion. Write apiVersion: tuneform/v1."),
    ("other version", "kind: Stack\napiVersion: tuneform/v2\n", 2, 1, "tuneform/v2 is not known here."),
    ("other kind", "apiVersion: tuneform/v1\nkind: Job\n", 2, 1, "Job is not one."),
    ("near kind", "apiVersion: tuneform/v1\nkind: tuned_model\n", 2, 1, "Did you mean TunedModel?"),
    ("kind of a wrong type", "apiVersion: tuneform/v1\nkind: [Stack]\n", 2, 1, "is not one."),
    ("no kind, refused", "apiVersion: tuneform/v1\nkind: no\n", 2, 7, "truth value"),
    ("unknown key", OTHER + SPEC + "status: {}\n", 7, 1, "Its fields are apiVersion, kind, metadata, spec."),
    ("spec's key on top", OTHER + SPEC + "location: x\n", 7, 1, "It belongs elsewhere: spec.location."),
    ("no metadata", "apiVersion: tuneform/v1\nkind: TunedModel\nspec:\n" + SPEC, 1, 1, "metadata is missing"),
    ("no name", (OTHER + SPEC).replace("{name: other}", "{}"), 3, 1, "metadata.name is missing"),
    ("metadata as text", (OTHER + SPEC).replace("{name: other}", "intent"), 3, 1, "metadata must be a mapping"),
    (
        "unknown in metadata",
        (OTHER + SPEC).replace("other}", "other, annotations: {}}"),
        3,
        25,
        "not a field of metadata",
    ),
    ("no spec", OTHER.partition("spec")[0], 1, 1, "spec is missing"),
    ("spec as text", OTHER.replace("spec:", "spec: x"), 4, 1, "spec must be a mapping"),
]


@pytest.mark.parametrize(
    ("text", "line", "column", "advice"), [pytest.param(*rest, id=name) for name, *rest in DOCUMENTS]
)
def test_a_document_that_is_no_manifest(text: str, line: int, column: int, advice: str) -> None:
    """A document of no known kind, or without its parts, is told once and hides nothing else."""
    found = problems(STACK + HEAD + SPEC, text)
    assert [Source("manifests/b.yaml", line, column)] == [one.source for one in found]
    assert advice in f"{found[0].summary}. {found[0].detail}"


STACKS = [
    ("project: Demo", 3, "spec.project has the wrong form"),
    ("project: 123456789012", 3, "Write it in quotes"),
    ("location: US", 3, "Write a region"),
    ("loction: x", 3, "Did you mean location?"),
    ("catalogue_as_of: 2026-01-01", 3, "Write catalogueAsOf."),
    ("maxSlots: 2", 3, "It belongs elsewhere: spec.quota.maxSlots."),
    ("epochCount: 2", 3, "It belongs elsewhere: spec.defaults.hyperParameters.epochCount."),
    ("catalogueAsOf: 20 Nov 2026", 3, "Write a date as YYYY-MM-DD."),
    ("catalogueAsOf: 2026-02-30", 3, "There is no day 2026-02-30."),
    ("catalogueAsOf: 20261120", 3, "Write it in quotes"),
    ("endpoint: vertex.example.com", 3, "Write simulator, or a URL"),
    ("endpoint: Simulator", 3, "Write simulator, or a URL"),
    ("endpoint: ftp://example.com", 3, "Write simulator, or a URL"),
    ("endpoint: 'https://'", 3, "Write simulator, or a URL"),
    ("endpoint: 'http://['", 3, "It is not a URL."),
    ("endpoint: 'https://h:99999999'", 3, "It is not a URL."),
    ("endpoint: http://example.com", 3, "Plain http would show your access token"),
    ("endpoint: http://10.0.0.1", 3, "http is for loopback only"),
    ("endpoint: http://localhost.example.com", 3, "http is for loopback only"),
    ("endpoint: https://me:secret@example.com", 3, "Remove them."),
    ("endpoint: https://example.com/?key=secret", 3, "It has a query or a fragment."),
    ('endpoint: ""', 3, "It is empty."),
    ("state: https://example.com/x", 3, "State lives in a file, or under gs://"),
    ("state: gs://", 3, "It names no bucket."),
    ("state: ~/state.json", 3, "~ is not read as your home folder."),
    ("state: ../state/", 3, "It names a folder."),
    ('state: ""', 3, "It is empty."),
    ("quota: {concurrentJobs: automatic}", 11, "Write a number, or auto."),
    ("quota: {concurrentJobs: -1}", 11, "must be at least 0"),
    ("quota: {maxSlots: 1.5}", 11, "must be a whole number"),
    ("quota: {slots: 1}", 11, "Did you mean maxSlots?"),
    ("simulator: {}", 3, "Write endpoint: simulator, or remove it."),
    ("endpoint: simulator\n  simulator: {speed: 0}", 15, "must be above 0"),
    ("endpoint: simulator\n  simulator: {concurrentJobs: auto}", 15, "must be a whole number"),
    ("endpoint: simulator\n  simulator: {overQuota: queue}", 15, "Write refuse or wait."),
    ("endpoint: simulator\n  simulator: {world: gs://bucket/w}", 15, "is a local file"),
    ("endpoint: simulator\n  simulator: {world: ../state/}", 15, "is a local file"),
    (
        "defaults: {hyperParameters: {epochCount: x}}",
        32,
        "spec.defaults.hyperParameters.epochCount must be a whole number",
    ),
    ("defaults: {labels: {Team: a}}", 23, "“Team”"),
    ("defaults: {labels: {google-a: a}}", 23, "reserved by Google"),
    ("defaults: {base_model: x}", 14, "Write baseModel."),
    ("defaults: [x]", 3, "must be a mapping"),
]


@pytest.mark.parametrize(("line", "column", "advice"), STACKS)
def test_a_wrong_stack(line: str, column: int, advice: str) -> None:
    """What is wrong in a stack is told once, at its place, although it may concern every model."""
    key = line.split(":")[0]
    stack = "".join(one for one in STACK.splitlines(True) if not one.startswith(f"  {key}:"))
    one = HEAD + SPEC
    rule, at_line, at_column, detail = the_one(
        f"{stack}  {line}\n{one}{one.replace('intent', 'other').replace('train.', 'x.')}"
    )
    assert rule.startswith("manifest-")
    assert (stack.count("\n") + line.count("\n") + 1, column) == (at_line, at_column)
    assert advice in detail
    assert "secret" not in detail


@pytest.mark.parametrize("field", ["project", "location"])
def test_a_stack_needs_a_project_and_a_location(field: str) -> None:
    """What a stack cannot be without is told with what it is."""
    stack = "".join(one for one in STACK.splitlines(True) if not one.startswith(f"  {field}:"))
    rule, line, column, detail = the_one(stack + HEAD + SPEC)
    assert ("manifest-missing-field", 4, 1) == (rule, line, column)
    assert f"spec.{field} is missing" in detail


def test_an_empty_field_that_is_needed() -> None:
    """A key without a value is told as such."""
    assert (
        "It has no value. Write one, or remove the line." in the_one(STACK.replace("demo-project", "") + HEAD + SPEC)[3]
    )


def test_no_stack_names_the_command_that_makes_one() -> None:
    """Without a stack there is nowhere to put models."""
    (one,) = problems(HEAD + SPEC)
    assert ("manifest-stack", None, "tuneform init") == (one.rule, one.source, one.command)
    assert "manifests" in one.detail


def test_two_stacks_name_both_places() -> None:
    """A second stack is told at its place, with the place of the first."""
    (one,) = problems(STACK, HEAD + SPEC, STACK.replace("support", "other"))
    assert ("manifest-stack", Source("manifests/c.yaml", 1, 1)) == (one.rule, one.source)
    assert "manifests/a.yaml:1:1" in one.detail


def test_no_models_names_the_command_that_removes_them() -> None:
    """An empty stack is never taken as the wish to have nothing."""
    (one,) = problems(STACK)
    assert ("manifest-no-models", "tuneform destroy") == (one.rule, one.command)


@pytest.mark.parametrize("broken", ["a: [", "kind: Stack", "a: " + "[" * 60])
def test_what_may_be_in_an_unread_document_is_not_missed(broken: str) -> None:
    """While something could not be read, no stack, models or parents are said to be missing."""
    child = HEAD + "  preTunedModel: {address: elsewhere}\n  trainingDatasetUri: gs://bucket/a\n"
    assert [Source("manifests/b.yaml", 1, 1).path] == [one.source.path for one in problems(child, broken) if one.source]


def test_a_name_is_declared_once() -> None:
    """A second model of one name is told at its name, with the place of the first, whatever its kind."""
    sweep = (
        "apiVersion: tuneform/v1\nkind: Sweep\nmetadata: {name: intent}\nspec:\n"
        "  template: {baseModel: x, trainingDatasetUri: gs://bucket/b}\n"
        "  matrix: {hyperParameters.epochCount: [1]}\n"
    )
    (one,) = problems(STACK + HEAD + SPEC, sweep)
    assert ("manifest-duplicate-name", Source("manifests/b.yaml", 3, 12)) == (one.rule, one.source)
    assert "manifests/a.yaml:10:12" in one.detail


def linked(*pairs: tuple[str, str]) -> str:
    """A stack of models, each tuned on from another."""
    return STACK + "".join(
        HEAD.replace("intent", name)
        + f"  preTunedModel: {{address: '{parent}'}}\n  trainingDatasetUri: gs://bucket/{name}\n"
        for name, parent in pairs
    )


def test_a_parent_has_to_be_there() -> None:
    """A parent that nobody declares is told at its address, with the one that was probably meant."""
    rule, line, column, detail = the_one(linked(("a", "intnt")) + HEAD + SPEC)
    assert ("manifest-parent", STACK_LINES + 6, 19) == (rule, line, column)
    assert "Did you mean intent?" in detail


def test_a_parent_that_is_wrong_is_there_all_the_same() -> None:
    """A parent whose own manifest has an error is not told as missing too."""
    assert ["manifest-value"] == [one.rule for one in problems(linked(("a", "intent")) + HEAD + SPEC + "  method: x\n")]


def test_models_cannot_wait_for_each_other() -> None:
    """Each circle of parents is told once, with all who are in it, and not for those who only lead to it."""
    found = problems(linked(("a", "b"), ("b", "c"), ("c", "b"), ("d", "d")))
    assert ["manifest-cycle"] * 2 == [one.rule for one in found]
    assert "b → c → b" in found[0].detail
    assert "d → d" in found[1].detail


def test_all_errors_of_all_documents_are_told_at_once() -> None:
    """Errors of the YAML, of shape, between fields and across documents come together, sorted by place."""
    first = HEAD + "  baseModel: 4\n  hyperParameters: {epochCount: no}\n"
    second = HEAD.replace("intent", "b") + SPEC + "  preTunedModel: {address: a}\n"
    found = problems(STACK.replace("demo-project", "X") + first + HEAD + SPEC, second, "a: [")
    assert [
        ("manifest-value", "manifests/a.yaml", 5),
        ("manifest-missing-field", "manifests/a.yaml", 11),
        ("manifest-type", "manifests/a.yaml", 12),
        ("yaml-ambiguous", "manifests/a.yaml", 13),
        ("manifest-duplicate-name", "manifests/a.yaml", 17),
        ("manifest-conflict", "manifests/b.yaml", 8),
        ("yaml-syntax", "manifests/c.yaml", 2),
    ] == [(one.rule, one.source.path, one.source.line) for one in found if one.source]


def test_a_conflict_with_the_defaults_names_both_places() -> None:
    """Where a model conflicts with itself by a default, the default's own place is named."""
    stack = STACK + "  defaults: {tuningMode: FULL, method: preference}\n"
    spec = SPEC + "  pipelineTuning: {gcsOutputDirectory: gs://bucket}\n"
    rule, line, _, detail = the_one(stack + HEAD + spec)
    assert ("manifest-conflict", AFTER + 1) == (rule, line)
    assert f"method is at {PATH}:7:32" in detail
