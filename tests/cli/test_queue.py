"""`queue`, its holds, and the passes that drain it: one-shot runs, the scheduled drain, and a bounded wait."""

from __future__ import annotations

from dataclasses import replace

import httpx
import pytest

from reconciler.cli.planning import make_session_plan
from reconciler.cli.session import open_session, with_limits
from reconciler.providers.auth import FixedToken
from reconciler.providers.connection import Connection
from reconciler.providers.http import Http
from reconciler.renderers.plan_text import render_plan
from reconciler.renderers.text import Style
from tests.cli.harness import REAL_TIME, Shop, model


@pytest.fixture
def slow(shop: Shop) -> Shop:
    """A shop with one slot, whose jobs do not end while a test looks; alpha runs, beta and gamma wait."""
    shop.stack(speed=REAL_TIME, slots=1)
    shop.apply("--no-wait")
    return shop


def test_the_queue_is_shown_as_text(slow: Shop) -> None:
    """Who holds the slot, who waits at which place, and for what."""
    ran = slow.run("queue")
    assert 0 == ran.code
    assert "1 slot (the stack's manifest), 0 free" in ran.out
    assert "used by alpha" in ran.out
    assert "the only slot is used" in ran.out
    assert ran.out.index("beta") < ran.out.index("gamma")


def test_the_queue_is_told_as_json(slow: Shop) -> None:
    """The same as a versioned document."""
    told = slow.run("queue", "--json").document
    assert ("1.0", 1, 0) == (told["format_version"], told["limit"], told["free"])
    assert ["alpha"] == [one["address"] for one in told["slots"]]
    assert [("beta", 1, "no_slot"), ("gamma", 2, "no_slot")] == [
        (one["address"], one["place"], one["waits"]) for one in told["queue"]
    ]
    assert {None} == {one["start"] for one in told["queue"]}


def test_the_limit_is_googles_where_the_stack_sets_none(shop: Shop) -> None:
    """Without `concurrentJobs` the limit is read, and plan and queue say from whom."""
    shop.stack(slots=2, quota=None)
    assert "Quota: 2 slots (Cloud Quotas)" in shop.run("plan").out
    assert "2 slots (Cloud Quotas), 2 free" in shop.run("queue").out


def test_a_quota_that_cannot_be_read_is_a_warning_in_the_plan(shop: Shop) -> None:
    """Where nobody tells the limit, one job at a time is assumed, and the plan warns and names who did not tell."""
    shop.stack(slots=2, quota=None)
    session = open_session(shop.manifests)
    refusal = {"error": {"code": 403, "message": "no", "status": "PERMISSION_DENIED"}}
    refusing = Connection(transport=httpx.MockTransport(lambda request: httpx.Response(403, json=refusal)))
    deaf = Http(connection=refusing, tokens=FixedToken("token"), clock=session.service.clock)
    limited = with_limits(replace(session, service=replace(session.service, http=deaf)))
    plan = make_session_plan(limited, ()).plan
    (warning,) = (one for one in plan.diagnostics if one.rule == "quota-not-read")
    assert (1, "assumed, the documented minimum") == (plan.quota.limit, plan.quota.limit_source)
    assert ["Cloud Quotas", "Service Usage"] == [line.partition(":")[0] for line in warning.detail.splitlines()[1:]]
    assert warning.summary in render_plan(plan, Style())


def test_an_empty_queue_says_so(shop: Shop) -> None:
    """Nobody waits before anything was applied, and looking makes no state."""
    assert "Nobody waits." in shop.run("queue").out
    assert not shop.state.exists()


def test_held_slots_are_shown_and_kept_free(slow: Shop) -> None:
    """A hold stands in the queue with its reason, keeps passes from submitting, and is gone when released."""
    slow.stack(speed=REAL_TIME, slots=2)
    held = slow.run("queue", "hold", "--for", "4h", "--reason", "a demonstration")
    assert (0, True) == (held.code, held.err.startswith("1 slot held until "))
    text, told = slow.run("queue").out, slow.run("queue", "--json").document
    assert "1 held by" in text
    assert "a demonstration" in text
    assert (0, [(1, "a demonstration")]) == (told["free"], [(one["slots"], one["reason"]) for one in told["holds"]])
    slow.run("apply", "--queued", "--no-wait")
    assert ["alpha"] == slow.jobs()
    assert "1 hold released." in slow.run("queue", "release").err
    assert [] == slow.run("queue", "--json").document["holds"]
    slow.run("apply", "--queued", "--no-wait")
    assert ["alpha", "beta"] == slow.jobs()


@pytest.mark.parametrize("span", ["", "4", "h", "-4h", "4 h", "4w", "1.5h", "99999h"])
def test_a_length_of_time_must_be_understood(slow: Shop, span: str) -> None:
    """Anything but minutes, hours or days is wrong usage, and nothing is held."""
    before = slow.state.read_bytes()
    assert 64 == slow.run("queue", "hold", f"--for={span}", "--reason", "why").code
    assert before == slow.state.read_bytes()


def test_a_hold_needs_a_state(shop: Shop) -> None:
    """Before the first apply there is nothing to keep a hold in, which is said."""
    ran = shop.run("queue", "hold", "--for", "4h", "--reason", "why")
    assert 1 == ran.code
    assert "the first apply writes it" in ran.err


def test_passes_drain_the_queue_and_plan_nothing_new(shop: Shop) -> None:
    """`apply --queued --no-wait` needs no yes, serves what was approved, and leaves a manifest added since alone."""
    shop.stack(slots=1)
    assert 0 == shop.apply("--no-wait").code
    shop.write("delta.yaml", model("delta"))
    for _ in range(30):
        assert 0 == shop.run("apply", "--queued", "--no-wait").code
        if not shop.run("queue", "--json").document["queue"]:
            break
    assert ["alpha", "beta", "gamma"] == shop.jobs()
    assert ("create", "new") == shop.plan()["delta"]


def test_a_pass_needs_a_yes_for_what_is_new(shop: Shop) -> None:
    """Without --queued and without a terminal nothing is approved, and nothing happens."""
    assert 64 == shop.run("apply", "--no-wait").code
    assert not shop.state.exists()


def test_a_bounded_wait_ends_with_work_left(shop: Shop) -> None:
    """`--max-wait` over, the jobs go on, the rest stays queued, and the exit code is 4."""
    shop.stack(speed=REAL_TIME, slots=1)
    ran = shop.apply("--max-wait", "0")
    assert 4 == ran.code
    assert "1 job running on, 2 queued in the state" in ran.err
    assert (["alpha"], 2) == (shop.jobs(), len(shop.run("queue", "--json").document["queue"]))
