"""`tuneform import`: jobs made elsewhere, or known by their labels alone, come to stand for models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import ExitCode
from reconciler.simulator.answers import Request
from reconciler.simulator.simulator import Simulator
from reconciler.state.codec import decode_state
from reconciler.state.records import Origin, State
from tests.cli.harness import FAST, REAL_TIME, Ran, Shop, model

TUNED = ("no-op", "succeeded")
RUNNING = ("no-op", "in_progress")
NEW = ("create", "new")


def stored(shop: Shop) -> State:
    """The state as its file has it."""
    return decode_state(shop.state.read_text(encoding="utf-8"), str(shop.state))


def from_a_notebook(
    shop: Shop, data: str, *, epochs: int = 2, labels: dict[str, str] | None = None, ends: str = "well"
) -> str:
    """Tunes as somebody does in a notebook, over the API; the job's name. It `ends` well or badly at once, or never."""
    asked = {
        "baseModel": "gemini-3.5-flash",
        "labels": labels or {},
        "supervisedTuningSpec": {
            "trainingDatasetUri": f"gs://demo-data/{data}.jsonl",
            "hyperParameters": {"epochCount": str(epochs)},
        },
    }
    service = Simulator.on_file(shop.world, speed=REAL_TIME, concurrent_jobs=9)
    answer = service.respond(
        Request(
            method="POST",
            path="/v1/projects/demo-project/locations/us-central1/tuningJobs",
            headers={"authorization": "Bearer notebook", "content-type": "application/json"},
            body=json.dumps(asked).encode(),
        )
    )
    assert 200 == answer.status, answer.body
    name = str(answer.json()["name"])
    if ends == "well":
        service.finish_job(name)
    elif ends == "badly":
        service.fail_job(name)
    return name


def imported(shop: Shop, *words: str) -> Ran:
    """Import without asking."""
    return shop.run("import", *words, "--auto-approve")


@pytest.fixture
def settled(shop: Shop) -> Shop:
    """The stack with alpha tuned and recorded."""
    shop.models(model("alpha"))
    shop.apply()
    return shop


def test_a_job_from_a_notebook_comes_to_stand_for_a_model(settled: Shop) -> None:
    """A job that ran with the declared values is recorded as imported, and nothing is tuned for its model."""
    name = from_a_notebook(settled, "beta")
    settled.models(model("alpha"), model("beta"))
    assert NEW == settled.plan()["beta"]
    ran = imported(settled, "beta")
    assert 0 == ran.code, ran.err
    assert ["beta", "import", name] == ran.out.split()
    attempt = stored(settled).records["beta"].current
    assert (name, Origin.IMPORTED) == (attempt.job, attempt.origin)
    assert {"alpha": TUNED, "beta": TUNED} == settled.plan()
    assert 0 == settled.apply().code
    assert 2 == len(Simulator.on_file(settled.world).jobs())
    assert 0 == settled.run("history", "verify").code


def test_import_works_before_the_first_apply(shop: Shop) -> None:
    """Where no state exists yet, importing begins it."""
    from_a_notebook(shop, "alpha")
    from_a_notebook(shop, "beta")
    ran = imported(shop, "--all")
    assert 0 == ran.code, ran.err
    assert {"alpha": TUNED, "beta": TUNED, "gamma": NEW} == shop.plan()
    assert 0 == shop.apply().code
    assert 3 == len(Simulator.on_file(shop.world).jobs())


def test_a_running_job_can_be_imported_and_then_cancelled(settled: Shop) -> None:
    """An imported job is ours: with its manifest gone, it is to be cancelled."""
    settled.stack(speed=REAL_TIME)
    from_a_notebook(settled, "beta", ends="never")
    settled.models(model("alpha"), model("beta"))
    assert 0 == imported(settled, "beta").code
    assert RUNNING == settled.plan()["beta"]
    settled.models(model("alpha"))
    assert ("cancel", "removed") == settled.plan()["beta"]


