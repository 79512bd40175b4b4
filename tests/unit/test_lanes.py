"""Lanes as the catalogue has them: what each kind of model takes, and who waits for whom."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from reconciler.catalogue.catalogue import load_catalogue
from reconciler.catalogue.needs import needs_of
from reconciler.model.desired import DesiredModel, QuotaSettings
from reconciler.model.fields import Fields
from reconciler.model.job import LiveJob
from reconciler.quota import LaneRules, Ledger, Needs, take_ledger
from reconciler.scheduler import Cycle, Deferral, Surroundings, Waits, admit
from tests.builders import AT, a_job, a_model, a_state, a_ticket, an_observation

CATALOGUE = load_catalogue()
GEMINI, CODE, OPEN = "gemini-2.5-flash", "code-bison@002", "qwen/qwen3@qwen3-4b"


def needs(fields: Fields) -> Needs:
    """What the catalogue says these fields take."""
    return needs_of(CATALOGUE, fields)


def of_base(address: str, base: str, accelerator: str | None = None) -> DesiredModel:
    """A model of that base model."""
    named = {} if accelerator is None else {"pipelineTuning.acceleratorType": accelerator}
    return a_model(address, fields={"baseModel": base, **named})


def a_ledger(*jobs: LiveJob, slots: int = 4, **limits: int) -> Ledger:
    """A ledger of these foreign jobs; a lane has 8 GPUs, 64 TPU cores and one open job unless said otherwise."""
    given = {"GPU": 8, "TPU": 64, "open": 1} | limits
    rules = LaneRules(needs_of=needs, limits=given)
    return take_ledger(QuotaSettings(concurrent_jobs=slots), a_state(), an_observation(*jobs), rules)


def foreign(base: str, number: int = 1, accelerator: str | None = None) -> LiveJob:
    """Somebody else's running job on that base model."""
    return a_job(f"{base[0]}{number}", fields=of_base("theirs", base, accelerator).fields)


def one_cycle(ledger: Ledger, *line: tuple[DesiredModel, Mapping[str, Any]]) -> Cycle:
    """A cycle over the models in this order, each with changes to its ticket."""
    tickets = [a_ticket(model, **changes) for model, changes in line]
    around = Surroundings(
        active_jobs=frozenset(),
        submitting=frozenset(),
        wanted={model.address: model.fingerprint for model, _ in line},
        parents={},
        needs={model.address: needs(model.fields) for model, _ in line},
    )
    return admit(tickets, ledger, around, now=AT)


def admitted(cycle: Cycle) -> list[str]:
    """Who got a slot."""
    return [ticket.address for ticket in cycle.admitted]


def deferral(cycle: Cycle, address: str) -> Deferral:
    """Why that one waits."""
    return next(one for one in cycle.deferred if one.ticket.address == address)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"baseModel": GEMINI}, {"global": 1}),
        ({"baseModel": OPEN}, {"open": 1}),
        ({"baseModel": CODE}, {"global": 1, "GPU": 8}),
        ({"baseModel": CODE, "pipelineTuning.acceleratorType": "GPU"}, {"global": 1, "GPU": 8}),
        ({"baseModel": CODE, "pipelineTuning.acceleratorType": "TPU"}, {"global": 1, "TPU": 64}),
        ({"baseModel": "nobody-knows-1"}, {"global": 1}),
        ({"baseModel": 7}, {"global": 1}),
        ({}, {"global": 1}),
    ],
)
def test_what_a_job_takes(fields: Fields, expected: Needs) -> None:
    """A Gemini model takes a global slot, an open one of their own, a legacy code model a slot and accelerators."""
    assert expected == needs(fields)


def test_every_base_model_takes_something_that_has_a_limit() -> None:
    """No model of the catalogue is free, or takes from a quota that the catalogue does not have."""
    taken = [needs({"baseModel": one.id}) for one in CATALOGUE.models]
    assert all(taken)
    assert {lane for one in taken for lane in one} <= CATALOGUE.quotas.keys()


