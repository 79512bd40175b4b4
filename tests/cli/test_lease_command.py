"""The lease as its users meet it: one applier at a time, who holds it told, and what a dead holder leaves."""

from __future__ import annotations

import getpass
import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reconciler.errors import ExitCode
from tests.cli.harness import REAL_TIME, Shop, model

# A poll every tenth of a second, and a job of a quarter of an hour in three seconds.
BRISK = 300
DEADLINE_S = 60


def lease_of(shop: Shop) -> Path:
    """The lease beside the state."""
    return shop.state.with_name("support.json.lease")


def write_lease(shop: Shop, *, host: str, pid: int, expires_in: timedelta) -> None:
    """A lease as another process left it."""
    now = datetime.now(UTC)
    lease = {
        "format": 1,
        "token": "another",
        "who": "somebody",
        "host": host,
        "pid": pid,
        "purpose": "apply",
        "since": (now - timedelta(minutes=2)).isoformat(),
        "heartbeat_at": (now - timedelta(minutes=1)).isoformat(),
        "expires_at": (now + expires_in).isoformat(),
        "is_free": False,
    }
    lease_of(shop).parent.mkdir(exist_ok=True)
    lease_of(shop).write_text(json.dumps(lease), encoding="utf-8")


def dead_pid() -> int:
    """The number of a process that is gone."""
    gone = subprocess.Popen(["true"])
    gone.wait()
    return gone.pid


@contextmanager
def holder(shop: Shop, *, speed: float = REAL_TIME) -> Iterator[subprocess.Popen[str]]:
    """An apply in a process of its own that holds the lease and waits for its jobs; killed at the end."""
    shop.stack(speed=speed, slots=1)
    process = shop.start("apply", "--auto-approve")
    try:
        read_until(process, "submitted")
        yield process
    finally:
        process.kill()
        process.communicate(timeout=DEADLINE_S)


def read_until(process: subprocess.Popen[str], words: str) -> str:
    """Reads what the process says until a line holds these words; that line."""
    assert process.stderr is not None
    for line in process.stderr:
        if words in line:
            return line
    raise AssertionError(f"it ended with {process.wait(DEADLINE_S)} and never said {words!r}")


def test_a_second_apply_is_turned_away_and_told_by_whom(shop: Shop) -> None:
    """While one applies, another ends with exit code 6, names holder, host, process and purpose, and does nothing."""
    with holder(shop) as first:
        lease = lease_of(shop).read_bytes()
        ran = shop.apply()
        assert ExitCode.LOCKED == ran.code
        told = " ".join(ran.err.split())
        assert f"{getpass.getuser()} on {socket.gethostname()} (process {first.pid}) holds " in told
        assert " for apply; last heartbeat " in told
        assert f"      tuneform state unlock --manifests {shop.manifests}\n" in ran.err
        assert lease == lease_of(shop).read_bytes()
        assert 1 == json.loads(shop.state.read_text(encoding="utf-8"))["epoch"]
        assert ["alpha"] == shop.jobs()


def test_who_only_reads_never_waits(shop: Shop) -> None:
    """plan, status, history and reading the state go on while somebody applies."""
    with holder(shop):
        lease = lease_of(shop).read_bytes()
        for words in (
            ("plan",),
            ("status",),
            ("state", "list"),
            ("state", "pull"),
            ("history",),
            ("history", "verify"),
        ):
            assert (words, 0) == (words, shop.run(*words).code)
        assert lease == lease_of(shop).read_bytes()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_apply_can_wait_for_the_first(shop: Shop, number: signal.Signals) -> None:
    """With --lock-timeout it says for whom it waits, and goes on once the first has given the lease back."""
    with holder(shop) as first:
        second = shop.start("apply", "--auto-approve", "--no-wait", "--lock-timeout", "60")
        assert f"(process {first.pid}) holds " in read_until(second, "Waiting: ")
        first.send_signal(number)
        assert ExitCode.WORK_LEFT == first.wait(DEADLINE_S)
        _, told = second.communicate(timeout=DEADLINE_S)
        assert (0, 1) == (second.returncode, told.count("History: ")), told
    assert ["alpha"] == shop.jobs()


def test_waiting_ends_with_the_lock_timeout(shop: Shop) -> None:
    """Where the first does not end in time, the second gives up with exit code 6."""
    write_lease(shop, host="elsewhere", pid=1, expires_in=timedelta(hours=1))
    ran = shop.apply("--lock-timeout", "0.1")
    assert ExitCode.LOCKED == ran.code
    assert ran.err.startswith("Waiting: somebody on elsewhere (process 1) holds ")
    assert not shop.state.exists()


def test_a_killed_holder_on_this_machine_holds_up_nobody(shop: Shop) -> None:
    """After kill -9 the next apply sees that the holder's process is gone, and goes on at once with its jobs."""
    with holder(shop) as first:
        first.kill()
        first.wait(DEADLINE_S)
        lease = json.loads(lease_of(shop).read_text(encoding="utf-8"))
        assert (first.pid, False) == (lease["pid"], lease["is_free"])
        shop.stack(slots=1)
        ran = shop.apply()
        assert 0 == ran.code, ran.err
    assert ["alpha", "beta", "gamma"] == shop.jobs()
    verified = shop.run("history", "verify")
    assert (0, True) == (verified.code, "in 2 runs" in verified.out)


