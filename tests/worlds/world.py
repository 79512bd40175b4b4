"""A random world: manifests that change, runs that wait or not and die anywhere, people and faults in between.

A world is a list of steps, each a plain value, so that a failing one can be shrunk, printed and replayed. After each
step the promises are checked against what the simulated Vertex AI knows to be true, not against what tuneform believes.

What is promised, and checked here:

- A create is sent only while the slots of the stack are not all in use: by jobs that a list shows, and by all of our
  own, listed or not. No create is sent while a location cannot be read.
- At most one job is active for an address, one that is being cancelled included.
- One attempt makes one job that is not cancelled, however often its create was sent.
- Where a list hides a job for longer than the settle time, a second job may be made for an attempt and hold a slot too
  many; one of the two is left in the end, unless both have ended before anybody could see them.
- No job is cancelled that this state did not make.
- What is created is what the manifests asked for when it was.
- The state can be read at any time.
- When nothing goes wrong any more, a few runs end in a world where every wanted model is tuned, or failed with its
  attempts spent, or was cancelled by somebody else, or is a child of such a one; and the plan leaves everything.

What is not modelled: two processes at once (leases and interleavings have their own tests), a clock of ours that is
wrong, jobs that vanish, models that are deleted, datasets whose bytes change, answers that are not Vertex AI's, states
that are put back to an older version, and pipeline jobs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import assert_never

from reconciler.errors import UsageError
from reconciler.executor.loop import Ended
from reconciler.model.address import address_label
from reconciler.model.desired import Desired, DesiredModel, Lifecycle, Priority, QuotaSettings
from reconciler.model.job import JobState
from reconciler.plan import Action, Change, Reason
from reconciler.simulator.answers import Problem
from reconciler.simulator.settings import OverQuota
from reconciler.state.records import Because, Origin, Record, State
from reconciler.state.unseen import SETTLE_TIME
from tests.builders import PROJECT, a_model, a_stack, desired_of
from tests.worlds.service import Killed, Resource, Service, is_active

# Datasets of a few hundred examples, so that every job runs for a quarter of an hour.
DATASETS = ("d3", "d13", "d25", "d29")
LOCATIONS = ("us-central1", "europe-west4")
# What a plan may still show when everything that can be done is done.
_AT_REST = frozenset({Reason.SUCCEEDED, Reason.FAILED, Reason.CANCELLED_ELSEWHERE, Reason.PARENT_CHANGED})


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a manifest says about a model, as far as it makes a difference here."""

    epochs: int = 1
    dataset: str = DATASETS[0]
    location: str = LOCATIONS[0]
    simulate: str = "succeed"
    retries: int = 0
    priority: Priority = Priority.NORMAL
    parent: str | None = None


@dataclass(frozen=True, slots=True)
class Declare:
    """Somebody writes a manifest, or writes it anew."""

    address: str
    manifest: Manifest


@dataclass(frozen=True, slots=True)
class Remove:
    """Somebody deletes a manifest."""

    address: str


@dataclass(frozen=True, slots=True)
class Rename:
    """Somebody gives a model another name."""

    address: str
    to: str


@dataclass(frozen=True, slots=True)
class Run:
    """One process applies what it plans; killed before or after its n-th effect where that is set.

    `waits_minutes` 0 is a run of one pass. A cautious one is not allowed to cancel anything.
    """

    waits_minutes: int = 0
    is_cautious: bool = False
    dies_at: int | None = None


@dataclass(frozen=True, slots=True)
class Pass:
    """Time goes by."""

    minutes: int


@dataclass(frozen=True, slots=True)
class Foreign:
    """Somebody else starts a job of their own."""

    location: str
    minutes: int


@dataclass(frozen=True, slots=True)
class Interfere:
    """Somebody cancels one of our jobs in the console, or it fails."""

    which: int
    fails: bool


@dataclass(frozen=True, slots=True)
class Weather:
    """What goes wrong from now on."""

    list_lag_s: int = 0
    lost_create_answers: int = 0
    unread: str | None = None


