"""State in Cloud Storage: what lost answers, busy servers and refusals come to, over a real socket."""

from __future__ import annotations

import traceback
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.backends.bucket import ATTEMPTS, BucketObjects, pause_before_s
from reconciler.backends.document import DocumentStore
from reconciler.backends.gcs import GcsBucket, storage_url
from reconciler.backends.open import open_place
from reconciler.errors import StateConflict, StateError, UsageError
from reconciler.providers.auth import FixedToken, Grant, Tokens
from reconciler.providers.connection import Connection
from reconciler.providers.http import Http
from reconciler.state.store import Blob
from tests.emulators.gcs import Answer, FakeGcs, Lose, error, served

CANARY = "ya29.a-canary-of-a-token"
STATE = "gs://states/team/support.json"
LOST = {"the request is lost": Lose.REQUEST, "the answer is lost": Lose.ANSWER}
BUSY = {
    "429": error(429, "The object exceeded the rate limit."),
    "503": error(503, "Backend Error"),
    "500": (500, b"<html>oops</html>", {}),
    "409": error(409, "The request conflicts with another one."),
    "cut off": (200, b'{"generation": "17', {}),
}


class CountingClock:
    """A clock that stands still but for its sleeps, which it counts; `meanwhile` is done in each."""

    def __init__(self) -> None:
        self.slept_s: list[float] = []
        self.meanwhile: Callable[[], object] = lambda: None

    def now(self) -> datetime:
        """The start and all sleeps since."""
        return datetime(2026, 11, 20, 18, 30, tzinfo=UTC) + timedelta(seconds=sum(self.slept_s))

    def sleep(self, seconds: float) -> None:
        """Count it, do what is to be done meanwhile, and return at once."""
        self.slept_s.append(seconds)
        self.meanwhile()


class Bench:
    """A fake with the bucket `states` behind a socket, and objects below its folder `team`."""

    def __init__(self, stack: ExitStack) -> None:
        self.fake = FakeGcs("states")
        self.clock = CountingClock()
        self._url = stack.enter_context(served(self.fake))
        self._stack = stack
        self.objects = self.open()

    def open(self, *, tokens: Tokens | None = None, bucket: str = "states") -> BucketObjects:
        """The objects through connections of their own."""
        connection = self._stack.enter_context(closing(Connection()))
        http = Http(connection=connection, tokens=tokens or FixedToken(CANARY), clock=self.clock)
        gcs = GcsBucket(bucket, http=http, base_url=self._url, clock=self.clock)
        return BucketObjects(gcs, "team", clock=self.clock, jitter=lambda: 0.0)


@pytest.fixture
def bench() -> Iterator[Bench]:
    """An empty bench."""
    with ExitStack() as stack:
        yield Bench(stack)


@pytest.mark.parametrize("fault", [*LOST.values(), *BUSY.values()], ids=[*LOST, *BUSY])
@pytest.mark.parametrize("before", [None, b"old"])
def test_a_write_outlasts_one_fault(bench: Bench, fault: Lose | Answer, before: bytes | None) -> None:
    """Whatever happens to the first attempt, the write takes effect once and is told as what it is: a success."""
    version = None if before is None else bench.objects.put("support.json", before, expected=None)
    bench.fake.faults.append(fault)
    written = bench.objects.put("support.json", b"new", expected=version)
    assert Blob(b"new", written) == bench.objects.get("support.json")
    assert [0.25] == bench.clock.slept_s


@pytest.mark.parametrize("fault", [*LOST.values(), *BUSY.values()], ids=[*LOST, *BUSY])
def test_reading_listing_and_deleting_outlast_one_fault(bench: Bench, fault: Lose | Answer) -> None:
    """What changes nothing, or the same thing twice, is asked again."""
    bench.objects.put("support.json", b"one", expected=None)
    if fault != BUSY["cut off"]:
        # A download that breaks off is noticed by its length, which is the connection's to tell.
        bench.fake.faults.append(fault)
        blob = bench.objects.get("support.json")
        assert blob is not None
        assert b"one" == blob.content
        bench.fake.faults.append(fault)
        bench.objects.delete("support.json")
        assert bench.objects.get("support.json") is None
    bench.fake.faults.append(fault)
    assert () == bench.objects.list("support.json.history")


