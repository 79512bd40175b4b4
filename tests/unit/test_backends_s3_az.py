"""State in S3 and Azure: conditions, lost answers and refusals as obstore meets them, over a real socket."""

from __future__ import annotations

import os
import subprocess
import sys
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from obstore.store import LocalStore

from reconciler.backends.bucket import ATTEMPTS, BucketObjects, UnsettledError
from reconciler.backends.open import open_place
from reconciler.backends.s3_az import ObstoreBucket, open_azure, open_s3
from reconciler.errors import StateConflict, StateError, UsageError
from reconciler.state.store import Blob
from tests.emulators.gcs import Answer, FakeGcs, Lose, served

SECRET = "a-canary-of-a-secret-key"
ETAG = {"etag": '"abc"', "last-modified": "Fri, 20 Nov 2026 18:30:00 GMT"}


class CountingClock:
    """A clock that stands still and counts its sleeps."""

    def __init__(self) -> None:
        self.slept_s: list[float] = []

    def now(self) -> datetime:
        """Always the same instant."""
        return datetime(2026, 11, 20, 18, 30, tzinfo=UTC)

    def sleep(self, seconds: float) -> None:
        """Count it and return at once."""
        self.slept_s.append(seconds)


class Bench:
    """A server that gives its answers in turn, and objects in an S3 bucket and an Azure container behind it."""

    def __init__(self, url: str, fake: FakeGcs) -> None:
        self.answers = fake.faults
        self.requests = fake.requests
        self.clock = CountingClock()
        self.bucket = open_s3("states", env=s3_env(url))
        azure = open_azure("states", env=azure_env(url))
        self.s3 = BucketObjects(self.bucket, "team", clock=self.clock, jitter=lambda: 0.0)
        self.azure = BucketObjects(azure, "team", clock=self.clock, jitter=lambda: 0.0)


def s3_env(url: str) -> dict[str, str]:
    """An environment that leads to an S3 server."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "somebody",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "eu-west-1",
    }


def azure_env(url: str) -> dict[str, str]:
    """An environment that leads to an Azure server."""
    return {
        "AZURE_STORAGE_ENDPOINT": url,
        "AZURE_STORAGE_ACCOUNT_NAME": "account",
        "AZURE_STORAGE_SAS_TOKEN": f"sv=2021-08-06&sp=rw&sig={SECRET}",
    }


def refusal(status: int, code: str, message: str) -> Answer:
    """A refusal as both services word theirs."""
    return status, f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode(), {}


@pytest.fixture
def bench() -> Iterator[Bench]:
    """A server with nothing to say yet."""
    fake = FakeGcs()
    with served(fake) as url:
        yield Bench(url, fake)


@pytest.mark.parametrize(
    ("expected", "header"), [(None, ("if-none-match", "*")), ('"old"', ("if-match", '"old"'))], ids=["create", "update"]
)
def test_a_write_bears_its_condition(bench: Bench, expected: str | None, header: tuple[str, str]) -> None:
    """One request in one piece, however large, with the condition in its headers."""
    bench.answers.append((200, b"", ETAG))
    assert '"abc"' == bench.s3.put("support.json", b"x" * 12_000_000, expected=expected)
    ((method, path, headers),) = bench.requests
    assert ("PUT", "/states/team/support.json") == (method, path)
    assert header[1] == {name.lower(): value for name, value in headers.items()}[header[0]]


def test_a_lost_answer_counts_by_what_is_stored(bench: Bench) -> None:
    """After a lost answer, a condition that fails is success when what is stored is what was written."""
    failed = refusal(412, "PreconditionFailed", "did not hold")
    bench.answers.extend([Lose.REQUEST, failed, (200, b"ours", ETAG)])
    assert '"abc"' == bench.s3.put("support.json", b"ours", expected='"old"')
    assert [0.25] == bench.clock.slept_s


@pytest.mark.parametrize("lost", [(), (Lose.REQUEST,)], ids=["answered", "lost"])
def test_other_content_is_a_conflict(bench: Bench, lost: tuple[Lose, ...]) -> None:
    """A condition that fails is a conflict when something else is stored, or no answer was lost."""
    bench.answers.extend([*lost, refusal(412, "PreconditionFailed", "did not hold"), (200, b"theirs", ETAG)])
    with pytest.raises(StateConflict):
        bench.s3.put("support.json", b"ours", expected='"old"')


def test_s3_in_the_middle_of_another_write_is_asked_again(bench: Bench) -> None:
    """409 says that another write to the object is under way, which may yet fail."""
    bench.answers.extend([refusal(409, "ConditionalRequestConflict", "in progress"), (200, b"", ETAG)])
    assert '"abc"' == bench.s3.put("support.json", b"ours", expected='"old"')


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_service_is_outlasted(bench: Bench, status: int) -> None:
    """What the service cannot do now is asked again."""
    bench.answers.extend([refusal(status, "SlowDown", "slow down"), (200, b"one", ETAG)])
    assert Blob(b"one", '"abc"') == bench.s3.get("support.json")
    assert [0.25] == bench.clock.slept_s


def test_a_service_that_stays_busy_is_told(bench: Bench) -> None:
    """After the last attempt the message has the service's words and no more."""
    bench.answers.extend([refusal(503, "SlowDown", "Please reduce your request rate.")] * ATTEMPTS)
    with pytest.raises(StateError, match="cannot be read now") as caught:
        bench.s3.get("support.json")
    expected = "s3://states/team/support.json: S3 answered 503 SlowDown: Please reduce your request rate (6 attempts)."
    assert caught.value.detail.startswith(expected)