@pytest.mark.parametrize("epochs", [3, 20])
def test_a_job_with_other_values_is_not_found(settled: Shop, epochs: int) -> None:
    """A job that ran with another value of any declared field is no match, and nothing is written."""
    from_a_notebook(settled, "beta", epochs=epochs)
    settled.models(model("alpha"), model("beta"))
    before = settled.state.read_bytes()
    for words in (("beta",), ("--all",)):
        ran = imported(settled, *words)
        assert (0, True) == (ran.code, "Nothing to import" in ran.err)
    assert before == settled.state.read_bytes()
    assert NEW == settled.plan()["beta"]


def test_a_failed_job_is_not_found(settled: Shop) -> None:
    """A job that made no model stands for nothing."""
    from_a_notebook(settled, "beta", ends="badly")
    settled.models(model("alpha"), model("beta"))
    assert "Nothing to import" in imported(settled, "beta").err


def test_of_several_jobs_the_newest_that_succeeded_is_taken_and_no_job_twice(shop: Shop) -> None:
    """Two models with the same values take two jobs; a success goes before a job that runs."""
    first, second = from_a_notebook(shop, "alpha"), from_a_notebook(shop, "alpha")
    from_a_notebook(shop, "alpha", ends="never")
    shop.stack(speed=REAL_TIME, slots=9)
    twin = model("beta", trainingDatasetUri="gs://demo-data/alpha.jsonl")
    shop.models(model("alpha"), twin)
    assert 0 == imported(shop, "--all").code
    jobs = {address: record.current.job for address, record in stored(shop).records.items()}
    assert {"alpha": second, "beta": first} == jobs


def test_a_named_job_is_imported_though_another_is_newer(settled: Shop) -> None:
    """--job chooses by full name or by its end."""
    first = from_a_notebook(settled, "beta")
    from_a_notebook(settled, "beta")
    settled.models(model("alpha"), model("beta"))
    assert 0 == imported(settled, "beta", "--job", first.rpartition("/")[2]).code
    assert first == stored(settled).records["beta"].current.job


def test_a_named_job_that_cannot_stand_for_the_model_is_refused(settled: Shop) -> None:
    """A job with other values, one that failed, one that is recorded already and none at all are told apart."""
    other = from_a_notebook(settled, "beta", epochs=3)
    failed = from_a_notebook(settled, "beta", ends="badly")
    taken = stored(settled).records["alpha"].current.job
    settled.models(model("alpha"), model("beta"))
    before = settled.state.read_bytes()
    for name, says in (
        (other, "The job ran with other values"),
        (failed, "The job made no model"),
        (taken, "The job is recorded already"),
        ("tuningJobs/1", "No job is called so"),
        ("tuningJobs", "No job is called so"),
    ):
        ran = imported(settled, "beta", "--job", name)
        assert (ExitCode.USAGE, True) == (ran.code, says in ran.err), ran.err
    assert "hyperParameters.epochCount 3" in " ".join(imported(settled, "beta", "--job", other).err.split())
    assert before == settled.state.read_bytes()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "Say what to import"),
        (("alpha", "--all"), "Say what to import"),
        (("--all", "--job", "1"), "A job stands for one address"),
        (("delta",), "No manifest declares this address"),
        (("delta", "--job", "1"), "No manifest declares this address"),
    ],
)
def test_what_is_to_be_imported_has_to_be_said(settled: Shop, words: tuple[str, ...], says: str) -> None:
    """Neither, both, and an address that nothing knows are wrong usage."""
    ran = imported(settled, *words)
    assert (ExitCode.USAGE, True) == (ran.code, says in ran.err), ran.err


def test_without_a_yes_nothing_is_imported(settled: Shop) -> None:
    """Where nobody can be asked, and nobody said yes beforehand, nothing is done."""
    from_a_notebook(settled, "beta")
    settled.models(model("alpha"), model("beta"))
    ran = settled.run("import", "beta")
    assert ExitCode.USAGE == ran.code
    assert "Nobody can be asked" in ran.err
    assert "beta" not in stored(settled).records


def test_an_incomplete_look_imports_nothing(settled: Shop) -> None:
    """A location that cannot be read may hide the better job."""
    from_a_notebook(settled, "beta")
    Simulator.on_file(settled.world).set_faults(unread_locations=("europe-west4",))
    settled.models(model("alpha"), model("beta"))
    ran = imported(settled, "--all")
    assert ExitCode.ERROR == ran.code
    assert "Not every location could be read" in ran.err
    assert "beta" not in stored(settled).records


