"""`wait`: watches until all has ended, says when nothing ever will, and changes nothing."""

from __future__ import annotations

from tests.cli.harness import REAL_TIME, Shop, model


def test_a_queue_that_nobody_serves_is_not_waited_for(shop: Shop) -> None:
    """Where models wait and nobody applies it exits 4 with the command that serves them, and writes nothing."""
    shop.stack(speed=REAL_TIME, slots=1)
    shop.apply("--no-wait")
    before = shop.state.read_bytes()
    ran = shop.run("wait")
    assert 4 == ran.code
    assert "tuneform apply --queued" in ran.err
    assert (before, ["alpha"]) == (shop.state.read_bytes(), shop.jobs())


def test_running_jobs_are_waited_for(shop: Shop) -> None:
    """With nothing queued it watches until every job has ended, and leaves the state as it was."""
    shop.stack(slots=3)
    shop.apply("--no-wait")
    before = shop.state.read_bytes()
    ran = shop.run("wait")
    assert (0, before) == (ran.code, shop.state.read_bytes())
    assert ["succeeded"] * 3 == list(shop.phases().values())


def test_nothing_to_wait_for_is_done(shop: Shop) -> None:
    """Before the first apply it ends at once and makes no state."""
    assert (0, False) == (shop.run("wait").code, shop.state.exists())


def test_a_failed_model_is_told(shop: Shop) -> None:
    """A wanted model whose job failed makes the exit code 3."""
    shop.stack(slots=3)
    shop.models(model("alpha", labels={"simulate": "fail"}), model("beta"))
    shop.apply("--no-wait")
    before = shop.state.read_bytes()
    assert (3, before) == (shop.run("wait").code, shop.state.read_bytes())


def test_a_bounded_wait_ends_with_work_left(shop: Shop) -> None:
    """`--max-wait` over, jobs go on and the exit code is 4."""
    shop.stack(speed=REAL_TIME, slots=3)
    shop.apply("--no-wait")
    ran = shop.run("wait", "--max-wait", "0")
    assert (4, False) == (ran.code, "nobody applies" in ran.err)