def test_a_write_that_was_always_refused_changed_nothing(bench: Bench) -> None:
    """Too many requests is an answer: nothing was written, and the message says so."""
    bench.answers.extend([refusal(429, "TooManyRequests", "slow down")] * ATTEMPTS)
    with pytest.raises(StateError) as caught:
        bench.s3.put("support.json", b"one", expected=None)
    assert "Nothing was changed" in caught.value.detail


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_no_proxy_stands_before_this_machine(host: str) -> None:
    """An emulator on loopback is asked directly, whatever proxy the environment names."""
    fake, proxy = FakeGcs(), FakeGcs()
    fake.faults.append((200, b"one", ETAG))
    program = (
        "import os\n"
        "from reconciler.backends.open import open_place\n"
        "print(open_place('s3://states/support.json', env=os.environ).state().read().text)\n"
    )
    with served(fake) as url, served(proxy) as proxy_url:
        env = {"PATH": os.environ["PATH"], "http_proxy": proxy_url, **s3_env(url.replace("127.0.0.1", host))}
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=env)
    assert "one\n" == done.stdout
    assert not proxy.requests


@pytest.mark.parametrize(
    ("answer", "said", "advice"),
    [
        (refusal(403, "AccessDenied", "Access Denied"), "403 AccessDenied: Access Denied", "It takes s3:GetObject"),
        (refusal(401, "Unauthorized", f"bad {SECRET}"), "401 Unauthorized: bad [secret]", "It takes s3:GetObject"),
        (refusal(404, "NoSuchBucket", "no"), "404 NoSuchBucket: no", "There is no such bucket"),
        (refusal(400, "AuthorizationHeaderMalformed", "region"), "400 AuthorizationHeaderMalformed", "AWS_REGION"),
    ],
    ids=["403", "401", "bucket", "region"],
)
def test_a_refusal_says_what_to_do(bench: Bench, answer: Answer, said: str, advice: str) -> None:
    """Each refusal is a StateError with the service's words and what is missing; it is not asked again."""
    bench.answers.append(answer)
    with pytest.raises(StateError, match=r"Could not read s3://states/team/support\.json") as caught:
        bench.s3.get("support.json")
    assert f"S3 answered {said}" in caught.value.detail
    assert advice in caught.value.detail
    assert [] == bench.clock.slept_s


