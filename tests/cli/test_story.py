"""The life of a stack as its user meets it, command by command, on the embedded simulator."""

from __future__ import annotations

import json
import shutil

import pytest

from tests.cli.harness import REAL_TIME, ROOT, Shop, model


def test_apply_tunes_every_model_within_the_quota(shop: Shop) -> None:
    """A first apply submits every model once, never more than the slots at a time, and ends when all have ended."""
    ran = shop.apply()
    assert 0 == ran.code, ran.err
    assert ["alpha", "beta", "gamma"] == shop.jobs()
    assert {"alpha": "succeeded", "beta": "succeeded", "gamma": "succeeded"} == shop.phases()
    assert "3 models: 3 succeeded." in ran.out
    assert "gamma: queued (place 1, all 2 slots used)" in ran.err


def test_progress_tells_what_frees_a_slot_before_what_takes_it(shop: Shop) -> None:
    """The end of a job is told before the submission that takes its slot."""
    shop.stack(slots=1)
    told = shop.apply().err.splitlines()
    ended = next(at for at, line in enumerate(told) if "alpha: succeeded" in line)
    assert ended < next(at for at, line in enumerate(told) if "beta: submitted" in line)


def test_what_is_tuned_is_left_alone(shop: Shop) -> None:
    """A second apply of the same manifests does nothing and says so."""
    shop.apply()
    ran = shop.apply()
    assert 0 == ran.code
    assert "No changes: 3 models as declared." in ran.out
    assert ["alpha", "beta", "gamma"] == shop.jobs()


def test_an_edited_parameter_tunes_anew(shop: Shop) -> None:
    """One edited hyper-parameter plans one new job, with the field, both values and what it forces."""
    shop.apply()
    shop.models(model("alpha", epochs=5), model("beta"), model("gamma"))
    assert ("create", "spec_changed") == shop.plan()["alpha"]
    out = shop.run("plan").out
    assert "hyperParameters.epochCount  2 -> 5  forces a new job" in out
    assert "Plan: 1 to tune, 2 as declared." in out


def test_an_edit_while_the_job_runs_replaces_it(shop: Shop) -> None:
    """What still runs with the old values is to be cancelled and tuned anew."""
    shop.stack(speed=REAL_TIME)
    shop.apply("--no-wait")
    shop.models(model("alpha", epochs=5), model("beta"), model("gamma"))
    assert ("delete/create", "spec_changed") == shop.plan()["alpha"]
    shop.stack()
    # Cancels need a word of their own where nobody is asked; of three models one is more than 30 %.
    refused = shop.apply("--allow-cancel", "1")
    assert 5 == refused.code
    assert "Unsafe plan" in refused.err


def test_going_back_takes_the_older_model_back(shop: Shop) -> None:
    """`git revert` of an edit adopts the model that was tuned before, at no cost."""
    shop.apply()
    shop.models(model("alpha", epochs=5), model("beta"), model("gamma"))
    shop.apply("--allow-retrain", "1")
    shop.models(model("alpha"), model("beta"), model("gamma"))
    assert ("adopt", "rolled_back") == shop.plan()["alpha"]
    assert 0 == shop.apply().code
    assert ["alpha", "alpha", "beta", "gamma"] == shop.jobs()
    assert ("no-op", "succeeded") == shop.plan()["alpha"]


def test_a_removed_manifest_is_forgotten_and_taken_back(shop: Shop) -> None:
    """A finished model without a manifest is forgotten and kept; with its manifest back it counts as tuned."""
    shop.apply()
    shop.models(model("alpha"), model("beta"))
    assert ("forget", "finished") == shop.plan()["gamma"]
    assert 0 == shop.apply("--allow-forget", "1").code
    assert {"alpha": "succeeded", "beta": "succeeded"} == shop.phases()
    shop.models(model("alpha"), model("beta"), model("gamma"))
    assert ("no-op", "succeeded") == shop.plan()["gamma"]
    assert 0 == shop.apply().code
    assert "succeeded" == shop.phases()["gamma"]
    assert ["alpha", "beta", "gamma"] == shop.jobs()


def test_a_renamed_manifest_takes_its_model_along(shop: Shop) -> None:
    """A new name with the old contents adopts, and forgets the old name, which counts as nothing unsafe."""
    shop.apply()
    renamed = model("delta") | {"spec": model("gamma")["spec"]}
    shop.models(model("alpha"), model("beta"), renamed)
    plan = shop.plan()
    assert (("adopt", "moved"), ("forget", "moved")) == (plan["delta"], plan["gamma"])
    assert 0 == shop.apply().code
    assert {"alpha": "succeeded", "beta": "succeeded", "delta": "succeeded"} == shop.phases()
    assert ["alpha", "beta", "gamma"] == shop.jobs()


