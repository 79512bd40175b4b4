"""A bucket of S3 or a container of Azure Blob Storage, over obstore. Versions are ETags.

obstore comes with the extra `state-cloud` and is imported when a bucket is opened. It finds credentials the way its
clouds do on servers and in CI: the environment, web identity, and the machine's metadata service.
Source: https://developmentseed.org/obstore and https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from reconciler.backends.bucket import ConditionError, UnsettledError, named_endpoint
from reconciler.errors import StateError, UsageError
from reconciler.state.store import Blob

_TEXT_MAX_CHARS = 500
_SECRET_MIN_CHARS = 8
# Tried once, since what it repeats on its own it hides: after a lost answer it would report a conflict with ourselves.
_RETRY_CONFIG = {"max_retries": 0}
_TIMEOUTS = {"connect_timeout": "10s", "timeout": "60s"}
# Where the machines of all clouds give out credentials, the last resort of whoever has found none.
_METADATA = re.compile(r"http://(169\.254\.\d+\.\d+|\[fd00:ec2)")
_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>([^<]*)</Code>")
_MESSAGE = re.compile(r"<Message>([^<]*)</Message>")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cloud:
    """What differs between the two. `settings` maps obstore's names to variables of the environment, first wins."""

    name: str
    scheme: str
    container: str
    settings: Mapping[str, tuple[str, ...]]
    secrets: frozenset[str]
    permissions: str
    sign_in: str
    command: str


_S3 = _Cloud(
    name="S3",
    scheme="s3",
    container="bucket",
    settings={
        "access_key_id": ("AWS_ACCESS_KEY_ID",),
        "secret_access_key": ("AWS_SECRET_ACCESS_KEY",),
        "session_token": ("AWS_SESSION_TOKEN",),
        "region": ("AWS_REGION", "AWS_DEFAULT_REGION"),
        "endpoint": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"),
    },
    secrets=frozenset({"secret_access_key", "session_token"}),
    permissions="It takes s3:GetObject, s3:PutObject and s3:DeleteObject on the objects, s3:ListBucket on the bucket, "
    "and AWS_REGION set to the bucket's region.",
    sign_in="Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, let CI assume a role by web identity, or take over what "
    "the AWS command line is signed in with:",
    command='eval "$(aws configure export-credentials --format env)"',
)
_AZURE = _Cloud(
    name="Azure Blob Storage",
    scheme="az",
    container="container",
    settings={
        "account_name": ("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT"),
        "account_key": ("AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_KEY"),
        "sas_token": ("AZURE_STORAGE_SAS_TOKEN",),
        "client_id": ("AZURE_CLIENT_ID",),
        "client_secret": ("AZURE_CLIENT_SECRET",),
        "tenant_id": ("AZURE_TENANT_ID",),
        "federated_token_file": ("AZURE_FEDERATED_TOKEN_FILE",),
        "use_azure_cli": ("AZURE_USE_AZURE_CLI",),
        "endpoint": ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
    },
    secrets=frozenset({"account_key", "sas_token", "client_secret"}),
    permissions="It takes the role Storage Blob Data Contributor on the container.",
    sign_in="Set AZURE_STORAGE_ACCOUNT_KEY, AZURE_STORAGE_SAS_TOKEN, or AZURE_CLIENT_ID, AZURE_TENANT_ID and "
    "AZURE_CLIENT_SECRET; or use what the Azure command line is signed in with:",
    command="export AZURE_USE_AZURE_CLI=true",
)


def open_s3(name: str, *, env: Mapping[str, str]) -> ObstoreBucket:
    """The S3 bucket, with AWS_ENDPOINT_URL for other servers than Amazon's; no I/O. Raises UsageError."""
    return _opened(_S3, name, env, lambda module, config, options: module.S3Store(name, config=config, **options))


def open_azure(name: str, *, env: Mapping[str, str]) -> ObstoreBucket:
    """The container in the account that AZURE_STORAGE_ACCOUNT_NAME names; no I/O. Raises UsageError."""
    return _opened(_AZURE, name, env, lambda module, config, options: module.AzureStore(name, config=config, **options))


def _opened(
    cloud: _Cloud, name: str, env: Mapping[str, str], make: Callable[[Any, dict[str, Any], dict[str, Any]], Any]
) -> ObstoreBucket:
    try:
        import obstore
        from obstore import store as module
    except ImportError:
        raise UsageError(
            f"{cloud.scheme}:// needs the extra state-cloud",
            f"The state is in {cloud.scheme}://{name}, and the library that reaches {cloud.name} is not installed:",
            command="pip install 'tuneform[state-cloud]'",
        ) from None
    config: dict[str, Any] = {}
    for key, variables in cloud.settings.items():
        variable = next((one for one in variables if env.get(one)), None)
        if variable is not None:
            config[key] = named_endpoint(variable, env[variable]) if key == "endpoint" else env[variable]
    options = {"client_options": _client_options(config.get("endpoint")), "retry_config": _RETRY_CONFIG}
    secrets = tuple(config[key] for key in sorted(cloud.secrets & config.keys()))
    try:
        store = make(module, config, options)
    except (obstore.exceptions.BaseError, ValueError) as error:
        all_variables = ", ".join(one for names in cloud.settings.values() for one in names)
        raise UsageError(
            f"{cloud.name} cannot be used with these settings",
            f"{_plain(str(error), secrets)}. Look at these variables of the environment: {all_variables}.",
        ) from None
    return ObstoreBucket(store, cloud=cloud, url=f"{cloud.scheme}://{name}", secrets=secrets)


