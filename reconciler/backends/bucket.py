"""Objects in a bucket of some cloud: single attempts turned into calls that outlast busy servers and lost answers.

A conditional write may be sent again: at most one of its copies can meet its condition. So an answer that was lost is
followed by the same write, and a condition that then fails is no conflict if what is stored is what was written.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Protocol, TypeVar

from reconciler.errors import StateError, UsageError
from reconciler.model.clock import Clock
from reconciler.providers.hosts import check_endpoint
from reconciler.state.store import Blob, changed_elsewhere

# Source: https://cloud.google.com/storage/docs/retry-strategy and https://cloud.google.com/storage/quotas#objects:
# exponential backoff with jitter; one object takes one write a second.
ATTEMPTS = 6
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 16.0

_T = TypeVar("_T")


class UnsettledError(Exception):
    """One attempt that came to nothing for now, and may be made again.

    `is_open` says that it may have taken effect all the same; `asked_s` is the pause the server asked for, None when it
    did not say. `why` is for the user and holds no secrets.
    """

    def __init__(self, why: str, *, is_open: bool, asked_s: float | None = None) -> None:
        super().__init__(why)
        self.why = why
        self.is_open = is_open
        self.asked_s = asked_s


class ConditionError(Exception):
    """The object is not at the expected version; nothing was changed."""


class Bucket(Protocol):
    """A bucket or container, by single attempts, with full names of objects.

    Every method does I/O and raises UnsettledError where another attempt may help, StateError where none will.
    """

    @property
    def url(self) -> str:
        """Scheme and name, as in gs://bucket."""

    def get(self, name: str) -> Blob | None:
        """The object, None when there is none in a bucket that exists."""

    def put(self, name: str, content: bytes, expected: str | None) -> str:
        """Write if the object is at the expected version, None for absent; raises ConditionError when it is not."""

    def copy(self, name: str, to: str, expected: str) -> None:
        """Copy within the bucket; raises ConditionError when `name` is not at the expected version."""

    def delete(self, name: str) -> None:
        """Remove the object if it is there."""

    def list(self, prefix: str) -> tuple[str, ...]:
        """The names of all objects below a prefix that ends in a slash."""


class BucketObjects:
    """Objects below a folder of a bucket, "" for the bucket itself. Safe between threads as far as its bucket is.

    `jitter` gives numbers in [0, 1) and spreads the pauses between attempts.
    """

    def __init__(
        self, bucket: Bucket, folder: str, *, clock: Clock, jitter: Callable[[], float] = random.random
    ) -> None:
        self._bucket = bucket
        self._prefix = f"{folder}/" if folder else ""
        self._clock = clock
        self._jitter = jitter

    def where(self, key: str) -> str:
        """The object's URL."""
        return f"{self._bucket.url}/{self._prefix}{key}"

    def get(self, key: str) -> Blob | None:
        """The object, or None when there is none."""
        return self._outlast(lambda: self._bucket.get(self._prefix + key), "read", key)

    def put(self, key: str, content: bytes, *, expected: str | None) -> str:
        """Replace the object; see Objects. A lost answer counts by what is stored afterwards."""
        was_open = False

        def write() -> str:
            nonlocal was_open
            try:
                return self._bucket.put(self._prefix + key, content, expected)
            except UnsettledError as error:
                was_open |= error.is_open
                raise

        try:
            return self._outlast(write, "written", key)
        except ConditionError:
            # Without a lost answer before it, the same content is somebody else's.
            stored = self.get(key) if was_open else None
            if stored is None or stored.content != content:
                raise changed_elsewhere(self.where(key)) from None
            return stored.version

    def copy(self, key: str, to: str, *, expected: str) -> None:
        """Put a copy in place of whatever is at `to`; tried once."""
        try:
            self._bucket.copy(self._prefix + key, self._prefix + to, expected)
        except ConditionError:
            raise changed_elsewhere(self.where(key)) from None
        except UnsettledError as error:
            raise self._gave_up(error, "copied", key, attempts=1) from None

    def delete(self, key: str) -> None:
        """Remove the object if it is there."""
        self._outlast(lambda: self._bucket.delete(self._prefix + key), "removed", key)

    def list(self, folder: str) -> tuple[str, ...]:
        """The keys of all objects below the folder, sorted."""
        names = self._outlast(lambda: self._bucket.list(f"{self._prefix}{folder}/"), "listed", folder)
        return tuple(sorted(name.removeprefix(self._prefix) for name in names))

    def _outlast(self, attempt: Callable[[], _T], done: str, key: str) -> _T:
        """What the attempt returns, made again after growing pauses while it is unsettled."""
        made, was_open = 1, False
        while True:
            try:
                return attempt()
            except UnsettledError as error:
                was_open |= error.is_open
                pause_s = pause_before_s(made, error.asked_s, self._jitter())
                if pause_s is None:
                    error.is_open = was_open
                    raise self._gave_up(error, done, key, attempts=made) from None
            self._clock.sleep(pause_s)
            made += 1

    def _gave_up(self, error: UnsettledError, done: str, key: str, *, attempts: int) -> StateError:
        if done == "written" and error.is_open:
            outcome = "It is open whether it was written; the next run reads what is there and goes on from it."
        else:
            outcome = "Nothing was changed."
        tries = "one attempt" if attempts == 1 else f"{attempts} attempts"
        return StateError(
            f"The state cannot be {done} now",
            f"{self.where(key)}: {error.why} ({tries}). {outcome} Check the network, HTTPS_PROXY and NO_PROXY, and run "
            "the command again.",
        )


def pause_before_s(attempts: int, asked_s: float | None, jitter: float) -> float | None:
    """Seconds to wait after so many attempts, from 1; None when there is to be no other. `jitter` is in [0, 1)."""
    if attempts >= ATTEMPTS or (asked_s or 0.0) > LONGEST_PAUSE_S:
        return None
    own_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** (attempts - 1)) * (0.5 + jitter / 2)
    return max(own_s, asked_s or 0.0)


def named_endpoint(variable: str, url: str) -> str:
    """The endpoint a variable of the environment names; raises UsageError unless https, or http to this machine."""
    try:
        return check_endpoint(url)
    except UsageError as error:
        raise UsageError(f"{variable} cannot be used", error.detail) from None
