"""A stack's `state` turned into the place that keeps it: a file, or an object in a bucket of one of three clouds.

Opens nothing by itself: no file is touched and nothing is asked before the first read or write.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from reconciler.backends.bucket import Bucket, BucketObjects
from reconciler.backends.document import DocumentStore
from reconciler.errors import UsageError
from reconciler.model.clock import Clock
from reconciler.providers.connection import Connection
from reconciler.state.store import Objects, StateStore

_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
# One segment of an object's name: what no service, proxy or library spells in a way of its own.
_SEGMENT = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._-]+")
# What goes beside the state bears its name and more; S3 and Cloud Storage take 1024 bytes.
_KEY_MAX_CHARS = 900


class RealClock:
    """The machine's own clock: buckets are as slow as they are, whatever time a simulator keeps."""

    def now(self) -> datetime:
        """The present instant, aware UTC."""
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        """Return after that many real seconds."""
        time.sleep(seconds)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a state and all that belongs to it are kept. `name` is the state's key; all others begin with it."""

    objects: Objects
    name: str
    is_local: bool

    def state(self) -> StateStore:
        """The state itself; the version before the last is kept beside it."""
        return DocumentStore(self.objects, self.name, is_proven=self.is_local)

    def document(self, suffix: str) -> StateStore:
        """A document beside the state, such as `.lease` or `.history/000001.jsonl`; no version before is kept."""
        return DocumentStore(self.objects, self.name + suffix, keeps_backup=False, is_proven=self.is_local)


def open_store(location: str, *, env: Mapping[str, str]) -> StateStore:
    """The state at a location; see open_place."""
    return open_place(location, env=env).state()


def open_place(
    location: str, *, env: Mapping[str, str], connection: Connection | None = None, clock: Clock | None = None
) -> Place:
    """The place of a path, gs://BUCKET/NAME, s3://BUCKET/NAME or az://CONTAINER/NAME; NAME is the state's object.

    `connection` stands in for the network of gs://. Credentials are each cloud's own, found in `env` and around it.
    Raises UsageError for any other location, and where a library or a setting for it is missing.
    """
    if "://" not in location:
        from reconciler.backends.local import LocalObjects

        path = Path(location)
        return Place(LocalObjects(path.parent), path.name, is_local=True)
    scheme, _, rest = location.partition("://")
    clock = clock or RealClock()
    openers: Mapping[str, Callable[[str], Bucket]] = {
        "gs": lambda name: _open_gcs(name, env, connection or Connection(), clock),
        "s3": lambda name: _open_s3(name, env),
        "az": lambda name: _open_azure(name, env),
    }
    if scheme not in openers:
        raise UsageError(
            "This state location is not supported",
            f"{location}: a state lives in a local file, or in an object under gs://, s3:// or az://.",
        )
    bucket, _, key = rest.partition("/")
    _check_names(location, bucket, key)
    folder, _, name = key.rpartition("/")
    return Place(BucketObjects(openers[scheme](bucket), folder, clock=clock), name, is_local=False)


def _check_names(location: str, bucket: str, key: str) -> None:
    if not _BUCKET.fullmatch(bucket):
        raise UsageError("This state location names no bucket", f"{location}: write gs://BUCKET/support.json.")
    if not key or key.endswith("/"):
        raise UsageError(
            "This state location names no object",
            f"{location} is a bucket or a folder. Add the name of the state's object: "
            f"{location.rstrip('/')}/support.json.",
        )
    if len(key) > _KEY_MAX_CHARS or not all(_SEGMENT.fullmatch(one) for one in key.split("/")):
        raise UsageError(
            "This state location has a name that cannot be used",
            f"{location}: between slashes, write letters, digits, dots, underscores and dashes, {_KEY_MAX_CHARS} "
            "characters at most.",
        )


def _open_gcs(name: str, env: Mapping[str, str], connection: Connection, clock: Clock) -> Bucket:
    from reconciler.backends.gcs import EMULATOR_VARIABLE, GcsBucket, storage_url
    from reconciler.providers.auth import FixedToken, bearer_tokens
    from reconciler.providers.http import Http

    # As in Google's own clients, an emulator gets no real credentials.
    tokens = FixedToken("emulator") if env.get(EMULATOR_VARIABLE) else bearer_tokens(env, connection)
    http = Http(connection=connection, tokens=tokens, clock=clock)
    return GcsBucket(name, http=http, base_url=storage_url(env), clock=clock)


def _open_s3(name: str, env: Mapping[str, str]) -> Bucket:
    from reconciler.backends.s3_az import open_s3

    return open_s3(name, env=env)


def _open_azure(name: str, env: Mapping[str, str]) -> Bucket:
    from reconciler.backends.s3_az import open_azure

    return open_azure(name, env=env)