def test_import_all_confirms_what_recover_found(settled: Shop) -> None:
    """After a recover, one import turns every record known by labels alone into a confirmed one, its spec unchanged."""
    settled.models(model("alpha"), model("beta"))
    settled.apply()
    settled.state.unlink()
    settled.run("state", "recover")
    recovered = stored(settled).records
    assert {Origin.LABEL} == {record.current.origin for record in recovered.values()}
    settled.models(model("beta", epochs=7))
    ran = imported(settled, "--all")
    assert 0 == ran.code, ran.err
    assert [["alpha", "confirm"], ["beta", "confirm"]] == [line.split()[:2] for line in ran.out.splitlines()]
    confirmed = stored(settled).records
    assert {Origin.IMPORTED} == {record.current.origin for record in confirmed.values()}
    assert {one.address: one.current.fingerprint for one in recovered.values()} == {
        one.address: one.current.fingerprint for one in confirmed.values()
    }


def test_a_look_alike_is_reported_and_not_touched(settled: Shop) -> None:
    """A running job that bears our labels, though we did not make it, is adopted by them and never cancelled."""
    [made] = Simulator.on_file(settled.world).jobs()
    copied = {key: value for key, value in made["labels"].items() if key != "tuneform-nonce"}
    alike = from_a_notebook(settled, "alpha", labels=copied, ends="never")
    settled.stack(speed=REAL_TIME)
    listed = settled.run("plan", "--json").document
    assert [alike] == listed["unmanaged"]
    assert "Jobs with this stack's labels that no address stands for (reported, not touched)" in settled.run("plan").out
    assert 0 == settled.apply("--no-wait").code
    settled.run("state", "rm", "alpha")
    assert ("adopt", "unrecorded") == settled.plan()["alpha"]
    settled.apply("--no-wait")
    settled.models(model("alpha", epochs=9))
    assert ("no-op", "look_alike") == settled.plan()["alpha"]
    assert 0 == settled.apply("--no-wait", "--allow-cancel", "9", "--allow-retrain", "9").code
    assert "pending" == settled.phases()["alpha"]
    assert 0 == imported(settled, "alpha").code
    assert ("delete/create", "spec_changed") == settled.plan()["alpha"]


def moved_to(shop: Shop, folder: str, models: tuple[dict[str, Any], ...]) -> Shop:
    """Another stack, with a name and a state of its own, in the same project and world."""
    other = Shop(shop.root / folder, shop.capture)
    (shop.root / folder).mkdir()
    other.stack(
        simulator={"speed": FAST, "concurrentJobs": 2, "world": "../../state/simulator-world.json"},
    )
    path = other.manifests / "stack.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace('"name": "support"', f'"name": "{folder}"'))
    other.models(*models)
    return other


def test_a_manifest_moved_to_another_stack_takes_its_model_along(shop: Shop) -> None:
    """Only --take-over imports another stack's job; it says how the old stack lets go, and then nobody tunes again."""
    shop.apply()
    shop.models(model("alpha"), model("beta"))
    other = moved_to(shop, "billing", (model("gamma"),))
    assert NEW == other.plan()["gamma"]
    assert "Nothing to import" in imported(other, "gamma").err
    taken = imported(other, "gamma", "--take-over")
    assert 0 == taken.code, taken.err
    assert "gamma was made by stack support" in taken.err
    assert {"gamma": TUNED} == other.plan()
    assert 0 == shop.run("state", "rm", "gamma").code
    assert {"alpha": TUNED, "beta": TUNED} == shop.plan()
    assert (0, 0) == (shop.apply().code, other.apply().code)
    assert ["alpha", "beta", "gamma"] == shop.jobs()


def test_a_lost_states_jobs_are_taken_over_one_by_one(shop: Shop) -> None:
    """After --new-owner, --take-over takes the models of the lineage before, and the error of the plan is gone."""
    shop.apply()
    shop.state.unlink()
    shop.models(model("alpha"))
    foreign = shop.run("plan", "--new-owner")
    assert f"      tuneform import --take-over alpha --manifests {shop.manifests}\n" in foreign.out
    assert 0 == imported(shop, "--take-over", "alpha").code
    assert {"alpha": TUNED} == shop.plan()
    assert Path(shop.state).exists()
