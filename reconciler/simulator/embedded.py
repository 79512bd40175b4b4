"""What `endpoint: simulator` in a stack stands for: its world file behind an httpx transport, and its clock."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.model.desired import SimulatorSettings
from reconciler.simulator.clock import RealTime, WorldClock
from reconciler.simulator.faults import Faults
from reconciler.simulator.simulator import AdapterSizes, Simulator

if TYPE_CHECKING:
    from reconciler.simulator.transport import SimulatorTransport

# Any bearer token will do; the embedded session needs one to send.
EMBEDDED_TOKEN = "simulator"


@dataclass(frozen=True, slots=True)
class Embedded:
    """What a session needs: where requests go, and the time that passes there."""

    transport: SimulatorTransport
    clock: WorldClock
    simulator: Simulator


def open_embedded(
    settings: SimulatorSettings,
    *,
    faults: Faults | None = None,
    adapter_sizes: AdapterSizes | None = None,
    real: RealTime | None = None,
) -> Embedded:
    """Open or create the world of a stack; the stack's settings replace those the world was saved with. Does I/O.

    Without `faults` the world goes on playing those it was saved with.

    Raises TuneformError for a world file that is damaged or cannot be used.
    """
    simulator = Simulator.on_file(
        Path(settings.world),
        speed=settings.speed,
        concurrent_jobs=settings.concurrent_jobs,
        over_quota=settings.over_quota,
        faults=faults,
        adapter_sizes=adapter_sizes,
        real=real,
    )
    return Embedded(simulator.transport(), simulator.clock, simulator)