def test_a_lost_answer_and_then_somebody_else_is_a_conflict(bench: Bench) -> None:
    """When our answer was lost and another has written since, what is stored is not ours, and we say so."""
    first = bench.objects.put("support.json", b"one", expected=None)
    bench.fake.faults.append(Lose.REQUEST)
    bench.clock.meanwhile = lambda: bench.open().put("support.json", b"theirs", expected=first)
    with pytest.raises(StateConflict, match="changed by somebody else"):
        bench.objects.put("support.json", b"ours", expected=first)
    assert "theirs" == bench.fake.text(STATE)


@pytest.mark.parametrize("status", ["429", "409"])
def test_equal_content_of_somebody_else_is_a_conflict(bench: Bench, status: str) -> None:
    """Where no answer was lost, content like ours was written by another: two that count must not count as one."""
    first = bench.objects.put("support.json", b"1", expected=None)
    bench.fake.faults.append(BUSY[status])
    bench.clock.meanwhile = lambda: bench.open().put("support.json", b"2", expected=first)
    with pytest.raises(StateConflict):
        bench.objects.put("support.json", b"2", expected=first)


def test_who_writes_alone_never_meets_a_conflict(bench: Bench) -> None:
    """Under any faults each write of a single writer is stored and told as a success, or gives up."""

    @given(st.lists(st.sampled_from([None, *LOST.values(), BUSY["429"], BUSY["503"]]), max_size=12))
    def hold(faults: list[Lose | Answer | None]) -> None:
        bench.fake.objects.clear()
        bench.fake.faults = deque(faults)
        version = None
        for content in (b"one", b"two", b"three"):
            try:
                version = bench.objects.put("support.json", content, expected=version)
            except StateConflict:
                raise
            except StateError:
                # Only a long row of faults is a reason.
                assert len(faults) - len(bench.fake.faults) >= ATTEMPTS
                return
            assert (int(version), content) == bench.fake.objects["states", "team/support.json"]

    hold()


@pytest.mark.parametrize("first", [Lose.ANSWER, Lose.REQUEST, error(503, "Backend Error")])
def test_one_lost_answer_leaves_the_write_open(bench: Bench, first: Lose | Answer) -> None:
    """Later refusals do not settle what an earlier attempt may have done."""
    bench.fake.faults.extend([first, *[error(429, "slow down")] * (ATTEMPTS - 1)])
    with pytest.raises(StateError) as caught:
        bench.objects.put("support.json", b"one", expected=None)
    assert "It is open whether it was written" in caught.value.detail


def test_a_write_that_gives_up_says_that_it_is_open(bench: Bench) -> None:
    """After the last attempt the message names the object, the number of attempts, and what is not known."""
    bench.fake.faults.extend([error(503, "Backend Error")] * ATTEMPTS)
    with pytest.raises(StateError, match="The state cannot be written now") as caught:
        bench.objects.put("support.json", b"one", expected=None)
    assert f"{STATE}: Cloud Storage answered 503: Backend Error (6 attempts). It is open whether" in caught.value.detail
    assert [0.25, 0.5, 1.0, 2.0, 4.0] == bench.clock.slept_s


@pytest.mark.parametrize("fault", [error(429, "slow down"), error(409, "in use")])
def test_a_write_that_was_always_refused_changed_nothing(bench: Bench, fault: Answer) -> None:
    """Where every attempt was answered with a refusal, the message says that nothing was changed."""
    bench.fake.faults.extend([fault] * ATTEMPTS)
    with pytest.raises(StateError) as caught:
        bench.objects.put("support.json", b"one", expected=None)
    assert "Nothing was changed" in caught.value.detail
    assert not bench.fake.objects


def test_a_read_that_gives_up_says_what_to_do(bench: Bench) -> None:
    """A server that does not answer is a StateError that names the object and where to look."""
    bench.fake.faults.extend([Lose.REQUEST] * ATTEMPTS)
    with pytest.raises(StateError, match="The state cannot be read now") as caught:
        bench.objects.get("support.json")
    assert f"{STATE}: the connection broke" in caught.value.detail
    assert "Nothing was changed. Check the network" in caught.value.detail