def test_unlock_ends_what_the_holder_may_do(shop: Shop) -> None:
    """A lease that is freed under a living holder lets others on; the holder submits nothing more and exits with 6."""
    with holder(shop, speed=BRISK) as first:
        ran = shop.run("state", "unlock", "--auto-approve")
        assert 0 == ran.code
        assert f"(process {first.pid}) holds it for apply since " in ran.out
        assert "Freed.\n" == ran.err
        _, told = first.communicate(timeout=DEADLINE_S)
        assert ExitCode.LOCKED == first.returncode, told
        assert "The lease was lost" in told
    assert ["alpha"] == shop.jobs()
    shop.stack(slots=1)
    assert 0 == shop.apply().code
    assert ["alpha", "beta", "gamma"] == shop.jobs()


def test_a_holder_whose_place_was_taken_overwrites_nothing(shop: Shop) -> None:
    """After an unlock and another apply, the first holder's next write fails, and what the other wrote stands."""
    with holder(shop, speed=BRISK) as first:
        assert 0 == shop.run("state", "unlock", "--auto-approve").code
        assert 0 == shop.apply("--no-wait").code
        _, told = first.communicate(timeout=DEADLINE_S)
        assert first.returncode in (ExitCode.ERROR, ExitCode.LOCKED), told
        assert "Traceback" not in told
    shop.stack(slots=1)
    assert 0 == shop.apply().code
    assert ["alpha", "beta", "gamma"] == shop.jobs()
    assert 0 == shop.run("history", "verify").code


def test_unlock_asks_first(shop: Shop) -> None:
    """Where nobody can be asked, and nobody said yes beforehand, the lease stays as it is."""
    write_lease(shop, host="elsewhere", pid=1, expires_in=timedelta(hours=1))
    before = lease_of(shop).read_bytes()
    ran = shop.run("state", "unlock")
    assert (ExitCode.USAGE, before) == (ran.code, lease_of(shop).read_bytes())
    assert 0 == shop.run("state", "unlock", "--auto-approve").code
    assert 0 == shop.apply().code


ELSEWHERE = "another-host"


@pytest.mark.parametrize(
    ("where", "process", "expires_in_s", "code"),
    [
        ("elsewhere", "living", 59, ExitCode.LOCKED),
        ("elsewhere", "living", -1, ExitCode.DONE),
        ("elsewhere", "dead", 59, ExitCode.LOCKED),
        ("here", "living", 59, ExitCode.LOCKED),
        ("here", "living", -1, ExitCode.DONE),
        ("here", "dead", 59, ExitCode.DONE),
    ],
)
def test_a_lease_ends_with_its_time_or_with_its_process_on_this_machine(
    shop: Shop, where: str, process: str, expires_in_s: int, code: ExitCode
) -> None:
    """A lease counts until it expires, or until its process is surely gone, which only this machine can tell."""
    host = socket.gethostname() if where == "here" else ELSEWHERE
    pid = os.getppid() if process == "living" else dead_pid()
    write_lease(shop, host=host, pid=pid, expires_in=timedelta(seconds=expires_in_s))
    ran = shop.apply()
    assert code == ran.code, ran.err
    assert ([] if code else ["alpha", "beta", "gamma"]) == (shop.jobs() if shop.world.exists() else [])


@pytest.mark.parametrize(
    "words",
    [
        "apply --auto-approve",
        "destroy --auto-approve --allow-cancel 1 --allow-forget 3",
        "retry alpha --auto-approve",
        "cancel delta --auto-approve",
        "import --all --auto-approve",
        "state rm alpha",
        "state mv alpha epsilon",
    ],
)
def test_everything_that_changes_the_state_asks_for_the_lease(shop: Shop, words: str) -> None:
    """Every command that writes is turned away while another one holds the lease, and changes nothing."""
    failed = model("alpha", labels={"simulate": "fail"})
    shop.models(failed, model("beta"))
    shop.apply()
    # What is adopted by its labels is there to be imported.
    shop.run("state", "rm", "beta")
    shop.stack(speed=REAL_TIME)
    shop.models(failed, model("beta"), model("delta"))
    shop.apply("--no-wait")
    shop.models(failed, model("beta"), model("delta"), model("zeta"))
    write_lease(shop, host=ELSEWHERE, pid=1, expires_in=timedelta(hours=1))
    before = shop.state.read_bytes()
    ran = shop.run(*words.split())
    assert ExitCode.LOCKED == ran.code, ran.err
    assert "somebody on another-host" in ran.err
    assert before == shop.state.read_bytes()
    assert ["alpha", "beta", "delta"] == shop.jobs()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 2}', '{"format": 1}'])
def test_a_lease_that_cannot_be_read_stops_an_apply(shop: Shop, text: str) -> None:
    """A damaged lease may be somebody's: nothing is done, and what to do is said."""
    lease_of(shop).parent.mkdir()
    lease_of(shop).write_text(text, encoding="utf-8")
    for words in (("apply", "--auto-approve"), ("state", "unlock", "--auto-approve")):
        ran = shop.run(*words)
        assert ExitCode.ERROR == ran.code
        assert "The lease cannot be read" in ran.err
        assert "Traceback" not in ran.err
    assert not shop.state.exists()
