"""Wires one run together: manifests, catalogue, credentials, provider, clock and state store. The only place that does.

`TUNEFORM_ENDPOINT` stands in for the stack's endpoint and `TUNEFORM_ACCESS_TOKEN` for the credentials, so that proxies,
emulators and tests can take Google's place.
"""

from __future__ import annotations

import getpass
import os
import random
import signal
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

from reconciler.catalogue.catalogue import Catalogue, LifecycleStage, lifecycle_of, load_catalogue
from reconciler.catalogue.check import base_model_of, check_models, retired_diagnostic
from reconciler.cli.service import Service, offline_rules, open_service, read_rules, trusted_endpoint
from reconciler.errors import Diagnostic, ExitCode, ManifestError, Severity
from reconciler.events import Event
from reconciler.executor.effects import Effects
from reconciler.manifest.load import load_manifests
from reconciler.model.desired import Desired, DesiredModel, Stack
from reconciler.model.fields import Fields
from reconciler.reconcile import opened
from reconciler.state.held import Held
from reconciler.state.store import StateStore

if TYPE_CHECKING:
    from reconciler.backends.open import Place

VERTEX_AI = "vertex-ai"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """Manifests that can be planned from, with what there is to say about them.

    `obstacles` maps an address to what forbids tuning it now.
    """

    desired: Desired
    warnings: tuple[Diagnostic, ...]
    catalogue: Catalogue
    obstacles: dict[str, Diagnostic]


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One run against one stack. `stop` is set by the first Ctrl-C; `new_owner` begins beside a namesake."""

    checked: Checked
    effects: Effects
    held: Held
    stop: threading.Event
    service: Service
    new_owner: bool = False

    @property
    def desired(self) -> Desired:
        """What the manifests say."""
        return self.checked.desired


def check_manifests(directory: Path) -> Checked:
    """Reads the manifests and holds them against the catalogue. Raises ManifestError with everything that is wrong."""
    desired, warnings = load_manifests(directory)
    catalogue = load_catalogue()
    as_of = desired.stack.catalogue_as_of or today()
    found = check_models(desired.models, catalogue, as_of=as_of, retired_severity=Severity.WARNING)
    everything = (*warnings, *found)
    if any(one.severity is Severity.ERROR for one in everything):
        raise ManifestError(everything)
    return Checked(
        desired=desired,
        warnings=everything,
        catalogue=catalogue,
        obstacles=_obstacles(desired, catalogue, as_of),
    )


def _obstacles(desired: Desired, catalogue: Catalogue, as_of: date) -> dict[str, Diagnostic]:
    by_address = desired.by_address()
    obstacles = {}
    for model in desired.models:
        name = base_model_of(model, by_address)
        base = None if name is None else catalogue.find(name)
        if base is not None and lifecycle_of(base, as_of) is LifecycleStage.RETIRED:
            obstacles[model.address] = retired_diagnostic(model, base, as_of, Severity.ERROR)
    return obstacles


def today() -> date:
    """The real day, whatever a simulated clock says: model lifecycles are facts of the real world."""
    return datetime.now(UTC).date()


def open_session(
    directory: Path,
    *,
    report: Callable[[Event], None] = lambda event: None,
    open_state: Callable[[Stack], StateStore] | None = None,
) -> Session:
    """Everything one run needs. Reads manifests, state and, for the simulator, its world; asks the service nothing.

    `open_state` gives the place of the state where that is not `open_store`.
    """
    checked = check_manifests(directory)
    stack = checked.desired.stack
    stop = threading.Event()
    endpoint = trusted_endpoint(stack)
    service = open_service(stack, endpoint, stop)
    _close_at_end(service)
    store = (open_state or open_store)(stack)
    effects = Effects(
        provider=service.provider,
        store=store,
        clock=service.clock,
        locations=(),
        new_id=lambda: uuid.uuid4().hex,
        report=report,
        defaults=_defaults(checked),
        rules=offline_rules(checked.catalogue),
        jitter=random.random,
    )
    held = opened(effects, stack, endpoint or VERTEX_AI, lineage=str(uuid.uuid4()))
    effects = with_locations(effects, checked, held)
    return Session(checked=checked, effects=effects, held=held, stop=stop, service=service)


def _close_at_end(service: Service) -> None:
    """Has the connections closed with the command that opened them."""
    context = click.get_current_context(silent=True)
    if context is not None:
        context.call_on_close(service.http.close)


def with_limits(session: Session) -> Session:
    """The session with the limits of the quotas as Google tells them now; what it does not tell is a warning.

    I/O by the service.
    """
    rules, problems = read_rules(session.service, session.desired, session.checked.catalogue)
    session = replace(session, effects=replace(session.effects, rules=rules))
    if not problems:
        return session
    warning = Diagnostic(
        severity=Severity.WARNING,
        rule="quota-not-read",
        summary="The quota could not be read",
        detail=f"One job at a time is assumed, the documented minimum; set `quota.concurrentJobs` to say more.\n"
        f"{chr(10).join(problems)}",
        source=session.desired.stack.source,
    )
    checked = replace(session.checked, warnings=(*session.checked.warnings, warning))
    return replace(session, checked=checked)


def with_locations(effects: Effects, checked: Checked, held: Held) -> Effects:
    """The effects, looking at every location where a job of this project may use the shared quota."""
    state = held.state
    locations = set(checked.catalogue.locations)
    locations |= {model.location for model in checked.desired.models}
    remembered = [*state.records.values(), *state.retired.values()]
    locations |= {attempt.location for record in remembered for attempt in record.attempts}
    locations |= {intent.location for intent in state.intents.values()}
    return replace(effects, locations=tuple(sorted(locations)))


def place_of(stack: Stack) -> Place:
    """Where the stack's state and all that belongs to it are kept. Asks nothing yet."""
    from reconciler.backends.open import open_place

    return open_place(stack.state, env=os.environ)


