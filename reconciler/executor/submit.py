"""Sends creates, each at most once: intent, look, check, create, and what the answer means."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from reconciler.duplicates import Duplicate, find_duplicates, note_duplicates
from reconciler.errors import ApiError, Refusal, StateConflict, StateLocked
from reconciler.events import Kind
from reconciler.executor.effects import Effects, cancel, save, tell
from reconciler.model.address import address_label
from reconciler.model.desired import Desired, DesiredModel
from reconciler.model.job import JobFamily, LiveJob
from reconciler.model.labels import ownership_labels
from reconciler.model.observation import Observation
from reconciler.providers.observe import observe
from reconciler.providers.protocol import JobRequest
from reconciler.state.held import Held, load_state
from reconciler.state.parents import parent_model
from reconciler.state.records import Because, Intent, Origin, State, Ticket
from reconciler.transitions import adopt_intents, created, described, intend, refused

# A refused create tries again after 30 s, then twice as long each time, up to 5 minutes.
BACK_OFF_FIRST_S = 30.0
BACK_OFF_MAX_S = 300.0

# Refusals after which the same create may succeed later; nothing was created, so the ticket keeps its place.
_PASSING = frozenset({Refusal.QUOTA, Refusal.RATE, Refusal.ACCELERATOR, Refusal.UNREACHABLE})


def write_intents(
    effects: Effects, held: Held, desired: Desired, admitted: Sequence[Ticket], observation: Observation
) -> Held:
    """The intents of one cycle in one write; from here on a submission cannot be lost."""
    return save(effects, held, intend(held.state, admitted, desired.by_address(), observation.at))


def submit(
    effects: Effects, held: Held, desired: Desired, intents: Sequence[Intent], observation: Observation
) -> tuple[Held, Observation, dict[str, str]]:
    """One create for each written intent, and what they came to; what is live now; what was given up, and why."""
    wanted = desired.by_address()
    locations = sorted({intent.location for intent in intents})
    before = observe(effects.provider, locations, now=observation.at)
    state, given_up = held.state, {}
    try:
        for intent in intents:
            model = wanted[intent.address]
            # The parent was found ready in the look that admitted this, and may live elsewhere than its child.
            request = _request(state, model, intent, parent_model(model, state, observation))
            state, problem = _submit_one(effects, state, request, intent, before)
            if problem is not None:
                given_up[intent.address] = problem
        held = save(effects, held, described(state, wanted, [intent.address for intent in intents]))
    except (StateConflict, StateLocked):
        _withdraw(effects, state, intents, before)
        raise
    after = observe(effects.provider, locations, now=observation.at)
    state, doubled = settle_duplicates(effects, adopt_intents(held.state, after), after)
    held = save(effects, held, state)
    end_duplicates(effects, doubled)
    return held, observation.updated(after), given_up


def _withdraw(effects: Effects, state: State, intents: Sequence[Intent], before: Observation) -> None:
    """Ends what we made for an attempt that somebody else has made meanwhile, since we lost the lease on the way.

    Nobody is asked: our own create is the second key. What is kept follows from the state as it now stands, so that
    whoever holds the lease keeps the same.
    """
    listed = before.by_name()
    records = (state.records.get(intent.address) for intent in intents)
    made = {record.current.job for record in records if record is not None} - listed.keys()
    held = load_state(effects.store)
    if held is None or not made:
        return
    seen = observe(effects.provider, sorted(before.read), now=before.at)
    found = find_duplicates(adopt_intents(held.state, seen), seen)
    mine = [one for one in found if one.surplus.name in made]
    end_duplicates(replace(effects, check=lambda: None), mine)


def _submit_one(
    effects: Effects, state: State, request: JobRequest, intent: Intent, before: Observation
) -> tuple[State, str | None]:
    """The state after one submission, and why it was given up for good, None where it was not."""
    if intent.location in before.unread:
        # Without the look nothing may be sent: a job of ours might stand there already.
        later = before.at + timedelta(seconds=BACK_OFF_FIRST_S)
        return refused(state, intent, not_before=later), None
    standing = _standing_job(state, intent, before)
    if standing is not None:
        origin = Origin.CREATED if standing.nonce == intent.nonce else Origin.LABEL
        tell(effects, Kind.ADOPTED, intent.address, "a job of ours already stands for it", standing.name)
        return created(state, intent, standing, now=before.at, origin=origin), None
    effects.check()
    try:
        job = effects.provider.create_job(request)
    except ApiError as error:
        return _after_refusal(effects, state, intent, error, before.at)
    tell(effects, Kind.CREATED, intent.address, "submitted", job.name)
    # The look may lie far back, where this process was paused; how long a job may stay unlisted counts from its birth.
    return created(state, intent, job, now=max(before.at, job.created_at)), None


def _standing_job(state: State, intent: Intent, seen: Observation) -> LiveJob | None:
    """The job that already stands for an intent: its nonce is live, or ours is active that no record names."""
    named = {attempt.job for record in state.records.values() for attempt in record.attempts}
    label = address_label(intent.address)
    own = [job for job in seen.jobs if job.owner == state.lineage and job.address_label == label]
    for job in sorted(own, key=lambda one: (one.created_at, one.name)):
        if job.nonce == intent.nonce:
            return job
        if job.is_active and job.fingerprint == intent.fingerprint and job.name not in named:
            return job
    return None


def _request(state: State, model: DesiredModel, intent: Intent, pre_tuned_model: str | None) -> JobRequest:
    ours = ownership_labels(
        owner=state.lineage,
        stack=state.stack,
        address=intent.address,
        fingerprint=intent.fingerprint,
        attempt=intent.attempt,
        nonce=intent.nonce,
    )
    users = {
        path.removeprefix("labels."): str(value) for path, value in model.fields.items() if path.startswith("labels.")
    }
    name = model.fields.get("tunedModelDisplayName")
    # A child without a name of its own would become a version of its parent's Model.
    display_name = str(name) if name is not None else model.address if model.parent is not None else None
    return JobRequest(
        location=intent.location,
        fields=model.fields,
        labels={**users, **ours},
        nonce=intent.nonce,
        display_name=display_name,
        pre_tuned_model=pre_tuned_model,
        family=JobFamily.PIPELINE
        if any(path.startswith("pipelineTuning.") for path in model.fields)
        else JobFamily.TUNING,
    )


def _after_refusal(
    effects: Effects, state: State, intent: Intent, error: ApiError, now: datetime
) -> tuple[State, str | None]:
    """What a create that did not answer with a job leaves behind."""
    said = error.detail or error.summary
    if error.kind is Refusal.AMBIGUOUS:
        # It may exist. The intent stays open and holds its slot until the nonce shows up or the settle time is over.
        tell(effects, Kind.UNCERTAIN, intent.address, f"no certain answer, looking for the job: {error.summary}", None)
        return state, None
    if error.kind in _PASSING:
        ticket = state.queue.get(intent.address)
        wait_s = _back_off_s(0 if ticket is None else ticket.refusals, error.retry_after_s)
        tell(effects, Kind.REFUSED, intent.address, f"refused, again in {wait_s:.0f} s: {said}", None)
        again_at = now + timedelta(seconds=wait_s)
        return refused(state, intent, not_before=again_at, by=error.kind.value), None
    tell(effects, Kind.GIVEN_UP, intent.address, f"refused for good: {said}", None)
    return refused(state, intent, not_before=None), said


def _back_off_s(refusals: int, retry_after_s: float | None) -> float:
    if retry_after_s is not None:
        return max(1.0, retry_after_s)
    # The exponent is bounded so that a ticket refused for a week does not overflow.
    return min(BACK_OFF_MAX_S, BACK_OFF_FIRST_S * 2.0 ** min(refusals, 10))


def settle_duplicates(effects: Effects, state: State, observation: Observation) -> tuple[State, tuple[Duplicate, ...]]:
    """The state that knows of two jobs for one attempt which of them stands for it, and what there is to end."""
    found = find_duplicates(state, observation)
    for one in found:
        if not one.is_known:
            text = f"a second job was made; {one.kept.name} is kept"
            tell(effects, Kind.DUPLICATE, one.address, text, one.surplus.name)
    return note_duplicates(state, found), found


def end_duplicates(effects: Effects, found: Iterable[Duplicate]) -> None:
    """Asks for the cancel of what is one too many and still runs; that it is must be written before."""
    for one in found:
        if one.is_to_end:
            cancel(effects, one.address, one.surplus.name, Because.DUPLICATE.value)
