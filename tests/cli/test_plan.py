"""`plan`, plans in files, targets, and what a saved plan is worth later."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.harness import REAL_TIME, Shop, model


def sweep() -> dict[str, object]:
    """A sweep of two."""
    template = {key: value for key, value in model("sweep")["spec"].items() if key != "hyperParameters"}
    spec = {"template": template, "matrix": {"hyperParameters.epochCount": [2, 4]}}
    return {"apiVersion": "tuneform/v1", "kind": "Sweep", "metadata": {"name": "sweep"}, "spec": spec}


def test_plan_text_names_every_model_its_reason_and_the_quota(shop: Shop) -> None:
    """A plan reads as one row per model, then the quota, and ends in its summary."""
    out = shop.run("plan").out
    assert "      +  alpha  tune  gemini-3.5-flash, us-central1  new in the manifests\n".strip() in out
    assert "Quota: 2 slots (the stack's manifest), 0 used by this stack, 2 free." in out
    assert "Plan: 3 to tune." == out.splitlines()[-1]


def test_plan_changes_nothing(shop: Shop) -> None:
    """A plan writes no state and makes no job."""
    shop.run("plan")
    assert not shop.state.exists()
    assert [] == shop.jobs()


@pytest.mark.parametrize(("words", "code"), [((), 0), (("--detailed-exitcode",), 2)])
def test_detailed_exitcode_tells_changes(shop: Shop, words: tuple[str, ...], code: int) -> None:
    """Changes end in 0, and in 2 when --detailed-exitcode asks for it."""
    assert code == shop.run("plan", *words).code


def test_detailed_exitcode_is_zero_without_changes(shop: Shop) -> None:
    """Nothing to do ends in 0 either way."""
    shop.apply()
    assert 0 == shop.run("plan", "--detailed-exitcode").code


def test_json_plan_has_the_names_that_terraform_users_know(shop: Shop) -> None:
    """The JSON plan is versioned and complete."""
    plan = shop.run("plan", "--json").document
    assert ("1.0", True, True, False) == tuple(
        plan[key] for key in ("format_version", "applyable", "complete", "errored")
    )
    assert {"create": 3} == plan["summary"]
    change = plan["changes"][0]
    assert ("alpha", ["create"], "new") == (change["address"], change["actions"], change["action_reason"])


@pytest.mark.parametrize(
    ("targets", "addresses"),
    [
        (("alpha",), {"alpha"}),
        (("al*", "b?ta"), {"alpha", "beta"}),
        (("sweep[epochCount=2]",), {"sweep[epochCount=2]"}),
        (("sweep[*]",), {"sweep[epochCount=2]", "sweep[epochCount=4]"}),
        (("*",), {"alpha", "beta", "sweep[epochCount=2]", "sweep[epochCount=4]"}),
    ],
)
def test_targets_narrow_the_plan(shop: Shop, targets: tuple[str, ...], addresses: set[str]) -> None:
    """Only * and ? are wildcards; brackets stand for themselves."""
    shop.models(model("alpha"), model("beta"), sweep())
    words = [word for target in targets for word in ("--target", target)]
    assert addresses == set(shop.plan(*words))


def test_a_target_that_matches_nothing_is_wrong_usage(shop: Shop) -> None:
    """A mistyped target plans nothing, and the known addresses are named."""
    ran = shop.run("plan", "--target", "alhpa")
    assert 64 == ran.code
    assert "Nothing is called alhpa. Known addresses: alpha, beta, gamma." in ran.err


def test_a_target_on_one_side_of_a_move_takes_both(shop: Shop) -> None:
    """Targeting the new name of a renamed model plans the old name's row too."""
    shop.apply()
    shop.models(model("alpha"), model("beta"), model("delta") | {"spec": model("gamma")["spec"]})
    assert {"delta": ("adopt", "moved"), "gamma": ("forget", "moved")} == shop.plan("--target", "delta")


def test_apply_does_only_what_is_targeted(shop: Shop) -> None:
    """A targeted apply tunes the targets and leaves the rest for later."""
    assert 0 == shop.apply("--target", "alpha").code
    assert ["alpha"] == shop.jobs()
    assert {"alpha": "succeeded", "beta": "not_started", "gamma": "not_started"} == shop.phases()


def test_a_saved_plan_of_a_first_run_is_applied_without_asking(shop: Shop, tmp_path: Path) -> None:
    """`plan --out` and `apply FILE` do exactly that, also where no state exists yet."""
    file = tmp_path / "plan.json"
    saved = shop.run("plan", "--out", str(file))
    assert f"tuneform apply {file} --manifests {shop.manifests}" in saved.err
    ran = shop.run("apply", str(file))
    assert 0 == ran.code, ran.err
    assert ["alpha", "beta", "gamma"] == shop.jobs()


