"""The environment turned into Google credentials: a file, or the metadata server of a Google machine.

May read the credentials file and ask the metadata server; imports google-auth only for a file. It finds and loads
them itself, because `google.auth.default` starts gcloud, asks for a project that nobody here needs, wants the
`requests` library on Google machines, and takes 3 seconds to say that there are no credentials.
"""

from __future__ import annotations

import importlib
import json
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from reconciler.errors import ApiError, CredentialsError, Refusal, UsageError
from reconciler.providers.connection import Connection, Timeouts, Unanswered

# Source: the scopes in Google's discovery document of aiplatform v1; reading and creating jobs need this one.
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
ACCESS_TOKEN_VARIABLE = "TUNEFORM_ACCESS_TOKEN"
SIGN_IN = "gcloud auth application-default login"
# One probe with this timeout is the longest a machine without credentials waits to be told so.
METADATA_PROBE_TIMEOUT_S = 1.0
# A metadata token is renewed this long before it ends, as google-auth does with all others (3 min 45 s).
_RENEW_BEFORE_S = 225.0
_METADATA_HOST = "169.254.169.254"
_METADATA_HEADERS = {"metadata-flavor": "Google"}
_PROJECT = re.compile(r"[a-z0-9][a-z0-9.:-]*")

# What loads each type of credentials file.
# Source: google-auth 2.62, google/auth/_default.py.
_LOADERS: Mapping[str, tuple[str, str]] = {
    "authorized_user": ("google.oauth2.credentials", "from_authorized_user_info"),
    "service_account": ("google.oauth2.service_account", "from_service_account_info"),
    "external_account_authorized_user": ("google.auth.external_account_authorized_user", "from_info"),
    "impersonated_service_account": (
        "google.auth.impersonated_credentials",
        "from_impersonated_service_account_info",
    ),
}
# User credentials bear the scopes they were granted; asking for others fails the refresh.
_BEARS_ITS_SCOPES = frozenset({"authorized_user", "external_account_authorized_user"})


class Credentials(Protocol):
    """The part of google-auth's credentials that is used here."""

    @property
    def token(self) -> str | None:
        """The token of the last refresh."""

    @property
    def valid(self) -> bool:
        """Whether the token is good for some minutes more."""

    @property
    def quota_project_id(self) -> str | None:
        """The project that pays for requests, None for the one they are about."""

    def refresh(self, request: Callable[..., Any]) -> None:
        """Get a new token through `request`."""


def find_credentials(env: Mapping[str, str], connection: Connection) -> Credentials:
    """Application default credentials: the file that is named, gcloud's file, or the metadata server.

    Reads a file or asks the metadata server once; raises CredentialsError when there are none or they are unusable.
    """
    named = env.get("GOOGLE_APPLICATION_CREDENTIALS")
    if named:
        return _from_file(Path(named), env, said_by="GOOGLE_APPLICATION_CREDENTIALS")
    usual = _gcloud_file(env)
    if usual is not None and usual.is_file():
        return _from_file(usual, env, said_by="gcloud")
    metadata = MetadataCredentials(env.get("GCE_METADATA_HOST") or _METADATA_HOST, quota_project(env), connection)
    if env.get("NO_GCE_CHECK", "").lower() not in ("true", "1") and metadata.answers():
        return metadata
    raise CredentialsError(
        "There are no Google credentials",
        f"Neither {ACCESS_TOKEN_VARIABLE} nor GOOGLE_APPLICATION_CREDENTIALS is set, {usual or 'a gcloud folder'} is"
        " not there, and no metadata server of a Google machine answers. Sign in, or in CI configure workload"
        " identity federation:",
        command=SIGN_IN,
    )