@pytest.mark.parametrize(
    ("attempts", "asked_s", "jitter", "expected"),
    [
        (1, None, 0.0, 0.25),
        (1, None, 1.0, 0.5),
        (5, None, 1.0, 8.0),
        (6, None, 0.0, None),
        (1, 7.0, 0.0, 7.0),
        (5, 1.0, 1.0, 8.0),
        (1, 17.0, 0.0, None),
    ],
)
def test_pauses_double_and_end(attempts: int, asked_s: float | None, jitter: float, expected: float | None) -> None:
    """Half a second, doubled each time, spread by jitter, as long as the server asks unless that is too long."""
    assert expected == pause_before_s(attempts, asked_s, jitter)


def test_the_pause_the_server_asks_for_is_kept(bench: Bench) -> None:
    """Retry-After wins over a shorter pause of our own."""
    bench.fake.faults.append(error(429, "slow down", **{"retry-after": "9"}))
    bench.objects.put("support.json", b"one", expected=None)
    assert [9.0] == bench.clock.slept_s


@pytest.mark.parametrize(
    ("answer", "summary", "detail", "command"),
    [
        (
            error(401, f"Invalid Credentials: {CANARY}"),
            f"Could not read {STATE}",
            "Cloud Storage answered 401: Invalid Credentials: [token]. The token has expired",
            "gcloud auth application-default login",
        ),
        (
            error(403, "ci@example.com does not have storage.objects.get access."),
            f"Could not read {STATE}",
            "does not have storage.objects.get access. Whoever runs tuneform needs the role roles/storage.objectUser",
            None,
        ),
        (
            error(400, "Bucket is a requester pays bucket but no user project provided."),
            f"Could not read {STATE}",
            "set GOOGLE_CLOUD_QUOTA_PROJECT",
            None,
        ),
        ((302, b"", {"location": "https://elsewhere.example"}), f"Could not read {STATE}", "answered 302. ", None),
        ((200, b"{}", {}), "This is not Cloud Storage", "without its generation. Check STORAGE_EMULATOR_HOST", None),
    ],
    ids=["401", "403", "requester pays", "redirect", "no generation"],
)
def test_a_refusal_says_what_to_do(
    bench: Bench, answer: Answer, summary: str, detail: str, command: str | None
) -> None:
    """Each refusal is a StateError with Google's words, what is missing, and no token; it is not asked again."""
    bench.fake.faults.append(answer)
    with pytest.raises(StateError) as caught:
        bench.objects.get("support.json")
    assert (summary, command) == (caught.value.summary, caught.value.command)
    assert detail in caught.value.detail
    assert CANARY not in "".join(traceback.format_exception(caught.value))
    assert [] == bench.clock.slept_s


def test_a_bucket_that_is_not_there_is_no_empty_state(bench: Bench) -> None:
    """Reading, writing and listing in a misspelt bucket say so; it does not look like a stack without a state."""
    objects = bench.open(bucket="sates")
    attempts: tuple[Callable[[], object], ...] = (
        lambda: objects.get("support.json"),
        lambda: objects.put("support.json", b"one", expected=None),
        lambda: objects.list("support.json.history"),
    )
    for attempt in attempts:
        with pytest.raises(StateError, match="gs://sates") as caught:
            attempt()
        assert "There is no such bucket" in caught.value.detail
        assert "gcloud storage buckets create gs://sates --uniform-bucket-level-access" == caught.value.command


def test_a_token_that_has_run_out_is_renewed(bench: Bench) -> None:
    """An answer of 401 costs one more request with a new token; who pays is named in each."""

    class TwoTokens:
        def current(self) -> Grant:
            return Grant("ya29.old", "payer")

        def renewed(self, rejected: Grant) -> Grant | None:
            return Grant("ya29.new", "payer")

    bench.fake.faults.append(error(401, "Invalid Credentials"))
    bench.open(tokens=TwoTokens()).put("support.json", b"one", expected=None)
    sent = [(headers["authorization"], headers["x-goog-user-project"]) for _, _, headers in bench.fake.requests]
    assert [("Bearer ya29.old", "payer"), ("Bearer ya29.new", "payer")] == sent