def test_a_saved_plan_approves_the_cancels_it_shows(shop: Shop, tmp_path: Path) -> None:
    """What a reviewed plan shows needs no further option, cancels included."""
    shop.stack(speed=REAL_TIME)
    shop.apply("--no-wait")
    shop.models(model("beta"), model("gamma"))
    file = tmp_path / "plan.json"
    shop.run("plan", "--out", str(file))
    assert 0 == shop.run("apply", str(file), "--no-wait").code
    shop.stack()
    shop.apply("--allow-forget", "1")
    assert {"beta": "succeeded", "gamma": "succeeded"} == shop.phases()


def test_a_saved_plan_goes_stale_with_its_own_ground(shop: Shop, tmp_path: Path) -> None:
    """Exit 7 and the list of what moved; nothing is done."""
    shop.apply("--target", "alpha")
    file = tmp_path / "plan.json"
    shop.run("plan", "--out", str(file))
    shop.apply("--target", "beta")
    jobs = shop.jobs()
    ran = shop.run("apply", str(file))
    assert 7 == ran.code
    assert "beta: planned create (new in the manifests), now leave (tuned)" in ran.err
    assert "gamma" not in ran.err
    assert jobs == shop.jobs()


def test_a_saved_plan_goes_stale_with_the_manifests(shop: Shop, tmp_path: Path) -> None:
    """A manifest that was edited after the plan was saved is named."""
    file = tmp_path / "plan.json"
    shop.run("plan", "--out", str(file))
    shop.models(model("alpha", epochs=7), model("beta"), model("gamma"))
    ran = shop.run("apply", str(file))
    assert 7 == ran.code
    assert "alpha.yaml" in ran.err
    assert [] == shop.jobs()


def test_a_saved_plan_is_not_applied_twice(shop: Shop, tmp_path: Path) -> None:
    """Applied again, a saved plan is stale, and nothing is tuned a second time."""
    file = tmp_path / "plan.json"
    shop.run("plan", "--out", str(file))
    shop.run("apply", str(file))
    assert 7 == shop.run("apply", str(file)).code
    assert ["alpha", "beta", "gamma"] == shop.jobs()


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "null", "{}", '{"format_version": "1.0"}', '{"format_version": "9.0"}', "\x00\x01", "plan: yaml"],
)
def test_what_is_no_plan_is_not_applied(shop: Shop, tmp_path: Path, content: str) -> None:
    """Garbage, another document, or a plan of another format is refused in words, and nothing is done."""
    file = tmp_path / "plan.json"
    file.write_text(content, encoding="utf-8")
    ran = shop.run("apply", str(file))
    assert 1 == ran.code
    assert "plan" in ran.err
    assert "Traceback" not in ran.err
    assert not shop.state.exists()


def test_a_plan_with_a_change_made_by_hand_is_stale(shop: Shop, tmp_path: Path) -> None:
    """A plan file in which an action was edited does not apply as something that nobody planned."""
    file = tmp_path / "plan.json"
    shop.run("plan", "--out", str(file))
    document = json.loads(file.read_text(encoding="utf-8"))
    document["changes"][0]["facts"] = "0" * 16
    file.write_text(json.dumps(document), encoding="utf-8")
    assert 7 == shop.run("apply", str(file)).code
    assert [] == shop.jobs()


def test_a_binary_plan_file_is_refused(shop: Shop, tmp_path: Path) -> None:
    """Bytes that are no text are no plan."""
    file = tmp_path / "plan.json"
    file.write_bytes(b"\xff\xfe\x00")
    assert 1 == shop.run("apply", str(file)).code


def test_a_plan_file_that_is_not_there_is_refused(shop: Shop, tmp_path: Path) -> None:
    """A missing file is named."""
    ran = shop.run("apply", str(tmp_path / "none.json"))
    assert (1, True) == (ran.code, "none.json: No such file or directory." in ran.err)


def test_a_plan_that_cannot_be_saved_is_an_error(shop: Shop, tmp_path: Path) -> None:
    """A folder that is not there is named, and no plan is printed as if it had been saved."""
    ran = shop.run("plan", "--out", str(tmp_path / "none" / "plan.json"))
    assert (1, "") == (ran.code, ran.out)
    assert "The plan cannot be saved" in ran.err


def test_a_plan_saved_over_a_folder_is_an_error(shop: Shop, tmp_path: Path) -> None:
    """A folder is no file to save to, and nothing is left behind in its place."""
    (tmp_path / "plan").mkdir()
    ran = shop.run("plan", "--out", str(tmp_path / "plan"))
    assert 64 == ran.code
    assert ["manifests", "plan"] == sorted(path.name for path in tmp_path.iterdir())


def test_a_failed_save_leaves_no_half_file(shop: Shop, tmp_path: Path) -> None:
    """Where the last step fails, the temporary file is gone."""
    (tmp_path / "file").write_text("", encoding="utf-8")
    ran = shop.run("plan", "--out", str(tmp_path / "file" / "plan.json"))
    assert 1 == ran.code
    assert "Not a directory" in ran.err