def test_a_removed_running_job_needs_permission_to_be_cancelled(shop: Shop) -> None:
    """Where nobody is asked, a cancel without --allow-cancel is left out, named, and ends in exit code 5."""
    shop.stack(speed=REAL_TIME, slots=4)
    shop.models(*(model(name) for name in ("alpha", "beta", "gamma", "delta")))
    shop.apply("--no-wait")
    shop.models(*(model(name) for name in ("alpha", "beta", "delta")))
    withheld = shop.apply("--no-wait")
    assert 5 == withheld.code
    assert "Not touched, since nobody was asked: gamma. To allow that, add: --allow-cancel 1" in withheld.err
    assert "pending" == shop.phases()["gamma"]
    assert 0 == shop.apply("--no-wait", "--allow-cancel", "1").code
    shop.stack(slots=4)
    assert 0 == shop.apply("--no-wait").code
    assert "gamma" not in shop.phases()


def test_what_is_withheld_is_not_waited_for(shop: Shop) -> None:
    """An apply that may not cancel a job ends without waiting for it."""
    shop.models(*(model(name) for name in ("alpha", "beta", "gamma")))
    shop.apply()
    shop.stack(speed=REAL_TIME)
    shop.models(*(model(name) for name in ("alpha", "beta", "gamma", "delta")))
    shop.apply("--no-wait")
    shop.models(*(model(name) for name in ("alpha", "beta", "gamma")))
    assert 5 == shop.apply().code
    assert "delta" in shop.phases()


def test_a_plan_that_undoes_much_is_refused(shop: Shop) -> None:
    """Forgetting more than 30 % of the stack is refused with exit code 5, and allowed by the option it names."""
    shop.apply()
    shop.models(model("alpha"))
    refused = shop.apply()
    assert 5 == refused.code
    assert "would forget 2 of 3 models (67%), above the limit of 30%" in refused.err
    assert f"tuneform apply --allow-forget 2 --manifests {shop.manifests}" in refused.err
    assert "gamma" in shop.phases()
    assert 0 == shop.apply("--allow-forget", "2").code


def test_a_failed_job_is_not_tried_again_by_itself(shop: Shop) -> None:
    """A failure ends in exit code 3, stays FAILED in every plan, and only `retry` tunes again."""
    shop.models(model("alpha", labels={"simulate": "fail"}), model("beta"))
    ran = shop.apply()
    assert 3 == ran.code
    assert "alpha: failed" in ran.err
    assert "Internal error occurred. Please retry the tuning job. (code 13)" in ran.out
    assert f"tuneform retry alpha --manifests {shop.manifests}" in ran.err
    assert ("no-op", "failed") == shop.plan()["alpha"]
    assert "No changes: 1 model as declared, 1 failed." in shop.run("plan").out
    assert 3 == shop.apply().code
    assert 3 == shop.run("status").code
    assert ["alpha", "beta"] == shop.jobs()
    assert 3 == shop.run("retry", "alpha", "--auto-approve").code
    assert ["alpha", "alpha", "beta"] == shop.jobs()


def test_declared_retries_are_made_and_then_end(shop: Shop) -> None:
    """With `retries: 1` a failed job is tuned once more without asking, and no more."""
    shop.models(model("alpha", labels={"simulate": "fail"}, lifecycle={"retries": 1}))
    assert 3 == shop.apply().code
    assert ["alpha", "alpha"] == shop.jobs()
    assert 3 == shop.apply().code
    assert ["alpha", "alpha"] == shop.jobs()


def test_passes_without_waiting_drain_the_queue(shop: Shop) -> None:
    """`apply --no-wait`, run again and again as CI does, brings every model to its end and none twice."""
    shop.stack(speed=REAL_TIME, slots=1)
    first = shop.apply("--no-wait")
    assert 0 == first.code
    assert "1 job running on, 2 queued in the state. The next apply goes on from here:" in first.err
    assert {"alpha": "pending", "beta": "queued", "gamma": "queued"} == shop.phases()
    shop.stack(slots=1)
    for _ in range(6):
        shop.apply("--no-wait")
    assert {"alpha": "succeeded", "beta": "succeeded", "gamma": "succeeded"} == shop.phases()
    assert ["alpha", "beta", "gamma"] == shop.jobs()


def test_a_cancelled_job_stays_cancelled_until_retry(shop: Shop) -> None:
    """After `cancel`, applying leaves the address CANCELLED; `retry` brings it."""
    shop.stack(speed=REAL_TIME)
    shop.apply("--no-wait")
    ran = shop.run("cancel", "alpha", "--auto-approve")
    assert 0 == ran.code
    assert "alpha: cancel requested (requested)" in ran.err
    shop.stack()
    assert 0 == shop.apply().code
    assert "cancelled" == shop.phases()["alpha"]
    assert ("no-op", "cancelled") == shop.plan()["alpha"]
    assert 0 == shop.run("retry", "alpha", "--auto-approve").code
    assert "succeeded" == shop.phases()["alpha"]
    assert ["alpha", "alpha", "beta", "gamma"] == shop.jobs()