def test_a_missing_sign_in_is_told_as_what_it_is(tmp_path: Path) -> None:
    """Without credentials the error is a StateError that says how to sign in, and nothing is sent."""
    env = {"HOME": str(tmp_path), "NO_GCE_CHECK": "true"}
    with pytest.raises(StateError, match="There are no Google credentials") as caught:
        open_place(STATE, env=env).state().read()
    assert "gcloud auth application-default login" == caught.value.command


def test_nobody_listening_is_told_as_what_it_is(bench: Bench) -> None:
    """A host that refuses connections was surely not reached, and the message says so."""
    with closing(Connection()) as connection:
        env = {"STORAGE_EMULATOR_HOST": "127.0.0.1:1"}
        place = open_place(STATE, env=env, connection=connection, clock=bench.clock)
        with pytest.raises(StateError, match="cannot be written now") as caught:
            place.objects.put("support.json", b"one", expected=None)
    assert "no connection" in caught.value.detail
    assert "Nothing was changed" in caught.value.detail


@pytest.mark.parametrize(
    ("ignored", "told"),
    [("create", "create only what does not exist"), ("update", "replace only the version that was read")],
)
def test_a_store_that_ignores_conditions_is_refused(
    bench: Bench, ignored: Literal["create", "update"], told: str
) -> None:
    """No state is begun where a second create or a stale update would succeed, and the probe is taken away again."""
    bench.fake.ignored = ignored
    with pytest.raises(StateError, match="This store ignores conditions") as caught:
        DocumentStore(bench.objects, "support.json").write("{}", expected=None)
    assert told in caught.value.detail
    assert not bench.fake.objects


def test_only_the_first_write_asks_for_proof(bench: Bench) -> None:
    """A state that exists was proven when it began: an update is a copy and a write, no more."""
    store = DocumentStore(bench.objects, "support.json")
    version = store.write("one", expected=None)
    bench.fake.requests.clear()
    store.write("two", expected=version)
    assert ["POST", "POST"] == [method for method, _, _ in bench.fake.requests]


def test_a_backup_that_fails_does_not_stop_the_write(bench: Bench) -> None:
    """The new version is written though the one before could not be copied, and the copy is tried once."""
    store = DocumentStore(bench.objects, "support.json")
    version = store.write("one", expected=None)
    bench.fake.faults.append(error(503, "Backend Error"))
    store.write("two", expected=version)
    assert "two" == bench.fake.text(STATE)
    assert [] == bench.clock.slept_s


def test_bytes_that_are_no_text_are_refused(bench: Bench) -> None:
    """An object that is not UTF-8 is a StateError that names the byte and the backup."""
    bench.objects.put("support.json", b'{"stack": "\xff"}', expected=None)
    with pytest.raises(StateError, match="not text") as caught:
        DocumentStore(bench.objects, "support.json").read()
    assert "from byte 11 on" in caught.value.detail
    assert f"{STATE}.backup" in caught.value.detail


@pytest.mark.parametrize(
    ("variable", "expected"),
    [
        (None, "https://storage.googleapis.com"),
        ("", "https://storage.googleapis.com"),
        ("localhost:9023", "http://localhost:9023"),
        ("http://127.0.0.1:9023/", "http://127.0.0.1:9023"),
        ("https://storage.example.com", "https://storage.example.com"),
    ],
)
def test_an_emulator_takes_googles_place(variable: str | None, expected: str) -> None:
    """STORAGE_EMULATOR_HOST is read as in Google's own clients."""
    assert expected == storage_url({} if variable is None else {"STORAGE_EMULATOR_HOST": variable})


def test_an_emulator_elsewhere_needs_https() -> None:
    """State does not travel unencrypted over a network."""
    with pytest.raises(UsageError, match="STORAGE_EMULATOR_HOST cannot be used"):
        storage_url({"STORAGE_EMULATOR_HOST": "gcs.example.com:4443"})
