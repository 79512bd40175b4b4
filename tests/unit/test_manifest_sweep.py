"""Sweeps: which models a matrix makes, and what is told of one that cannot be made."""

from __future__ import annotations

import pytest

from reconciler.errors import ManifestError, Source
from reconciler.manifest.parse import ManifestFile, parse_manifests
from reconciler.model.address import ADDRESS_MAX_CHARS
from reconciler.model.desired import DesiredModel, Lifecycle, Priority

STACK = """\
apiVersion: tuneform/v1
kind: Stack
metadata: {name: support}
spec: {project: demo-project, location: us-central1}
"""
SWEEP = """\
apiVersion: tuneform/v1
kind: Sweep
metadata: {name: intent-sweep, labels: {team: support}}
spec:
  template:
    baseModel: gemini-2.5-flash
    trainingDatasetUri: gs://bucket/train.jsonl
"""


def swept(matrix: str, template: str = "", *, stack: str = STACK) -> tuple[DesiredModel, ...]:
    """The models of a sweep with that matrix, and with that line in its template."""
    text = SWEEP + (f"    {template}\n" if template else "") + f"  matrix: {{{matrix}}}\n"
    files = [ManifestFile("m/a.yaml", stack, ""), ManifestFile("m/b.yaml", text, "")]
    return parse_manifests(files, root="m")[0].models


def refused(matrix: str, template: str = "") -> list[tuple[str, str, str]]:
    """Rule, place and detail of what is wrong with a sweep."""
    with pytest.raises(ManifestError) as raised:
        swept(matrix, template)
    return [(one.rule, str(one.source), f"{one.summary}. {one.detail}") for one in raised.value.found]


def test_one_model_for_each_combination() -> None:
    """Each combination is a model with an address that says its values in the matrix's order."""
    models = swept("hyperParameters.epochCount: [2, 4], hyperParameters.adapterSize: [4, 8]")
    assert [
        "intent-sweep[epochCount=2,adapterSize=4]",
        "intent-sweep[epochCount=2,adapterSize=8]",
        "intent-sweep[epochCount=4,adapterSize=4]",
        "intent-sweep[epochCount=4,adapterSize=8]",
    ] == [one.address for one in models]
    assert {
        "baseModel": "gemini-2.5-flash",
        "location": "us-central1",
        "method": "supervised",
        "trainingDatasetUri": "gs://bucket/train.jsonl",
        "hyperParameters.epochCount": 4,
        "hyperParameters.adapterSize": 8,
        "labels.team": "support",
    } == models[3].fields
    assert 4 == len({one.fingerprint for one in models})


def test_a_value_of_the_matrix_has_its_own_place() -> None:
    """A field that the matrix set stands where its value is, all others in the template."""
    model = swept("hyperParameters.epochCount: [2, 4]")[1]
    assert Source("m/b.yaml", 1, 1) == model.source
    assert Source("m/b.yaml", 8, 44) == model.place_of("hyperParameters.epochCount")
    assert Source("m/b.yaml", 6, 5) == model.place_of("baseModel")


def test_the_matrix_wins_over_the_template() -> None:
    """A value of the matrix replaces the template's; what else the template says stays."""
    template = "hyperParameters: {epochCount: 9, beta: 0.5}"
    fields = swept("hyperParameters.epochCount: [1]", template)[0].fields
    assert (1, 0.5) == (fields["hyperParameters.epochCount"], fields["hyperParameters.beta"])


def test_defaults_stand_under_the_template() -> None:
    """The stack's defaults hold for sweeps as for models, labels too."""
    stack = STACK.replace(
        "us-central1}",
        "us-central1, defaults: {hyperParameters: {adapterSize: 8}, priority: low, lifecycle: {retries: 2}, "
        "labels: {team: x, cost: b}}}",
    )
    one = swept("hyperParameters.epochCount: [1]", stack=stack)[0]
    assert (8, "support", "b") == tuple(
        one.fields[key] for key in ("hyperParameters.adapterSize", "labels.team", "labels.cost")
    )
    assert (Priority.LOW, Lifecycle(retries=2)) == (one.priority, one.lifecycle)


