"""A folder with a stack of its own, and the command line run against it, in this process or in one of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from reconciler.__main__ import main

ROOT = Path(__file__).parents[2]
# Simulated seconds per real second: a job of an hour ends between two requests.
FAST = 100_000
# Jobs do not end while a test looks.
REAL_TIME = 1


@dataclass(frozen=True, slots=True)
class Ran:
    """What one command came to."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The JSON document on stdout."""
        return json.loads(self.out)


def model(name: str, *, epochs: int = 2, **spec: Any) -> dict[str, Any]:
    """A TunedModel manifest; keywords are further keys of its spec, and `labels` those of its metadata."""
    labels = spec.pop("labels", None)
    metadata = {"name": name} | ({"labels": labels} if labels else {})
    given = {
        "baseModel": "gemini-3.5-flash",
        "trainingDatasetUri": f"gs://demo-data/{name}.jsonl",
        "hyperParameters": {"epochCount": epochs},
    }
    return {"apiVersion": "tuneform/v1", "kind": "TunedModel", "metadata": metadata, "spec": given | spec}


@dataclass(frozen=True, slots=True)
class Shop:
    """One stack in a temporary folder; `manifests` is its folder of manifests, JSON being YAML too."""

    root: Path
    capture: pytest.CaptureFixture[str] = field(repr=False)

    @property
    def manifests(self) -> Path:
        """The folder of manifests."""
        return self.root / "manifests"

    @property
    def state(self) -> Path:
        """The state file."""
        return self.root / "state" / "support.json"

    @property
    def world(self) -> Path:
        """The simulated world's file."""
        return self.root / "state" / "simulator-world.json"

    def stack(self, *, speed: float = FAST, slots: int = 2, **changes: Any) -> None:
        """Write the stack's manifest."""
        spec: dict[str, Any] = {
            "project": "demo-project",
            "location": "us-central1",
            "endpoint": "simulator",
            "state": "../state/support.json",
            "quota": {"concurrentJobs": slots},
            "simulator": {"speed": speed, "concurrentJobs": slots},
        }
        spec |= changes
        given = {key: value for key, value in spec.items() if value is not None}
        document = {"apiVersion": "tuneform/v1", "kind": "Stack", "metadata": {"name": "support"}, "spec": given}
        self.write("stack.yaml", document)

    def models(self, *models: Mapping[str, Any]) -> None:
        """Write these models, a file each, and remove all others."""
        for path in self.manifests.glob("*.yaml"):
            if path.name != "stack.yaml":
                path.unlink()
        for one in models:
            self.write(f"{one['metadata']['name']}.yaml", one)

    def write(self, name: str, document: Mapping[str, Any]) -> None:
        """Write one manifest."""
        self.manifests.mkdir(exist_ok=True)
        (self.manifests / name).write_text(json.dumps(document), encoding="utf-8")

    def run(self, *words: str) -> Ran:
        """Run one command in this process, `--manifests` added to it."""
        return self.run_bare(*words, "--manifests", str(self.manifests))

    def run_bare(self, *words: str) -> Ran:
        """Run exactly these words in this process."""
        self.capture.readouterr()
        code = main(list(words))
        captured = self.capture.readouterr()
        return Ran(code, captured.out, captured.err)

    def apply(self, *words: str) -> Ran:
        """Apply without asking."""
        return self.run("apply", "--auto-approve", *words)

    def plan(self, *words: str) -> dict[str, tuple[str, str]]:
        """What the plan does with each address: its action and reason."""
        changes = self.run("plan", "--json", *words).document["changes"]
        return {one["address"]: ("/".join(one["actions"]), one["action_reason"]) for one in changes}

    def phases(self) -> dict[str, str]:
        """How each address stands."""
        return {one["address"]: one["phase"] for one in self.run("status", "--json").document["models"]}

    def jobs(self) -> list[str]:
        """The address slug of every job the world ever saw, sorted."""
        document = json.loads(self.world.read_text(encoding="utf-8"))
        return sorted(job["spec"]["labels"]["tuneform-name"].rpartition("-")[0] for job in document["jobs"])

    def words(self, *words: str) -> list[str]:
        """The words that run this command in a process of its own."""
        return [sys.executable, "-m", "reconciler", *words, "--manifests", str(self.manifests)]

    def start(self, *words: str, **more: Any) -> subprocess.Popen[str]:
        """The command in a process of its own, its output piped; no terminal unless `stdin` is one."""
        given: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        given |= {"env": environment(), "cwd": self.root} | more
        return subprocess.Popen(self.words(*words), text=True, **given)


def environment(**changes: str) -> dict[str, str]:
    """An environment in which only what the test says speaks of tuneform, Google or the terminal."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TUNEFORM_", "GOOGLE_", "GCE_"))}
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES"):
        kept.pop(name, None)
    return kept | {"PYTHONPATH": str(ROOT), "TERM": "xterm-256color"} | changes
