"""What becomes of models whose manifests change: replacing, cancelling, retrying, and tuning on from each other."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.errors import ApiError, Refusal
from reconciler.events import Kind
from reconciler.executor.cycle import request_cancel
from reconciler.executor.loop import Ended
from reconciler.model.desired import DesiredModel, Lifecycle, QuotaSettings
from reconciler.model.fields import Value
from reconciler.plan import Action, Reason
from reconciler.reconcile import destroyed, retried
from reconciler.scheduler import Waits
from reconciler.state.held import Held
from reconciler.state.records import Because
from tests.builders import PROJECT, a_model, a_stack, desired_of, minutes
from tests.worlds.service import Service

STRIDE = minutes(5)
ALPHA = a_model("alpha")
CHANGED = a_model("alpha", fields={"hyperParameters.epochCount": 9})
TWO_SLOTS = a_stack(quota=QuotaSettings(concurrent_jobs=2))


def a_failing(address: str, retries: int = 0, how: str = "fail", parent: DesiredModel | None = None) -> DesiredModel:
    """A model whose jobs fail."""
    return a_model(address, fields={"labels.simulate": how}, lifecycle=Lifecycle(retries=retries), parent=parent)


def running(service: Service) -> str:
    """Lets the only model run, and returns the name of its job."""
    service.apply(desired_of(ALPHA), wait=False)
    service.clock.advance(minutes(10))
    (job,) = service.own()
    return str(job["name"])


class TestReplace:
    """The manifest changed while the old job runs."""

    def test_the_new_job_starts_when_the_old_one_has_ended(self) -> None:
        """The old job is cancelled first, and its successor is created once it is seen ended, even with slots free."""
        service = Service(concurrent_jobs=5)
        old = running(service)
        stack = a_stack(quota=QuotaSettings(concurrent_jobs=5))
        waits: list[Waits] = []
        followed = service.apply(
            desired_of(CHANGED, stack=stack), show=lambda last: waits.extend(one.waits for one in last.deferred)
        )
        assert (Ended.DONE, [old], {Waits.OLD_JOB}) == (followed.ended, service.wire.cancels, set(waits))
        first, second = service.own()
        assert ("JOB_STATE_CANCELLED", "JOB_STATE_SUCCEEDED") == (first["state"], second["state"])
        assert first["endTime"] <= second["createTime"]
        assert Because.REPLACED is service.state.records["alpha"].attempts[0].because

    def test_a_cancel_that_comes_too_late_costs_nothing_more(self) -> None:
        """When the old job succeeds before its cancel is through, the successor is made all the same, after it."""
        service = Service()
        old = running(service)
        service.wire.on_effect = lambda what: service.simulator.finish_job(old) if what == "before cancel" else None
        service.apply(desired_of(CHANGED))
        assert ["succeeded", "succeeded"] == service.states_of(service.own())

    def test_a_cancel_that_fails_is_asked_for_again_by_the_next_run(self) -> None:
        """A cancel that was refused is reported; the ticket waits, and the next run asks again."""
        service = Service()
        old = running(service)
        refusing = RefusingCancels(service)
        service.apply(desired_of(CHANGED), wait=False, provider=refusing)
        assert (["alpha"], ["alpha"], []) == (
            service.told(Kind.CANCEL_FAILED),
            list(service.state.queue),
            service.wire.cancels,
        )
        service.apply(desired_of(CHANGED))
        assert ([old], ["cancelled", "succeeded"]) == (service.wire.cancels, service.states_of(service.own()))

    def test_going_back_before_the_old_job_ended_makes_it_anew(self) -> None:
        """A change that is taken back while the old job is being cancelled ends in one tuned model of the old spec."""
        service = Service()
        running(service)
        service.apply(desired_of(CHANGED), wait=False)
        service.apply(desired_of(ALPHA))
        service.apply(desired_of(ALPHA))
        assert ["cancelled", "succeeded"] == service.states_of(service.own())
        assert {ALPHA.fingerprint} == {job["labels"]["tuneform-spec"] for job in service.own()}

    def test_a_roll_back_costs_nothing(self) -> None:
        """Back to a spec that was tuned before, the running job is cancelled and the old model stands again."""
        service = Service(stride=STRIDE)
        service.apply(desired_of(ALPHA))
        service.apply(desired_of(CHANGED), wait=False)
        service.clock.advance(minutes(10))
        service.apply(desired_of(ALPHA))
        assert (2, ["succeeded", "cancelled"]) == (len(service.wire.creates), service.states_of(service.own()))
        assert service.own()[0]["name"] == service.state.records["alpha"].current.job


class RefusingCancels:
    """The service's client, but for cancels, which are refused."""

    def __init__(self, service: Service) -> None:
        self._client = service.effects().provider
        self.list_jobs = self._client.list_jobs
        self.get_job = self._client.get_job
        self.create_job = self._client.create_job

    def cancel_job(self, name: str) -> None:
        """Refused."""
        raise ApiError("Could not cancel", f"{name}: permission denied", kind=Refusal.PERMISSION)