def test_a_foreign_open_job_uses_no_global_slot() -> None:
    """Open models are counted against their own quota alone."""
    ledger = a_ledger(foreign(OPEN), slots=1)
    assert {"global": 1, "GPU": 8, "TPU": 64, "open": 0} == ledger.free_units()


def test_accelerators_that_lack_block_nobody_without_them() -> None:
    """A code model at the head whose GPUs are taken lets Gemini and TPU models behind it start, but no GPU model."""
    cycle = one_cycle(
        a_ledger(foreign(CODE)),
        (of_base("code", CODE), {}),
        (of_base("gemini", GEMINI), {}),
        (of_base("more-code", CODE), {}),
        (of_base("tpu", CODE, "TPU"), {}),
        (of_base("open", OPEN), {}),
    )
    assert ["gemini", "tpu", "open"] == admitted(cycle)
    waits = deferral(cycle, "code")
    assert (Waits.NO_SLOT, "needs 8 of quota GPU, which has 8: 0 used here, 8 elsewhere") == (waits.waits, waits.why)


def test_a_head_without_a_global_slot_blocks_all_that_need_one() -> None:
    """Where the global quota is used up, nobody who needs of it passes; an open model needs none."""
    cycle = one_cycle(
        a_ledger(foreign(GEMINI), slots=1),
        (of_base("code", CODE), {}),
        (of_base("gemini", GEMINI), {}),
        (of_base("open", OPEN), {}),
    )
    assert ["open"] == admitted(cycle)


def test_free_accelerators_wait_for_the_code_model_at_the_head() -> None:
    """A head that lacks a global slot alone leaves the accelerators open, since it does not lack those."""
    cycle = one_cycle(a_ledger(slots=0), (of_base("code", CODE), {}), (of_base("gemini", GEMINI), {}))
    assert [] == admitted(cycle)
    assert "GPU" not in deferral(cycle, "code").why


BACK_OFF = {"not_before": AT + timedelta(minutes=1), "refusals": 1}


@pytest.mark.parametrize(
    ("refused_by", "passes"),
    [
        ("quota", ["open"]),
        ("accelerator", ["gemini", "tpu", "open"]),
        ("permission", ["gemini", "gpu", "tpu", "open"]),
        (None, ["gemini", "gpu", "tpu", "open"]),
    ],
)
def test_a_refusal_closes_the_lane_it_was_about(refused_by: str | None, passes: list[str]) -> None:
    """Until its back-off is over, a refused ticket closes the refused lane for those behind it, and no other."""
    head = {**BACK_OFF, "refused_by": refused_by}
    line = [of_base("gemini", GEMINI), of_base("gpu", CODE), of_base("tpu", CODE, "TPU"), of_base("open", OPEN)]
    cycle = one_cycle(a_ledger(GPU=16), (of_base("head", CODE), head), *((model, {}) for model in line))
    assert passes == admitted(cycle)


@pytest.mark.parametrize("refused_by", ["quota", "accelerator"])
def test_a_refusal_closes_nothing_once_its_time_has_come(refused_by: str) -> None:
    """At `not_before` the refused ticket is served first again, and those behind it as ever."""
    head = {"not_before": AT, "refusals": 1, "refused_by": refused_by}
    cycle = one_cycle(a_ledger(GPU=16), (of_base("head", CODE), head), (of_base("next", CODE), {}))
    assert ["head", "next"] == admitted(cycle)


def test_a_refusal_leaves_those_before_it_alone() -> None:
    """Who stands before the refused ticket is served whatever it met."""
    head = {**BACK_OFF, "refused_by": "quota"}
    cycle = one_cycle(
        a_ledger(), (of_base("first", GEMINI), {}), (of_base("refused", GEMINI), head), (of_base("last", GEMINI), {})
    )
    assert ["first"] == admitted(cycle)