def test_display_names_differ() -> None:
    """A display name of the template gets the part in brackets, so that each model has its own."""
    names = [
        one.fields["tunedModelDisplayName"]
        for one in swept("hyperParameters.epochCount: [1, 2]", "tunedModelDisplayName: Intent")
    ]
    assert ["Intent [epochCount=1]", "Intent [epochCount=2]"] == names


def test_any_field_that_shapes_a_model_can_be_swept() -> None:
    """Models, datasets, regions and parents can be swept over, not only hyper-parameters."""
    models = swept(
        "method: [supervised, preference], location: [us-central1, europe-west4], "
        "trainingDatasetUri: [gs://bucket/a, gs://bucket/b]"
    )
    assert 8 == len(models)
    assert "intent-sweep[method=preference,location=europe-west4,trainingDatasetUri=gs://bucket/a]" == models[0].address


@pytest.mark.parametrize(
    ("matrix", "addresses"),
    [
        (
            "hyperParameters.learningRateMultiplier: [1.0, 0.5]",
            ["learningRateMultiplier=0.5", "learningRateMultiplier=1"],
        ),
        ("hyperParameters.epochCount: [4.0]", ["epochCount=4"]),
        ("baseModel: [publishers/google/models/x, y-1]", ["baseModel=x", "baseModel=y-1"]),
    ],
)
def test_an_address_does_not_depend_on_spelling(matrix: str, addresses: list[str]) -> None:
    """1.0 and 1, and the two names of a base model, make the same address."""
    assert [f"intent-sweep[{one}]" for one in addresses] == [one.address for one in swept(matrix)]


def test_truth_values_are_small_in_an_address() -> None:
    """A truth value is written in an address as in YAML."""
    template = "pipelineTuning: {gcsOutputDirectory: gs://bucket/out}"
    models = swept("pipelineTuning.enableEarlyStopping: [true, false]", template)
    assert ["intent-sweep[enableEarlyStopping=false]", "intent-sweep[enableEarlyStopping=true]"] == [
        one.address for one in models
    ]


def test_a_member_can_be_a_parent() -> None:
    """Another model can go on from one member of a sweep, by its address."""
    child = (
        "apiVersion: tuneform/v1\nkind: TunedModel\nmetadata: {name: child}\nspec:\n"
        "  preTunedModel: {address: 'intent-sweep[epochCount=2]'}\n  trainingDatasetUri: gs://bucket/b\n"
    )
    text = f"{SWEEP}  matrix: {{hyperParameters.epochCount: [1, 2]}}\n---\n{child}"
    files = [ManifestFile("m/a.yaml", STACK, ""), ManifestFile("m/b.yaml", text, "")]
    models = parse_manifests(files, root="m")[0].by_address()
    parent = models["intent-sweep[epochCount=2]"]
    assert parent.fingerprint == models["child"].fields["preTunedModel.fingerprint"]


