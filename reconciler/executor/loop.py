"""Runs cycles until nothing is left to do, or until somebody says stop. Level-based: every cycle starts from a look."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from reconciler.durations import learn
from reconciler.executor.cycle import Round, run_cycle
from reconciler.executor.effects import Effects
from reconciler.model.desired import Desired
from reconciler.model.observation import Observation
from reconciler.polling import Watched, pause_s
from reconciler.quota import own_job_names
from reconciler.scheduler import Deferral, Waits
from reconciler.state.held import Held
from reconciler.state.unseen import unseen_attempts

POLL_INTERVAL_S = 30.0
# Between submissions only locations with jobs that matter are listed; the rest this often, for what nobody expects.
FULL_LOOK_EVERY = timedelta(hours=1)


class Ended(StrEnum):
    """Why the loop returned."""

    DONE = "done"
    ONE_PASS = "one_pass"
    STOPPED = "stopped"
    TIME_IS_UP = "time_is_up"


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """What the loop left: the last round, why it ended, and what was given up on the way, by address."""

    last: Round
    ended: Ended
    given_up: dict[str, str]

    @property
    def held(self) -> Held:
        """The state as it now stands in its store."""
        return self.last.held


def follow(
    effects: Effects,
    held: Held,
    desired: Desired,
    scope: frozenset[str],
    *,
    wait: bool,
    until: datetime | None = None,
    stop: Callable[[], bool] = lambda: False,
    show: Callable[[Round], None] = lambda round: None,
) -> Followed:
    """Serves the queue for the addresses in `scope`; with `wait`, until all of them have ended.

    `until` is an instant of the effects' clock after which it returns; `stop` is asked around each cycle's
    sleep and before anything is submitted, and jobs go on either way. `show` is given each round before its creates
    and as it ends.
    """
    given_up: dict[str, str] = {}
    seen: Observation | None = None
    full_at = effects.clock.now()
    while True:
        if effects.clock.now() - full_at >= FULL_LOOK_EVERY:
            seen, full_at = None, effects.clock.now()
        last = run_cycle(effects, held, desired, scope, seen=seen, stop=stop, show=show)
        held, seen = last.held, last.observation
        given_up |= last.given_up
        show(last)
        ended = _ended(effects, last, scope, wait=wait, until=until, stop=stop)
        if ended is not None:
            return Followed(last=last, ended=ended, given_up=given_up)
        effects.clock.sleep(_pause_s(last, effects.jitter()))
        if stop():
            return Followed(last=last, ended=Ended.STOPPED, given_up=given_up)


def _ended(
    effects: Effects,
    last: Round,
    scope: frozenset[str],
    *,
    wait: bool,
    until: datetime | None,
    stop: Callable[[], bool],
) -> Ended | None:
    if not has_work_left(last, scope):
        return Ended.DONE
    if not wait:
        return Ended.ONE_PASS
    if stop():
        return Ended.STOPPED
    if until is not None and effects.clock.now() >= until:
        return Ended.TIME_IS_UP
    return None


def has_work_left(last: Round, scope: frozenset[str]) -> bool:
    """Whether anything in scope still waits, is being submitted or runs. What waiting cannot help does not count."""
    state = last.held.state
    hopeless = {deferral.ticket.address for deferral in last.deferred if deferral.is_hopeless}
    unlisted = state.intents.keys() | unseen_attempts(state, last.observation).keys()
    if (state.queue.keys() & scope) - hopeless or unlisted & scope:
        return True
    if last.has_submitted:
        # What it saw last was not decided on yet: a job that failed meanwhile may have a retry left.
        return True
    active = {job.name for job in last.observation.jobs if job.is_active}
    unread = bool(last.observation.unread)
    current = [record.current for address, record in state.records.items() if address in scope]
    # A location that cannot be read may hide a running job, so nothing is called done while there is one.
    return any(one.job in active or (unread and one.location not in last.observation.read) for one in current)


def _pause_s(last: Round, jitter: float) -> float:
    """Seconds until the next look: by what may end when, or less when a refused ticket may try again sooner."""
    state, seen = last.held.state, last.observation
    ours = own_job_names(state, seen.jobs)
    lessons = learn(seen.jobs)
    watched = [
        Watched(
            elapsed_s=(seen.at - (job.started_at or job.created_at)).total_seconds(),
            samples_s=lessons.samples_s(str(job.fields.get("baseModel")), job.fields),
        )
        for job in seen.jobs
        # While somebody waits, the end of anybody's job may be what they wait for.
        if job.is_active and (job.name in ours or state.queue)
    ]
    # Intents and jobs not listed yet are looked for soon; nothing is known of when they will show.
    hurry = bool(state.intents or unseen_attempts(state, seen))
    usual_s = POLL_INTERVAL_S if hurry else pause_s(watched, is_waiting=bool(state.queue), jitter=jitter)
    soonest = _soonest(last.deferred)
    return usual_s if soonest is None else min(usual_s, max(1.0, (soonest - seen.at).total_seconds()))


def _soonest(deferred: Iterable[Deferral]) -> datetime | None:
    times = (one.look_again_at for one in deferred if one.waits is Waits.BACK_OFF and one.look_again_at is not None)
    return min(times, default=None)