class MetadataCredentials:
    """The service account of the Google machine this runs on.

    google-auth's own needs the `requests` library and probes for 3 seconds; this asks one URL.
    Source: https://cloud.google.com/compute/docs/access/authenticate-workloads#applications.
    """

    def __init__(
        self,
        host: str,
        quota_project_id: str | None,
        connection: Connection,
        *,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.token: str | None = None
        self.quota_project_id = quota_project_id
        self._host = host
        self._connection = connection
        self._monotonic_s = monotonic_s
        self._good_until_s = 0.0

    @property
    def valid(self) -> bool:
        """Whether the token is good for some minutes more."""
        return self.token is not None and self._monotonic_s() < self._good_until_s

    def answers(self) -> bool:
        """Whether a metadata server is there; waits at most METADATA_PROBE_TIMEOUT_S for each step."""
        short = Timeouts(*(METADATA_PROBE_TIMEOUT_S,) * 4)
        try:
            reply = self._connection.send("GET", f"http://{self._host}/", headers=_METADATA_HEADERS, timeouts=short)
        except Unanswered:
            return False
        return reply.status == 200 and reply.headers.get("metadata-flavor") == "Google"

    def refresh(self, request: Callable[..., Any]) -> None:
        """Get a new token; raises CredentialsError when the machine has no service account, ApiError when it is mute.

        `request` is not used: no proxy may see this one, and its errors need words of their own.
        """
        del request
        url = f"http://{self._host}/computeMetadata/v1/instance/service-accounts/default/token"
        try:
            reply = self._connection.send("GET", url, headers=_METADATA_HEADERS, params={"scopes": SCOPE})
        except Unanswered as error:
            raise mute(error.why) from None
        if reply.status >= 500:
            raise mute(f"the metadata server answered {reply.status}")
        try:
            answer = json.loads(reply.body) if reply.status == 200 else {}
            token, lasts_s = str(answer["access_token"]), float(answer["expires_in"])
        except (ValueError, KeyError, TypeError):
            raise CredentialsError(
                "The metadata server gives no token",
                f"It answered {reply.status}. The machine needs a service account with the scope cloud-platform.",
            ) from None
        self.token, self._good_until_s = token, self._monotonic_s() + lasts_s - _RENEW_BEFORE_S


def mute(why: str) -> ApiError:
    """The error for a token service that gave no answer, or asked to come again later."""
    return ApiError(
        "Could not get an access token: the token service could not be reached",
        f"{why}. Nothing was sent to Vertex AI. Check the network, HTTPS_PROXY and NO_PROXY.",
        kind=Refusal.UNREACHABLE,
    )


def quota_project(env: Mapping[str, str]) -> str | None:
    """The project the environment lets pay for requests, None where it names none; raises UsageError for a bad name."""
    name = env.get("GOOGLE_CLOUD_QUOTA_PROJECT")
    if name and not _PROJECT.fullmatch(name):
        raise UsageError("GOOGLE_CLOUD_QUOTA_PROJECT names no project", f"{name!r} is not a project's id or number.")
    return name or None


def _gcloud_file(env: Mapping[str, str]) -> Path | None:
    # Source: https://cloud.google.com/docs/authentication/application-default-credentials.
    for variable, below in (("CLOUDSDK_CONFIG", ""), ("APPDATA", "gcloud"), ("HOME", ".config/gcloud")):
        if env.get(variable):
            return Path(env[variable], below, "application_default_credentials.json")
    return None


def _from_file(path: Path, env: Mapping[str, str], *, said_by: str) -> Credentials:
    """The credentials in a file; errors name the file and never quote it."""
    try:
        info = json.loads(path.read_bytes())
    except OSError as error:
        raise _bad_file(path, said_by, f"it cannot be read: {error.strerror}") from None
    except ValueError:
        raise _bad_file(path, said_by, "it is not JSON") from None
    known = sorted((*_LOADERS, "external_account"))
    if not isinstance(info, dict) or info.get("type") not in known:
        raise _bad_file(path, said_by, f"its type is none of {', '.join(known)}")
    try:
        credentials: Any = _load(info)
    except ImportError as error:
        raise _bad_file(path, said_by, f"its type needs a library that is not installed ({error.name})") from None
    except Exception as error:
        # google-auth raises whatever a malformed file leads it to, AttributeError included.
        raise _bad_file(path, said_by, f"google-auth cannot use it ({type(error).__name__})") from None
    payer = quota_project(env)
    found: Credentials = credentials.with_quota_project(payer) if payer else credentials
    return found


def _load(info: Mapping[str, Any]) -> Any:
    kind = info["type"]
    if kind == "external_account":
        # Not through google.auth.default: that asks for the project's id, which we do not need.
        module = importlib.import_module(_federation_module(info))
        return module.Credentials.from_info(info, scopes=[SCOPE])
    module_name, loader = _LOADERS[kind]
    load = getattr(importlib.import_module(module_name).Credentials, loader)
    return load(info) if kind in _BEARS_ITS_SCOPES else load(info, scopes=[SCOPE])


def _federation_module(info: Mapping[str, Any]) -> str:
    # Source: google-auth 2.62, google/auth/_default.py, _get_external_account_credentials.
    if info.get("subject_token_type") == "urn:ietf:params:aws:token-type:aws4_request":
        return "google.auth.aws"
    if (info.get("credential_source") or {}).get("executable") is not None:
        return "google.auth.pluggable"
    return "google.auth.identity_pool"


def _bad_file(path: Path, said_by: str, why: str) -> CredentialsError:
    return CredentialsError(
        "The Google credentials file cannot be used",
        f"{path}, named by {said_by}: {why}. Name another, or make a new one:",
        command=SIGN_IN,
    )