@pytest.mark.parametrize("status", [400, 401, 403, 404, 503])
def test_no_error_shows_a_signature(bench: Bench, status: int) -> None:
    """A shared access signature travels in the URL, and no message quotes it."""
    page = f"<Error><Code>ContainerNotFound</Code><Message>sig={SECRET}</Message></Error>".encode()
    bench.answers.extend([(status, page, {})] * ATTEMPTS)
    with pytest.raises(StateError) as caught:
        bench.azure.get("support.json")
    assert any(SECRET in path for _, path, _ in bench.requests), "the signature was not sent"
    assert SECRET not in caught.value.summary + caught.value.detail
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_an_answer_without_an_etag_is_refused(bench: Bench) -> None:
    """Where versions cannot be told apart, no state is kept."""
    bench.answers.append((200, b"", {}))
    with pytest.raises(StateError):
        bench.s3.put("support.json", b"one", expected=None)


def test_a_store_set_up_without_conditions_is_refused(tmp_path: Path) -> None:
    """What the library cannot put under a condition is told at once, not asked again."""
    clock = CountingClock()
    objects = BucketObjects(ObstoreBucket(LocalStore(tmp_path), url="s3://states"), "", clock=clock)
    version = objects.put("support.json", b"one", expected=None)
    with pytest.raises(StateError, match="This store has no conditions"):
        objects.put("support.json", b"two", expected=version)
    assert [] == clock.slept_s


def test_missing_credentials_say_how_to_sign_in() -> None:
    """Who has no keys hears of it after one look at the machine's metadata service, here in the place of a proxy."""
    fake = FakeGcs()
    fake.faults.append((403, b"denied", {}))
    program = (
        "import os\n"
        "from reconciler.backends.open import open_place\n"
        "from reconciler.errors import StateError\n"
        "try: open_place('s3://states/support.json', env=os.environ).state().read()\n"
        "except StateError as error: print(error.summary, error.command, sep='; ')\n"
    )
    with served(fake) as url:
        env = {"PATH": os.environ["PATH"], "http_proxy": url}
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=env)
    expected = 'There are no credentials for S3; eval "$(aws configure export-credentials --format env)"\n'
    assert expected == done.stdout
    assert 1 == len(fake.requests)


def test_a_missing_extra_says_how_to_install_it() -> None:
    """Without obstore, s3:// is wrong usage with the command that helps, and gs:// and files do not need it."""
    program = (
        "import sys; sys.modules['obstore'] = None\n"
        "from reconciler.backends.open import open_place\n"
        "from reconciler.errors import UsageError\n"
        "open_place('support.json', env={}); open_place('gs://states/support.json', env={})\n"
        "try: open_place('s3://states/support.json', env={})\n"
        "except UsageError as error: print(error.command)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "pip install 'tuneform[state-cloud]'\n" == done.stdout


@pytest.mark.parametrize(
    ("location", "env", "summary"),
    [
        (
            "s3://states/s.json",
            {"AWS_ENDPOINT_URL": "http://minio.example.com:9000"},
            "AWS_ENDPOINT_URL cannot be used",
        ),
        ("az://states/s.json", {}, "Azure Blob Storage cannot be used with these settings"),
        ("az://states/s.json", {"AZURE_STORAGE_ENDPOINT": "ftp://x"}, "AZURE_STORAGE_ENDPOINT cannot be used"),
    ],
)
def test_settings_that_cannot_be_used_are_named(location: str, env: dict[str, str], summary: str) -> None:
    """Plain http to elsewhere, and a missing account, are wrong usage before anything is sent."""
    with pytest.raises(UsageError, match=summary):
        open_place(location, env=env)


def test_the_library_repeats_nothing(bench: Bench) -> None:
    """Each attempt of ours is one request: a repeat the library hides would make our own write a conflict."""
    bench.answers.append(refusal(503, "SlowDown", "slow down"))
    with pytest.raises(UnsettledError):
        bench.bucket.get("support.json")
    assert 1 == len(bench.requests)