def test_cancel_takes_an_address_out_of_the_queue(shop: Shop) -> None:
    """A queued address is dropped without a job; a retry queues it again."""
    shop.stack(speed=REAL_TIME, slots=1)
    shop.apply("--no-wait")
    ran = shop.run("cancel", "gamma", "--auto-approve")
    assert (0, "Drop it from the queue: gamma\n") == (ran.code, ran.out)
    assert "gamma" not in shop.jobs()
    assert "not_started" == shop.phases()["gamma"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("cancel", "delta"), "The state knows nothing of delta."),
        (("cancel", "alpha"), "The job of alpha has ended and nothing is queued for it."),
        (("retry", "delta"), "Nothing is called delta. Known addresses: alpha, beta, gamma."),
    ],
)
def test_there_is_nothing_to_cancel_or_retry(shop: Shop, words: tuple[str, str], said: str) -> None:
    """An address that cannot be cancelled or retried is answered with why, exit code 64."""
    shop.apply()
    ran = shop.run(*words, "--auto-approve")
    assert 64 == ran.code
    assert said in ran.err


def test_a_running_job_is_not_retried(shop: Shop) -> None:
    """What runs already would be paid twice, so `retry` leaves it alone."""
    shop.stack(speed=REAL_TIME)
    shop.apply("--no-wait")
    ran = shop.run("retry", "alpha", "--auto-approve")
    assert 64 == ran.code
    assert "There is nothing to retry" in ran.err
    assert ["alpha", "beta"] == shop.jobs()


def test_destroy_cancels_and_forgets_and_keeps_models(shop: Shop) -> None:
    """Destroy ends running jobs and forgets the rest; applying again takes finished models back without new jobs."""
    shop.apply()
    ran = shop.run("destroy", "--auto-approve")
    assert 0 == ran.code, ran.err
    assert "Destroyed: 3 models kept as retired, 0 left." in ran.err
    assert {("no-op", "succeeded")} == set(shop.plan().values())
    assert 0 == shop.apply().code
    assert {"alpha": "succeeded", "beta": "succeeded", "gamma": "succeeded"} == shop.phases()
    assert ["alpha", "beta", "gamma"] == shop.jobs()


def test_destroy_withholds_cancels_that_nobody_allowed(shop: Shop) -> None:
    """Without --allow-cancel a running job is left, named, and the exit code is 5; with it, it is cancelled."""
    shop.stack(speed=REAL_TIME)
    shop.apply("--no-wait")
    withheld = shop.run("destroy", "--auto-approve")
    assert 5 == withheld.code
    assert "Not touched, since nobody was asked: alpha, beta. To allow that, add: --allow-cancel 2" in withheld.err
    shop.stack()
    shop.run("status")
    assert 0 == shop.run("destroy", "--auto-approve", "--allow-cancel", "2").code
    assert "There is no state" not in shop.run("state", "list").err


def test_destroy_of_nothing_is_done(shop: Shop) -> None:
    """Destroying a stack that has nothing is no error and makes no job."""
    ran = shop.run("destroy", "--auto-approve")
    assert 0 == ran.code
    assert not shop.state.exists()


def test_the_demo_of_the_readme(shop: Shop) -> None:
    """The shipped manifests go from nothing to six tuned models and an empty plan."""
    shutil.rmtree(shop.manifests)
    shutil.copytree(ROOT / "manifests" / "today", shop.manifests)
    stack = shop.manifests / "stack.yaml"
    text = stack.read_text(encoding="utf-8").replace("../../state", "../state").replace("speed: 1200", "speed: 100000")
    stack.write_text(text, encoding="utf-8")
    assert 0 == shop.run("validate").code
    assert 0 == shop.apply().code
    assert {"succeeded"} == set(shop.phases().values())
    assert 6 == len(shop.jobs())
    assert "No changes: 6 models as declared." in shop.run("plan").out


def test_state_list_and_show_tell_what_is_remembered(shop: Shop) -> None:
    """The state can be read as a table, as JSON, and one address whole; an unknown address is refused."""
    shop.stack(speed=REAL_TIME, slots=1)
    shop.apply("--no-wait")
    table = shop.run("state", "list").out
    assert "queued    beta   place 1" in table
    kinds = {one["address"]: one["kind"] for one in shop.run("state", "list", "--json").document["entries"]}
    assert {"alpha": "recorded", "beta": "queued", "gamma": "queued"} == kinds
    shown = shop.run("state", "show", "alpha").document
    assert ("alpha", 1) == (shown["address"], shown["record"]["attempts"][0]["number"])
    unknown = shop.run("state", "show", "delta")
    assert (64, True) == (unknown.code, "Nothing is remembered of delta." in unknown.err)


def test_status_names_job_model_endpoint_and_experiment(shop: Shop) -> None:
    """Status prints, for each model, the four resource names that Google's samples print after a job."""
    shop.models(model("alpha"))
    shop.apply()
    [one] = shop.run("status", "--json").document["models"]
    out = shop.run("status").out
    for key in ("job", "model", "endpoint", "experiment"):
        assert f"{key:<10}  {one[key]}" in out


def test_json_goes_to_stdout_alone(shop: Shop) -> None:
    """With --json, stdout is one JSON document and nothing else."""
    shop.apply()
    for words in (("plan", "--json"), ("status", "--json"), ("state", "list", "--json"), ("validate", "--json")):
        ran = shop.run(*words)
        assert "format_version" in json.loads(ran.out), words