def _client_options(endpoint: str | None) -> dict[str, Any]:
    if endpoint is None or not endpoint.startswith("http://"):
        return {"allow_http": False, **_TIMEOUTS}
    # Plain http is for this machine only, and no proxy stands before it; obstore excludes hosts only from a proxy that
    # it is given, so it is given one that is never asked.
    never_proxied = f"{urlsplit(endpoint).hostname},169.254.169.254"
    return {"allow_http": True, "proxy_url": endpoint, "proxy_excludes": never_proxied, **_TIMEOUTS}


class ObstoreBucket:
    """One bucket or container; safe between threads. Errors say neither URLs nor any of `secrets`."""

    def __init__(self, store: Any, *, url: str, cloud: _Cloud = _S3, secrets: tuple[str, ...] = ()) -> None:
        self._store = store
        self._url = url
        self._cloud = cloud
        self._secrets = secrets

    @property
    def url(self) -> str:
        """The scheme and the bucket's name."""
        return self._url

    def get(self, name: str) -> Blob | None:
        """The object and its ETag, from one request."""
        import obstore

        try:
            with self._explained("read", name):
                result = obstore.get(self._store, name)
                return Blob(bytes(result.bytes()), self._version(result.meta["e_tag"]))
        except FileNotFoundError:
            return None

    def put(self, name: str, content: bytes, expected: str | None) -> str:
        """Upload in one piece under If-None-Match or If-Match."""
        import obstore

        # An empty key in the mode is refused, and an upload in parts takes no condition.
        mode: Any = "create" if expected is None else {"e_tag": expected}
        with self._explained("write", name):
            result = obstore.put(self._store, name, content, mode=mode, use_multipart=False)
            return self._version(result["e_tag"])

    def copy(self, name: str, to: str, expected: str) -> None:
        """Copy within the bucket, right after a look at the version: obstore has no condition for copies."""
        import obstore

        try:
            with self._explained("copy", name):
                if obstore.head(self._store, name)["e_tag"] != expected:
                    raise ConditionError
                obstore.copy(self._store, name, to)
        except FileNotFoundError:
            raise ConditionError from None

    def delete(self, name: str) -> None:
        """Delete whatever version is there."""
        import obstore

        try:
            with self._explained("delete", name):
                obstore.delete(self._store, name)
        except FileNotFoundError:
            return

    def list(self, prefix: str) -> tuple[str, ...]:
        """The names below the prefix, page after page."""
        import obstore

        with self._explained("list", prefix):
            return tuple(one["path"] for page in obstore.list(self._store, prefix) for one in page)

    def _version(self, etag: str | None) -> str:
        if etag:
            return etag
        raise StateError(
            "This store has no versions",
            f"{self._url} answers without an ETag, so nobody could tell one version of the state from another.",
        )

    @contextmanager
    def _explained(self, doing: str, name: str) -> Iterator[None]:
        """obstore's errors in our terms; FileNotFoundError stays where the object, not its bucket, is missing."""
        from obstore import exceptions

        try:
            yield
        except FileNotFoundError as error:
            if not self._lacks_bucket(error):
                raise
            raise self._refused(doing, name, error) from None
        except (exceptions.PreconditionError, exceptions.AlreadyExistsError) as error:
            if "ConditionalRequestConflict" in str(error):
                # S3 is in the middle of another write to the object, which may come to nothing.
                raise UnsettledError(f"{self._cloud.name} answered 409", is_open=False) from None
            raise ConditionError from None
        except NotImplementedError:
            raise StateError(
                "This store has no conditions",
                f"{self._url} is set up without conditional writes, and two runs would overwrite each other's state. "
                "Look at AWS_CONDITIONAL_PUT in the environment.",
            ) from None
        except exceptions.BaseError as error:
            raise self._failure(doing, name, error) from None

    def _lacks_bucket(self, error: Exception) -> bool:
        return any(code in str(error) for code in ("NoSuchBucket", "ContainerNotFound"))

    def _failure(self, doing: str, name: str, error: Exception) -> UnsettledError | StateError:
        text = str(error)
        if _METADATA.search(text):
            return StateError(
                f"There are no credentials for {self._cloud.name}",
                f"Neither the environment nor this machine has any. {self._cloud.sign_in}",
                command=self._cloud.command,
            )
        match = _STATUS.search(text)
        status = int(match[1]) if match else None
        if status is None or status in (408, 409, 429) or status >= 500:
            said = f"{self._cloud.name} answered {self._said(error)}" if status else self._said(error)
            return UnsettledError(said, is_open=status not in (409, 429))
        return self._refused(doing, name, error)

    def _refused(self, doing: str, name: str, error: Exception) -> StateError:
        advice = self._cloud.permissions
        if self._lacks_bucket(error):
            advice = f"There is no such {self._cloud.container}. Check its name in the stack, or create it."
        return StateError(
            f"Could not {doing} {self._url}/{name}", f"{self._cloud.name} answered {self._said(error)}. {advice}"
        )

    def _said(self, error: Exception) -> str:
        """The status with the service's code and words; what never got an answer in the library's first line."""
        text = str(error)
        status, code, message = (
            match and match[1] for match in (one.search(text) for one in (_STATUS, _CODE, _MESSAGE))
        )
        if status is None:
            return _plain(text, self._secrets)
        words = " ".join(one for one in (status, code) if one)
        return _plain(f"{words}: {message}" if message else words, self._secrets)


def _plain(text: str, secrets: tuple[str, ...]) -> str:
    """The first paragraph in one line, without URLs, which may hold a signature, and without secrets."""
    text = re.sub(r"https?://\S+", "[URL]", text.split("\n\nDebug source")[0])
    text = re.sub(r"sig=[^&\s]+", "sig=[secret]", text)
    for secret in secrets:
        if len(secret) >= _SECRET_MIN_CHARS:
            text = text.replace(secret, "[secret]")
    return " ".join(text.split())[:_TEXT_MAX_CHARS].rstrip(".")