class TestRemove:
    """The manifest is gone."""

    def test_a_running_job_is_cancelled(self) -> None:
        """A removed model's job is cancelled, and forgotten when that has ended; nothing else is touched."""
        service = Service(concurrent_jobs=2)
        old = running(service)
        service.simulator.inject_foreign_job(PROJECT)
        service.apply(desired_of())
        assert ([old], {}, ["alpha"]) == (
            service.wire.cancels,
            dict(service.state.records),
            list(service.state.retired),
        )

    def test_a_queued_model_leaves_the_queue(self) -> None:
        """A removed model that never started is forgotten without a call."""
        service = Service()
        service.simulator.inject_foreign_job(PROJECT)
        service.apply(desired_of(ALPHA), wait=False)
        service.apply(desired_of(), wait=False)
        assert ({}, [], []) == (dict(service.state.queue), service.wire.creates, service.wire.cancels)

    def test_a_cancel_nobody_agreed_to_is_not_asked_for(self) -> None:
        """What was not approved is not done, and the job runs on."""
        service = Service()
        running(service)
        service.apply(desired_of(), only=lambda change: change.action is not Action.CANCEL, wait=False)
        assert ([], ["running"]) == (service.wire.cancels, service.states_of(service.own()))

    def test_a_model_declared_again_takes_its_result_back(self) -> None:
        """Removing and re-declaring a tuned model tunes nothing."""
        service = Service(stride=STRIDE)
        service.apply(desired_of(ALPHA))
        service.apply(desired_of())
        service.apply(desired_of(ALPHA))
        assert (1, ["alpha"]) == (len(service.wire.creates), list(service.state.records))

    def test_a_model_declared_again_after_its_cancel_is_tuned_again(self) -> None:
        """A job that we cancelled because its manifest was gone is made anew when the manifest is back."""
        service = Service()
        running(service)
        service.apply(desired_of())
        service.apply(desired_of(ALPHA))
        assert ["cancelled", "succeeded"] == service.states_of(service.own())

    def test_why_it_is_cancelled_is_written_first(self) -> None:
        """When the cancel goes out the state says already that it is ours, whoever dies in between."""
        service, noted = Service(), list[Because | None]()
        running(service)

        def look(what: str) -> None:
            if what == "before cancel":
                noted.append(service.state.records["alpha"].current.because)

        service.wire.on_effect = look
        service.apply(destroyed(desired_of(ALPHA)), wait=False)
        assert [Because.REMOVED] == noted

    def test_a_renamed_model_keeps_its_job(self) -> None:
        """A new name for the same spec takes the running job along: no create, no cancel."""
        service = Service(stride=STRIDE)
        running(service)
        omega = a_model("omega", fields={"trainingDatasetUri": ALPHA.fields["trainingDatasetUri"]})
        followed = service.apply(desired_of(omega))
        assert (Ended.DONE, 1, [], ["omega"]) == (
            followed.ended,
            len(service.wire.creates),
            service.wire.cancels,
            list(service.state.records),
        )