Step = Declare | Remove | Rename | Run | Pass | Foreign | Interfere | Weather


@dataclass(frozen=True, slots=True)
class Quota:
    """Slots the project has, slots the manifests count on, what happens over quota, and our own cap."""

    slots: int
    told: int
    over_quota: OverQuota
    max_slots: int | None


class World:
    """A service, the manifests as they stand, and the promises."""

    def __init__(self, quota: Quota) -> None:
        self.service = Service(
            concurrent_jobs=quota.slots, over_quota=quota.over_quota, locations=LOCATIONS, stride=timedelta(minutes=1)
        )
        self.service.wire.on_effect = self._before_and_after
        self.service.store.on_effect = self._before_and_after
        self.manifests: dict[str, Manifest] = {}
        self._stack = a_stack(quota=QuotaSettings(concurrent_jobs=quota.told, max_slots=quota.max_slots))
        self._slots = quota.told if quota.max_slots is None else min(quota.told, quota.max_slots)
        self._limit = quota.told
        self._desired = desired_of(stack=self._stack)
        self._dies_at: int | None = None
        self._effects = 0
        self._lag_s = 0
        self._longest_lag_s = 0

    @property
    def is_hidden_too_long(self) -> bool:
        """Whether a list was ever late by more than the time after which a job counts as not there."""
        return self._longest_lag_s >= SETTLE_TIME.total_seconds()

    def take(self, step: Step) -> None:
        """Let one thing happen, and hold every promise against what is then."""
        match step:
            case Declare(address, manifest):
                self.manifests[address] = manifest
            case Remove(address):
                self.manifests.pop(address, None)
            case Rename(address, to):
                if address in self.manifests and to not in self.manifests:
                    self.manifests[to] = self.manifests.pop(address)
            case Run():
                self._run(step)
            case Pass(minutes):
                self.service.clock.advance(timedelta(minutes=minutes))
            case Foreign(location, minutes):
                self._foreign(location, minutes)
            case Interfere(which, fails):
                self._interfere(which, fails=fails)
            case Weather():
                self._weather(step)
            case never:
                assert_never(never)
        self._hold_promises()

    def settle(self) -> None:
        """Nothing goes wrong any more: after a few runs everything is at rest, and that is checked."""
        self.take(Weather())
        for _ in range(6):
            try:
                followed = self._apply(Run(waits_minutes=14 * 24 * 60), stride=timedelta(minutes=7))
            except Killed:
                raise AssertionError("nobody kills any more") from None
            self._hold_promises()
            assert followed is Ended.DONE, f"a run did not end in two weeks: {followed}"
            if not self._moving():
                break
            self.take(Pass(60))
        self._hold_rest()

    def _desired_now(self) -> Desired:
        models: dict[str, DesiredModel] = {}
        # A child follows its parent, and a manifest whose parent is not declared would be refused as a whole.
        for address, manifest in sorted(self.manifests.items(), key=lambda one: one[1].parent is not None):
            parent = None if manifest.parent is None else models.get(manifest.parent)
            if manifest.parent is None or parent is not None:
                models[address] = _model(address, manifest, parent)
        return desired_of(*models.values(), stack=self._stack)

    def _run(self, run: Run) -> None:
        self._dies_at, self._effects = run.dies_at, 0
        try:
            self._apply(run, stride=timedelta(minutes=1))
        except Killed:
            return
        finally:
            self._dies_at = None

    def _apply(self, run: Run, *, stride: timedelta) -> Ended:
        def agrees(change: Change) -> bool:
            return not (run.is_cautious and change.action in (Action.CANCEL, Action.REPLACE))

        self._desired = self._desired_now()
        self.service.stride(stride)
        return self.service.apply(
            self._desired, wait=run.waits_minutes > 0, only=agrees, until_minutes=run.waits_minutes or None
        ).ended

    def _foreign(self, location: str, minutes: int) -> None:
        try:
            self.service.simulator.inject_foreign_job(PROJECT, location, duration_s=minutes * 60)
        except Problem:
            # Over the quota, the service refuses them like us.
            return

    def _interfere(self, which: int, *, fails: bool) -> None:
        active = [job["name"] for job in self.service.own() if is_active(job)]
        if not active:
            return
        name = active[which % len(active)]
        try:
            if fails:
                self.service.simulator.fail_job(name)
            else:
                self.service.simulator.cancel_elsewhere(name)
        except UsageError:
            # It has ended this instant.
            return

    def _weather(self, weather: Weather) -> None:
        self._lag_s = weather.list_lag_s
        self._longest_lag_s = max(self._longest_lag_s, weather.list_lag_s)
        self.service.simulator.set_faults(
            list_lag_s=weather.list_lag_s, lost_create_answers=weather.lost_create_answers
        )
        self.service.wire.unread = frozenset() if weather.unread is None else frozenset({weather.unread})

    def _before_and_after(self, what: str) -> None:
        if what == "before create":
            self._hold_before_create()
        if what == "before cancel":
            self._hold_before_cancel()
        self._effects += 1
        if self._effects == self._dies_at:
            raise Killed

    def _hold_before_create(self) -> None:
        """A create is about to be sent: there is room for it, and the manifests ask for it."""
        jobs = self.service.simulator.jobs()
        own = {job["name"] for job in self.service.own() if is_active(job)}
        shown = {job["name"] for job in jobs if is_active(job) and self._is_listed(job)}
        used = len(own | shown)
        assert self.service.wire.unread == frozenset(), "a create is sent although a location cannot be read"
        if not self.is_hidden_too_long:
            assert used < self._limit, f"a create is sent with {used} of {self._limit} slots in use"
            assert len(own) < self._slots, f"a create is sent with {len(own)} of our {self._slots} slots in use"
        labels = self.service.wire.creates[-1]["labels"]
        wanted = {(address_label(model.address), model.fingerprint) for model in self._desired.models}
        assert (labels["tuneform-name"], labels["tuneform-spec"]) in wanted, f"nobody asked for {labels}"

    def _hold_before_cancel(self) -> None:
        """A cancel is about to be sent: the job's labels say that it is ours, and the state that we made it.

        The state names the job, or it knows that more than one create was sent for the job's nonce.
        """
        name = self.service.wire.cancels[-1]
        ours = {job["name"]: job["labels"]["tuneform-nonce"] for job in self.service.own()}
        assert name in ours, f"{name} is cancelled, which is not ours"
        state = self.service.state
        attempts = [attempt for record in _records(state) for attempt in record.attempts]
        sent_twice = {one.nonce for one in attempts if one.submissions > 1}
        known = name in {attempt.job for attempt in attempts} or ours[name] in sent_twice
        assert known, f"{name} is cancelled, which this state did not make"

    def _is_listed(self, job: Resource) -> bool:
        created_at = datetime.fromisoformat(job["createTime"])
        return created_at <= self.service.clock.now() - timedelta(seconds=self._lag_s)

    def _hold_promises(self) -> None:
        if self.service.store.text is None:
            return
        state, own = self.service.state, self.service.own()
        if self.is_hidden_too_long:
            return
        active = Counter(_address_of(job, state) for job in own if is_active(job))
        assert all(count == 1 for count in active.values()), f"two jobs are active for one address: {active}"
        self._hold_one_job_an_attempt(own, state)

    def _hold_one_job_an_attempt(self, own: Sequence[Resource], state: State) -> None:
        alive = [job for job in own if job["state"] != JobState.CANCELLED]
        if self.is_hidden_too_long:
            # Of two jobs that stayed hidden both may have ended before anybody could see them; one is noted as such. An
            # attempt that nobody wanted any more by then is not remembered.
            attempts = [one for record in _records(state) for one in record.attempts]
            surplus = {one.job for one in attempts if one.because is Because.DUPLICATE}
            known = {one.nonce for one in attempts if one.origin is Origin.CREATED}
            alive = [
                job
                for job in alive
                if job["state"] != JobState.FAILED
                and job["name"] not in surplus
                and job["labels"]["tuneform-nonce"] in known
            ]
        made = Counter(job["labels"]["tuneform-nonce"] for job in alive)
        assert all(count == 1 for count in made.values()), f"one attempt made more than one job: {made}"

    def _moving(self) -> list[Change]:
        # A job that came to light when nobody waited for it any more is known by its labels alone.
        at_rest = _AT_REST | {Reason.LOOK_ALIKE} if self.is_hidden_too_long else _AT_REST
        return [
            change
            for change in self.service.plan(self._desired).plan.changes
            if change.action is not Action.LEAVE or change.reason not in at_rest
            if not self._waits_in_vain(change)
        ]

    def _waits_in_vain(self, change: Change) -> bool:
        """Whether it is a queued child of a parent that made no model such as the child is to be tuned from."""
        model = self._desired.by_address().get(change.address)
        return change.reason is Reason.QUEUED and model is not None and model.parent is not None

    def _hold_rest(self) -> None:
        own = self.service.own()
        state = self.service.state
        moving = self._moving()
        assert not moving, f"not at rest: {[(one.address, one.action.value, one.reason.value) for one in moving]}"
        assert not state.intents, f"intents are open: {state.intents}"
        self._hold_one_job_an_attempt(own, state)
        # What was forgotten while it was hidden cannot be waited for.
        current = {record.current.job for record in state.records.values()}
        named = current if self.is_hidden_too_long else _named(state).keys()
        assert not any(is_active(job) for job in own if job["name"] in named), "a recorded job is active"
        for change in self.service.plan(self._desired).plan.changes:
            self._hold_end(change, state, {job["name"]: job for job in own})

    def _hold_end(self, change: Change, state: State, jobs: Mapping[str, Resource]) -> None:
        """The job that stands for an address ended as its plan says, after as many attempts as were declared."""
        if change.reason in (Reason.QUEUED, Reason.LOOK_ALIKE):
            return
        record = state.records[change.address]
        job = jobs[record.current.job]
        ended_as = {
            Reason.SUCCEEDED: JobState.SUCCEEDED,
            Reason.PARENT_CHANGED: job["state"],
            Reason.FAILED: JobState.FAILED,
            Reason.CANCELLED_ELSEWHERE: JobState.CANCELLED,
        }[change.reason]
        assert ended_as == job["state"], f"{change.address} is {change.reason} and its job is {job['state']}"
        if change.reason is Reason.CANCELLED_ELSEWHERE:
            assert record.current.because is None, f"{change.address} was cancelled by us: {record.current.because}"
        if change.reason is Reason.SUCCEEDED:
            assert change.fingerprint == record.current.fingerprint, f"{change.address} was tuned from another spec"
        if change.reason is Reason.FAILED and job["error"]["code"] == 13:
            made = [one for one in record.attempts_of(str(change.fingerprint)) if one.because is not Because.DUPLICATE]
            assert len(made) > self.manifests[change.address].retries, f"{change.address} has retries left"


def _model(address: str, manifest: Manifest, parent: DesiredModel | None) -> DesiredModel:
    return a_model(
        address,
        fields={
            "hyperParameters.epochCount": manifest.epochs,
            "trainingDatasetUri": f"gs://data/{manifest.dataset}.jsonl",
            "location": manifest.location,
            "labels.simulate": manifest.simulate,
        },
        parent=parent,
        priority=manifest.priority,
        lifecycle=Lifecycle(retries=manifest.retries, on_parent_change="retrain"),
    )


def _named(state: State) -> dict[str, str]:
    """The address that each recorded job stands for."""
    return {attempt.job: record.address for record in _records(state) for attempt in record.attempts}


def _records(state: State) -> list[Record]:
    return [*state.retired.values(), *state.records.values()]


def _address_of(job: Resource, state: State) -> str:
    return _named(state).get(job["name"], str(job["labels"]["tuneform-name"]))
