"""What an apply does about submissions whose answer never came, as its user meets it."""

from __future__ import annotations

from reconciler.errors import ExitCode
from reconciler.simulator.simulator import Simulator
from tests.cli.harness import FAST, REAL_TIME, Shop, model

DONE = {"alpha": "succeeded", "beta": "succeeded", "gamma": "succeeded"}


def play(shop: Shop, **faults: int) -> None:
    """Let the simulated service fail so from now on."""
    shop.run("plan")
    Simulator.on_file(shop.world).set_faults(**faults)


def test_a_job_whose_answer_was_lost_is_found_and_not_made_again(shop: Shop) -> None:
    """Creates that took effect and were answered 503 are adopted by their mark, with and without --strict-once."""
    play(shop, lost_create_answers=2)
    ran = shop.apply("--strict-once")
    assert 0 == ran.code, ran.err
    assert "no certain answer, looking for the job" in ran.err
    assert DONE == shop.phases()
    assert ["alpha", "beta", "gamma"] == shop.jobs()


def test_a_create_that_had_no_effect_is_sent_again_after_the_settle_time(shop: Shop) -> None:
    """A create answered 503 without effect is submitted again once its job would surely be listed, and says so."""
    play(shop, fail_before=1)
    ran = shop.apply()
    assert 0 == ran.code, ran.err
    assert "no job came of its submission; it is submitted again" in ran.err
    assert DONE == shop.phases()
    assert ["alpha", "beta", "gamma"] == shop.jobs()


def test_strict_once_halts_instead(shop: Shop) -> None:
    """With --strict-once nothing is sent twice: the apply ends with an error that says what to look for."""
    play(shop, fail_before=1)
    ran = shop.apply("--strict-once")
    assert ExitCode.ERROR == ran.code
    assert "A submission was never answered" in ran.err
    assert "apply without --strict-once, which submits it again" in " ".join(ran.err.split())
    assert "alpha" not in shop.jobs()
    assert ExitCode.ERROR == shop.apply("--strict-once").code
    assert "alpha" not in shop.jobs()
    assert 0 == shop.apply().code
    assert DONE == shop.phases()
    assert ["alpha", "beta", "gamma"] == shop.jobs()
    assert 0 == shop.run("history", "verify").code


def test_a_second_job_is_ended_although_nothing_else_is_to_do(shop: Shop) -> None:
    """A create that lands long after its sender was given up for dead is found and ended by the next apply."""
    shop.stack(speed=REAL_TIME)
    shop.models(model("alpha"))
    play(shop, fail_before=1)
    assert 0 == shop.apply("--no-wait").code
    shop.stack(speed=FAST)
    assert "it is submitted again" in shop.apply("--no-wait").err
    shop.stack(speed=REAL_TIME)
    simulator = Simulator.on_file(shop.world, speed=REAL_TIME)
    (made,) = simulator.jobs()
    late = simulator.inject_foreign_job("demo-project", labels=made["labels"])
    ran = shop.apply("--no-wait")
    assert 0 == ran.code, ran.err
    assert "a second job was made" in ran.err
    assert [late] == [effect.job for effect in simulator.effects_log() if effect.verb == "cancel"]