class TestCancel:
    """`tuneform cancel` of one address."""

    def test_a_running_job(self) -> None:
        """It is cancelled and stays so: no later run makes it again until a person asks."""
        service = Service(stride=STRIDE)
        running(service)
        effects = service.effects()
        request_cancel(effects, held(service), "alpha", Because.REQUESTED, is_running=True)
        service.apply(desired_of(ALPHA))
        followed = service.apply(desired_of(ALPHA))
        assert (Ended.DONE, 1, ["cancelled"]) == (
            followed.ended,
            len(service.wire.creates),
            service.states_of(service.own()),
        )
        assert [Reason.CANCELLED] == [one.reason for one in service.plan(desired_of(ALPHA)).plan.changes]

    def test_a_queued_one(self) -> None:
        """Its ticket goes, and nothing is asked of the service."""
        service = Service()
        service.simulator.inject_foreign_job(PROJECT)
        service.apply(desired_of(ALPHA), wait=False)
        request_cancel(service.effects(), held(service), "alpha", Because.REQUESTED, is_running=False)
        assert ({}, []) == (dict(service.state.queue), service.wire.cancels)


def held(service: Service) -> Held:
    """The state as it is stored, to be written on."""
    stored = service.store.read()
    return Held(service.state, None if stored is None else stored.version)


class TestRetry:
    """Jobs that fail."""

    @pytest.mark.parametrize("retries", [0, 1, 2])
    def test_declared_retries_are_made_and_no_more(self, retries: int) -> None:
        """A failed job is tried again as often as declared, within the same run, and then stays failed."""
        service = Service(stride=STRIDE)
        desired = desired_of(a_failing("alpha", retries))
        assert Ended.DONE is service.apply(desired).ended
        assert [str(number) for number in range(1, retries + 2)] == [
            job["labels"]["tuneform-attempt"] for job in service.own()
        ]
        assert Ended.DONE is service.apply(desired).ended
        assert retries + 1 == len(service.wire.creates)
        assert [(Action.LEAVE, Reason.FAILED)] == [
            (one.action, one.reason) for one in service.plan(desired).plan.changes
        ]

    def test_what_stays_wrong_is_not_tried_again(self) -> None:
        """A job that failed for its dataset would fail again, so declared retries are not spent on it."""
        service = Service(stride=STRIDE)
        service.apply(desired_of(a_failing("alpha", 3, "fail-dataset")))
        assert 1 == len(service.wire.creates)

    def test_a_retry_goes_to_the_back_of_the_queue(self) -> None:
        """The next attempt queues behind what waits already."""
        service = Service(stride=STRIDE)
        service.apply(desired_of(a_failing("alpha", 1), a_model("beta")))
        names = [job["labels"]["tuneform-name"].rsplit("-", 1)[0] for job in service.own()]
        assert ["alpha", "beta", "alpha"] == names

    def test_an_old_failure_is_retried_by_a_run_that_does_not_wait(self) -> None:
        """One pass notices a failure, approves what is declared, and submits it."""
        service = Service()
        desired = desired_of(a_failing("alpha", 1))
        service.apply(desired, wait=False)
        service.clock.advance(minutes(6 * 60))
        service.apply(desired, wait=False)
        assert 2 == len(service.wire.creates)

    def test_another_attempt_that_a_person_asks_for(self) -> None:
        """`tuneform retry` makes one more job for a failed address, numbered on."""
        service = Service(stride=STRIDE)
        desired = desired_of(a_failing("alpha"))
        service.apply(desired)
        planned = service.plan(desired)
        changes = retried(planned, "alpha")
        service.apply(desired, replace(planned, plan=replace(planned.plan, changes=changes)))
        assert ["1", "2"] == [job["labels"]["tuneform-attempt"] for job in service.own()]

    @pytest.mark.parametrize(
        ("live", "desired"),
        [
            (ALPHA, ALPHA),
            (
                a_model("alpha", lifecycle=Lifecycle(prevent_replace=True)),
                replace(CHANGED, lifecycle=Lifecycle(prevent_replace=True)),
            ),
        ],
        ids=["running", "running and protected"],
    )
    def test_what_runs_is_not_retried(self, live: DesiredModel, desired: DesiredModel) -> None:
        """While the job of an address runs, whatever the plan says of it, there is nothing to retry."""
        service = Service()
        service.apply(desired_of(live), wait=False)
        assert () == retried(service.plan(desired_of(desired)), "alpha")