def open_store(stack: Stack) -> StateStore:
    """The place of the stack's state."""
    return place_of(stack).state()


def open_lease_store(stack: Stack) -> StateStore:
    """The place of the lease, beside the state."""
    return place_of(stack).document(".lease")


def history_store(place: Place, run: int) -> StateStore:
    """The place of one run's history, beside the state."""
    return place.document(f".history/{run:06d}.jsonl")


def who() -> str:
    """Who runs this, for the record: the user of this machine, or the CI run's actor."""
    actor = os.environ.get("GITHUB_ACTOR") or os.environ.get("GITLAB_USER_LOGIN")
    if actor:
        return actor
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def reopened(session: Session) -> Session:
    """The session with its state read anew, for what others wrote since. A state nobody wrote yet keeps its lineage."""
    stack, state = session.desired.stack, session.held.state
    held = opened(session.effects, stack, state.endpoint, lineage=state.lineage)
    if held.version is None:
        # Nobody wrote one yet, so the one we came with is the one to begin with: new, or recovered from labels.
        held = session.held
    return replace(session, held=held, effects=with_locations(session.effects, session.checked, held))


def _defaults(checked: Checked) -> Callable[[DesiredModel], Fields]:
    by_address = checked.desired.by_address()

    def defaults(model: DesiredModel) -> Fields:
        base = base_model_of(model, by_address)
        return {} if base is None else checked.catalogue.default_fields(base)

    return defaults


def stop_on_signals(stop: threading.Event, say: Callable[[str], None]) -> None:
    """First Ctrl-C or SIGTERM: stop admitting and end cleanly. The second: end now. Jobs go on either way.

    `say` is called inside the signal handler.
    """

    def handle(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            say("Stopped at once. Jobs go on; the next run picks everything up.")
            os._exit(ExitCode.WORK_LEFT)
        stop.set()
        say("Stopping: nothing more is submitted, jobs go on. Once more to exit at once.")

    signal.signal(signal.SIGINT, handle)
    signal.signal(signal.SIGTERM, handle)