REFUSALS = [
    ("epochs: [1]", "8:12", "“epochs” is not a field that shapes a model."),
    ("hyperParameters.epochCont: [1]", "8:12", "Did you mean hyperParameters.epochCount?"),
    ("hyperparameters.epochcount: [1]", "8:12", "Did you mean hyperParameters.epochCount?"),
    ("hyperParameters: [{epochCount: 1}]", "8:12", "is not a field that shapes a model"),
    ("description: [a, b]", "8:12", "the sweep would pay several times for one"),
    ("tunedModelDisplayName: [a, b]", "8:12", "the sweep would pay several times for one"),
    ("preTunedModel.fingerprint: [a]", "8:12", "is not a field that shapes a model"),
    ("priority: [low]", "8:12", "is not a field that shapes a model"),
    ("hyperParameters.epochCount: []", "8:12", "It is empty."),
    ("hyperParameters.epochCount: 3", "8:12", "Write its values in brackets: [3]."),
    ("", "8:3", "It is empty."),
    ("hyperParameters.epochCount: [1, 2, 1]", "8:47", "It is already at m/b.yaml:8:41."),
    ("hyperParameters.epochCount: [1, 1.0]", "8:44", "It is already at m/b.yaml:8:41."),
    ("baseModel: [publishers/google/models/x, x]", "8:52", "It is already at m/b.yaml:8:24."),
    ("pipelineTuning.enableCheckpointSelection: [true, 'true']", "8:61", "It is already at m/b.yaml:8:55."),
    ("hyperParameters.epochCount: [1, null]", "8:44", "A matrix holds text, numbers, true and false."),
    ("hyperParameters.epochCount: [[1]]", "8:41", "A matrix holds text, numbers, true and false."),
    ("hyperParameters.epochCount: [1, x]", "8:44", "must be a whole number. It is “x”."),
    ("hyperParameters.epochCount: [1, '2']", "8:44", "Write it without quotes: 2."),
    ("hyperParameters.epochCount: [0, 1]", "8:41", "Vertex AI takes 0 as not set."),
    ("hyperParameters.epochCount: [1, 010]", "8:44", "Write 10, or quote it"),
    ("method: [supervised, other]", "8:33", "Write supervised or preference."),
    (f"hyperParameters.epochCount: {[*range(1, 202)]}", "8:3", "It makes 201 models, and can make at most 200."),
    (
        f"hyperParameters.epochCount: {[*range(1, 21)]}, hyperParameters.adapterSize: {[*range(1, 12)]}",
        "8:3",
        "It makes 220 models, and can make at most 200.",
    ),
    (
        f"trainingDatasetUri: [gs://bucket/{'x' * 200}, gs://bucket/b]",
        "8:3",
        f"can have at most {ADDRESS_MAX_CHARS}",
    ),
]


@pytest.mark.parametrize(("matrix", "place", "advice"), REFUSALS)
def test_a_wrong_matrix(matrix: str, place: str, advice: str) -> None:
    """What is wrong with a matrix is told once, at the path or the value that is wrong."""
    found = refused(matrix)
    assert [f"m/b.yaml:{place}"] == [one[1] for one in found]
    assert advice in found[0][2]


def test_a_wrong_template_is_told_once() -> None:
    """An error in the template is not told again for each of its models."""
    found = refused(
        "hyperParameters.epochCount: [1, 2, 3]", "preTunedModel: {tunedModelName: projects/p/locations/l/models/1}"
    )
    assert [("manifest-conflict", "m/b.yaml:8:5")] == [one[:2] for one in found]
    found = refused("hyperParameters.epochCount: [1, 2, 3]", "method: other")
    assert [("manifest-value", "m/b.yaml:8:5")] == [one[:2] for one in found]


def test_wrong_values_are_told_all_at_once() -> None:
    """Every wrong value of a matrix is told, each once however many models it would be in."""
    found = refused("hyperParameters.epochCount: [a, 1, 0], hyperParameters.adapterSize: [1, b]")
    assert ["m/b.yaml:8:41", "m/b.yaml:8:47", "m/b.yaml:8:84"] == [one[1] for one in found]


def test_a_display_name_that_gets_too_long() -> None:
    """The part in brackets counts towards the length of the display name."""
    found = refused("hyperParameters.epochCount: [1, 2]", f"tunedModelDisplayName: {'x' * 120}")
    assert {"m/b.yaml:8:5"} == {one[1] for one in found}
    assert "It has 135 characters, and can have at most 128." in found[0][2]


def test_two_hundred_models_are_allowed() -> None:
    """The limit is what is still allowed."""
    matrix = f"hyperParameters.epochCount: {[*range(1, 21)]}, hyperParameters.adapterSize: {[*range(1, 11)]}"
    assert 200 == len(swept(matrix))