class TestContinuousTuning:
    """A model tuned on from another one of the stack."""

    @pytest.mark.parametrize("location", ["us-central1", "europe-west4"])
    def test_a_child_goes_on_from_its_parents_model(self, location: str) -> None:
        """The child waits for its parent, even with slots free, and is created with the model that one made."""
        parent = a_model("parent")
        child = a_model("child", parent=parent, fields={"location": location})
        service = Service(concurrent_jobs=2, stride=STRIDE)
        followed = service.apply(desired_of(parent, child, stack=TWO_SLOTS))
        assert (Ended.DONE, {}) == (followed.ended, followed.given_up)
        first, second = service.own()
        assert first["endTime"] <= second["createTime"]
        assert first["tunedModel"]["model"] == second["preTunedModel"]["tunedModelName"]

    def test_a_child_becomes_a_model_of_its_own(self) -> None:
        """A child without a display name is sent its address as one, so that it is no version of its parent."""
        parent = a_model("parent")
        service = Service(stride=STRIDE)
        service.apply(desired_of(parent, a_model("child", parent=parent)))
        assert "child" == service.wire.creates[1]["tunedModelDisplayName"]
        models = {job["tunedModel"]["model"].partition("@")[0] for job in service.own()}
        assert 2 == len(models)

    def test_a_failed_parent_blocks_its_children_and_theirs(self) -> None:
        """Nobody waits for what can never be: the run ends, and every descendant says why it was not tuned."""
        parent = a_failing("parent")
        child = a_model("child", parent=parent)
        grandchild = a_model("grandchild", parent=child)
        service = Service(concurrent_jobs=2, stride=STRIDE)
        followed = service.apply(desired_of(parent, child, grandchild, a_model("other"), stack=TWO_SLOTS))
        assert Ended.DONE is followed.ended
        assert {
            "child": "there is no usable model of parent, which it is tuned from",
            "grandchild": "there is no usable model of child, which it is tuned from",
        } == {one.ticket.address: one.why for one in followed.last.deferred}
        assert ["succeeded", "failed"] == service.states_of(service.own())

    def test_a_parent_that_is_tried_again_keeps_its_child_waiting(self) -> None:
        """A parent with retries left has not failed yet."""
        parent = a_failing("parent", 1)
        service, waits = Service(stride=STRIDE), list[Waits]()
        followed = service.apply(
            desired_of(parent, a_model("child", parent=parent)),
            show=lambda last: waits.extend(one.waits for one in last.deferred),
        )
        assert Ended.DONE is followed.ended
        assert ([Waits.PARENT_FAILED], {Waits.PARENT}) == (waits[-1:], set(waits[:-1]) - {Waits.PARENT_FAILED})
        assert ["failed", "failed"] == service.states_of(service.own())

    def test_an_unlisted_parent_has_not_failed(self) -> None:
        """While lists lag behind, the child waits for its parent and does not give it up."""
        parent = a_model("parent")
        service, waits = Service(stride=minutes(1)), set[Waits]()
        service.simulator.set_faults(list_lag_s=240)
        service.apply(
            desired_of(parent, a_model("child", parent=parent)),
            show=lambda last: waits.update(one.waits for one in last.deferred),
        )
        assert ({Waits.PARENT}, ["succeeded", "succeeded"]) == (waits, service.states_of(service.own()))

    def test_a_chain_is_tuned_from_the_top(self) -> None:
        """Grandchildren follow children follow parents, whatever their names are."""
        top = a_model("zeta")
        middle = a_model("yota", parent=top)
        service = Service(stride=STRIDE)
        service.apply(desired_of(top, middle, a_model("alpha", parent=middle)))
        names = [job["labels"]["tuneform-name"].rsplit("-", 1)[0] for job in service.own()]
        assert ["zeta", "yota", "alpha"] == names


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("labels.team", "other"),
        ("tunedModelDisplayName", "Alpha"),
        ("description", "the first"),
        ("exportLastCheckpointOnly", True),
    ],
)
def test_what_does_not_shape_the_result_tunes_nothing(field: str, value: Value) -> None:
    """A change of words is not a change of spec: no create and no cancel comes of it."""
    service = Service(stride=STRIDE)
    service.apply(desired_of(ALPHA))
    service.apply(desired_of(a_model("alpha", fields={field: value})))
    assert (1, []) == (len(service.wire.creates), service.wire.cancels)
