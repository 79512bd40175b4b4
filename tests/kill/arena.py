"""A stack whose Vertex AI is another process, and the real command run and killed against it."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from reconciler.simulator.simulator import Simulator
from reconciler.state.codec import decode_state
from reconciler.state.records import State
from tests.cli.harness import ROOT, environment, model

QUOTA = 2
# A job of a quarter of an hour takes half a second, the settle time an eighth of one.
SPEED = 2_000
RETRIES = 1
NAMES = ("alpha", "beta", "delta", "epsilon", "gamma", "zeta")
FAILING = "beta"
ENDINGS = {signal.SIGKILL: 6, signal.SIGTERM: 2, signal.SIGINT: 2}
PATIENCE_S = 120
# About as long as a whole apply takes on an idle machine.
LONGEST_WAIT_S = 4.0
MAX_WRITES = 16

Job = dict[str, Any]


@dataclass(slots=True)
class Tally:
    """What a series of kills came to."""

    kills: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    stacks: int = 0
    jobs: int = 0
    duplicates: int = 0

    def __str__(self) -> str:
        ended = ", ".join(f"{number} {name}" for name, number in sorted(self.kills.items()))
        return (
            f"{self.kills.total()} kills ({ended}) in {self.runs} runs over {self.stacks} stacks: {self.jobs} jobs, "
            f"{self.duplicates} duplicates made and cancelled"
        )


@dataclass(frozen=True, slots=True)
class Arena:
    """One stack, its folder, and the address of its Vertex AI."""

    root: Path
    endpoint: str
    epochs: dict[str, int]

    @property
    def state_file(self) -> Path:
        """The state."""
        return self.root / "state" / "killed.json"

    def declare(self) -> None:
        """Writes the manifests; one model fails, and has a retry."""
        folder = self.root / "manifests"
        folder.mkdir(exist_ok=True)
        spec = {
            "project": "demo-project",
            "location": "us-central1",
            "state": "../state/killed.json",
            "quota": {"concurrentJobs": QUOTA},
        }
        stack = {"apiVersion": "tuneform/v1", "kind": "Stack", "metadata": {"name": "killed"}, "spec": spec}
        models = [
            model(
                name,
                epochs=epochs,
                location="europe-west4" if name == "zeta" else "us-central1",
                labels={"simulate": "fail"} if name == FAILING else {},
                lifecycle={"retries": RETRIES},
            )
            for name, epochs in self.epochs.items()
        ]
        for path in folder.glob("*.yaml"):
            path.unlink()
        for document in (stack, *models):
            (folder / f"{document['metadata']['name']}.yaml").write_text(json.dumps(document), encoding="utf-8")

    def start(self, *words: str) -> subprocess.Popen[str]:
        """The command, in a process of its own; what it says is kept in a file, so that no pipe holds it up."""
        with (self.root / "said.txt").open("a", encoding="utf-8") as said:
            return subprocess.Popen(
                [sys.executable, "-m", "reconciler", *words, "--manifests", str(self.root / "manifests")],
                env=environment(TUNEFORM_ENDPOINT=self.endpoint, TUNEFORM_ACCESS_TOKEN="any"),
                cwd=self.root,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                text=True,
            )

    def apply(self) -> subprocess.Popen[str]:
        """An apply that may do whatever its plan says."""
        allowed = [word for kind in ("cancel", "forget", "retrain") for word in (f"--allow-{kind}", "9")]
        return self.start("apply", "--auto-approve", *allowed)

    def said(self) -> str:
        """The end of what all commands said."""
        return (self.root / "said.txt").read_text(encoding="utf-8")[-4_000:]

    def state(self) -> State | None:
        """The state, which must be sound; None while there is none."""
        if not self.state_file.exists():
            return None
        return decode_state(self.state_file.read_text(encoding="utf-8"), str(self.state_file))

    def jobs(self) -> list[Job]:
        """Every job the service ever made, oldest first."""
        return list(Simulator.on_file(self.root / "world.json").jobs())

    def runs(self) -> list[str]:
        """The history, a document for each run."""
        folder = self.state_file.with_name(f"{self.state_file.name}.history")
        return [path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.jsonl"))]


@contextmanager
def arena(root: Path, faults: Sequence[str] = ()) -> Iterator[Arena]:
    """A new stack with a simulator of its own, served by another process until the end."""
    root.mkdir()
    words = ["--port", "0", "--world", str(root / "world.json"), "--speed", str(SPEED), "--quota", str(QUOTA)]
    served = subprocess.Popen(
        [sys.executable, "-m", "reconciler", "simulator", *words, *(f"--fault={one}" for one in faults)],
        env=environment(),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert served.stderr is not None
        announced = served.stderr.readline()
        made = Arena(root, announced.split(" on ")[1].split()[0], dict.fromkeys(NAMES, 2))
        made.declare()
        yield made
    finally:
        served.kill()
        served.communicate()


def strike(process: subprocess.Popen[str], state_file: Path, random_: random.Random) -> str | None:
    """Ends the process at a random moment, or right after one of its writes; how, None where it was done before."""
    writes = random_.choice([0, random_.randint(1, MAX_WRITES)])
    if not _reaches(process, state_file, writes):
        return None
    try:
        process.wait(timeout=random_.uniform(0, 0.03 if writes else LONGEST_WAIT_S))
    except subprocess.TimeoutExpired:
        number = random_.choices(list(ENDINGS), list(ENDINGS.values()))[0]
        process.send_signal(number)
        if number is not signal.SIGKILL and random_.random() < 0.3:
            process.send_signal(number)
            process.wait(PATIENCE_S)
            return f"{number.name} twice"
        process.wait(PATIENCE_S)
        return number.name
    return None


def _reaches(process: subprocess.Popen[str], state_file: Path, writes: int) -> bool:
    """Whether the process lives to see the state written so many times."""
    seen = _version(state_file)
    for _ in range(writes):
        while seen == (seen := _version(state_file)):
            try:
                process.wait(timeout=0.001)
            except subprocess.TimeoutExpired:
                continue
            return False
    return True


def _version(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns


def edit(here: Arena, random_: random.Random) -> None:
    """Changes what is declared, as a commit between two runs does: a parameter, a model gone, or one come back."""
    missing = [name for name in NAMES if name not in here.epochs]
    name = random_.choice([one for one in here.epochs if one != FAILING])
    match random_.choice(["change", "change", "remove", "return"]):
        case "change":
            here.epochs[name] = 5 - here.epochs[name]
        case "remove" if not missing:
            del here.epochs[name]
        case "return" if missing:
            here.epochs[missing[0]] = 2
        case _:
            return
    here.declare()


def fresh(root: Path) -> Iterator[Path]:
    """Names of folders that do not exist yet."""
    return (root / f"stack-{number}" for number in count(1))
