"""`tuneform simulator`: a local Vertex AI behind a port of this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from reconciler.cli.output import remark
from reconciler.errors import ExitCode
from reconciler.simulator.faults import fault_table, parse_faults


@click.command(name="simulator", epilog=f"\b\n{fault_table()}\n")
@click.option("--port", type=click.IntRange(0, 65535), default=8787, show_default=True, help="0 takes any free port.")
@click.option(
    "--world",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("state/simulator-world.json"),
    show_default=True,
    help="The file that keeps the world between runs.",
)
@click.option("--speed", type=click.FloatRange(min=0, min_open=True), help="Simulated seconds per real second.")
@click.option("--quota", type=click.IntRange(min=0), help="Global concurrent tuning jobs.")
@click.option(
    "--over-quota",
    type=click.Choice(["wait", "refuse"]),
    help="What happens to a create over the quota: accepted and kept waiting, or refused with 429.",
)
@click.option(
    "--fault",
    "faults",
    metavar="NAME=VALUE",
    multiple=True,
    help="What goes wrong on purpose; repeatable, see the table below. Replaces the world's faults: none clears them.",
)
def command(
    port: int,
    world: Path,
    speed: float | None,
    quota: int | None,
    over_quota: Literal["wait", "refuse"] | None,
    faults: tuple[str, ...],
) -> int:
    """Serve a local Vertex AI on 127.0.0.1 until Ctrl-C.

    It speaks the REST surface that tuneform uses. Point any client at it, tuneform too:

    \b
      export TUNEFORM_ENDPOINT=http://127.0.0.1:8787 TUNEFORM_ACCESS_TOKEN=any
      tuneform plan

    Options that are not given keep what the world was saved with. Faults are kept there too, so a stack with
    `endpoint: simulator` and the same world meets them as well.
    """
    from reconciler.simulator.server import SimulatorServer, serve

    def announce(server: SimulatorServer) -> None:
        remark(f"Serving {world} on http://127.0.0.1:{server.port}  (Ctrl-C stops it; the world is kept)")

    serve(
        world,
        port=port,
        speed=speed,
        concurrent_jobs=quota,
        over_quota=over_quota,
        faults=parse_faults(faults) if faults else None,
        announce=announce,
    )
    return ExitCode.DONE
