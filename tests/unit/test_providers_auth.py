"""The environment turned into bearer tokens, without the network and without google-auth's own search."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from reconciler.errors import ApiError, CredentialsError, Refusal, TuneformError, UsageError
from reconciler.providers.auth import FixedToken, Grant, Tokens, bearer_tokens
from reconciler.providers.connection import Connection
from reconciler.providers.credentials import SIGN_IN, MetadataCredentials

CANARY = "ya29.canary-of-a-token"
USER = {
    "type": "authorized_user",
    "client_id": "id",
    "client_secret": "canary-client-secret",
    "refresh_token": "canary-refresh-token",
    "quota_project_id": "payer",
}


class TokenServices:
    """A transport that answers as Google's token services do, and keeps what it was asked."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self.answers = answers
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Keep the request and answer it."""
        self.requests.append(request)
        answer = self.answers.get(f"{request.url.host}{request.url.path}", httpx.ConnectError("no route"))
        if callable(answer):
            answer = answer(len(self.requests))
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, httpx.Response) else httpx.Response(200, json=answer)

    def connection(self) -> Connection:
        """A connection to these services."""
        return Connection(transport=httpx.MockTransport(self))

    def tokens(self, env: Mapping[str, str]) -> Tokens:
        """The tokens of an environment that has these services."""
        return bearer_tokens(env, self.connection())

    @property
    def urls(self) -> list[str]:
        """What was asked, in turn."""
        return [str(request.url) for request in self.requests]


def oauth_answer(token: str = CANARY) -> dict[str, Any]:
    """A token service's success."""
    return {"access_token": token, "expires_in": 3600, "token_type": "Bearer"}


def written(path: Path, document: object) -> str:
    """A credentials file's path."""
    path.write_text(json.dumps(document), encoding="utf-8")
    return str(path)


@pytest.fixture
def user_file(tmp_path: Path) -> str:
    """A file of gcloud's user credentials."""
    return written(tmp_path / "user.json", USER)


def test_a_token_of_the_environment_is_used_as_it_is() -> None:
    """TUNEFORM_ACCESS_TOKEN wins over every file, and a line break around it does no harm."""
    services = TokenServices({})
    env = {"TUNEFORM_ACCESS_TOKEN": f"{CANARY}\n", "GOOGLE_APPLICATION_CREDENTIALS": "/nowhere"}
    tokens = services.tokens({**env, "GOOGLE_CLOUD_QUOTA_PROJECT": "payer"})
    assert Grant(CANARY, "payer") == tokens.current()
    assert tokens.renewed(tokens.current()) is None
    assert [] == services.requests


@pytest.mark.parametrize("token", ["", " ", "a b", "a\nb", "tökén", "a\x00"])
def test_a_token_that_cannot_be_one_is_refused_unseen(token: str) -> None:
    """An empty or broken token is told at once, without repeating it."""
    with pytest.raises(CredentialsError) as caught:
        TokenServices({}).tokens({"TUNEFORM_ACCESS_TOKEN": token})
    assert "gcloud auth print-access-token" == caught.value.command
    assert not token.strip() or token not in caught.value.detail


def test_a_quota_project_must_be_a_projects_name() -> None:
    """It becomes a header, so nothing strange gets through."""
    with pytest.raises(UsageError):
        TokenServices({}).tokens({"TUNEFORM_ACCESS_TOKEN": "t", "GOOGLE_CLOUD_QUOTA_PROJECT": "a\r\nx: y"})


def test_tokens_are_not_shown() -> None:
    """A grant and a token source keep the token out of their repr."""
    assert CANARY not in f"{Grant(CANARY)!r} {FixedToken(CANARY)!r}"


def test_user_credentials_are_refreshed_at_first_use(user_file: str) -> None:
    """Nothing is asked before a token is needed, then the token service once, and its answer is kept."""
    services = TokenServices({"oauth2.googleapis.com/token": oauth_answer()})
    tokens = services.tokens({"GOOGLE_APPLICATION_CREDENTIALS": user_file})
    assert [] == services.requests
    assert Grant(CANARY, "payer") == tokens.current()
    assert Grant(CANARY, "payer") == tokens.current()
    assert ["https://oauth2.googleapis.com/token"] == services.urls
    # User credentials bear the scopes they were granted; asking for others would be refused.
    assert "scope" not in parse_qs(services.requests[0].content.decode())


def test_the_environment_may_name_another_payer(user_file: str) -> None:
    """GOOGLE_CLOUD_QUOTA_PROJECT wins over the file."""
    services = TokenServices({"oauth2.googleapis.com/token": oauth_answer()})
    env = {"GOOGLE_APPLICATION_CREDENTIALS": user_file, "GOOGLE_CLOUD_QUOTA_PROJECT": "other"}
    assert "other" == services.tokens(env).current().quota_project


@pytest.mark.parametrize(
    ("variable", "folder"), [("CLOUDSDK_CONFIG", "."), ("APPDATA", "gcloud"), ("HOME", ".config/gcloud")]
)
def test_gclouds_own_file_is_found(variable: str, folder: str, tmp_path: Path) -> None:
    """Signing in with gcloud is enough, wherever it keeps its file."""
    (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    written(tmp_path / folder / "application_default_credentials.json", USER)
    services = TokenServices({"oauth2.googleapis.com/token": oauth_answer()})
    assert CANARY == services.tokens({variable: str(tmp_path)}).current().token


def test_one_refresh_serves_all_who_wait(user_file: str) -> None:
    """Thirty requests at once ask the token service once."""
    services = TokenServices({"oauth2.googleapis.com/token": oauth_answer()})
    tokens = services.tokens({"GOOGLE_APPLICATION_CREDENTIALS": user_file})
    gate = threading.Barrier(30)

    def ask(_: int) -> Grant:
        gate.wait()
        return tokens.current()

    with ThreadPoolExecutor(30) as pool:
        assert {Grant(CANARY, "payer")} == set(pool.map(ask, range(30)))
    assert 1 == len(services.requests)


def test_a_rejected_token_is_renewed_once_for_all_who_were_rejected(user_file: str) -> None:
    """Ten requests that were answered 401 under one token share its successor."""
    services = TokenServices({"oauth2.googleapis.com/token": lambda count: oauth_answer(f"token-{count}")})
    tokens = services.tokens({"GOOGLE_APPLICATION_CREDENTIALS": user_file})
    rejected = tokens.current()
    with ThreadPoolExecutor(10) as pool:
        renewed = set(pool.map(tokens.renewed, [rejected] * 10))
    assert {Grant("token-2", "payer")} == renewed
    assert 2 == len(services.requests)


def test_a_token_service_that_gives_the_same_again_gives_no_other(user_file: str) -> None:
    """There is no use in sending a rejected token twice."""
    services = TokenServices({"oauth2.googleapis.com/token": oauth_answer()})
    tokens = services.tokens({"GOOGLE_APPLICATION_CREDENTIALS": user_file})
    assert tokens.renewed(tokens.current()) is None


def service_account(**more: str) -> dict[str, str]:
    """A service account's key, made for this test."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    account = {"type": "service_account", "client_email": "tuner@p.iam.gserviceaccount.com", "private_key": pem}
    return {**account, "token_uri": "https://oauth2.googleapis.com/token", "private_key_id": "1", **more}


def test_a_service_account_signs_for_its_token(tmp_path: Path) -> None:
    """A key file gives tokens for the whole platform."""
    services = TokenServices({"oauth2.googleapis.com/token": oauth_answer()})
    path = written(tmp_path / "sa.json", service_account())
    assert Grant(CANARY) == services.tokens({"GOOGLE_APPLICATION_CREDENTIALS": path}).current()
    assert b"assertion=" in services.requests[0].content


FEDERATION = {
    "type": "external_account",
    "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/ci/providers/github",
    "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
    "token_url": "https://sts.googleapis.com/v1/token",
}


def test_workload_identity_federation_exchanges_the_subjects_token(tmp_path: Path) -> None:
    """A CI job's own token becomes Google's, and nobody asks for a project's id on the way."""
    (tmp_path / "subject").write_text("canary-subject-token", encoding="utf-8")
    info = {**FEDERATION, "credential_source": {"file": str(tmp_path / "subject")}}
    services = TokenServices({"sts.googleapis.com/v1/token": oauth_answer()})
    path = written(tmp_path / "wif.json", info)
    assert Grant(CANARY) == services.tokens({"GOOGLE_APPLICATION_CREDENTIALS": path}).current()
    assert ["https://sts.googleapis.com/v1/token"] == services.urls
    form = parse_qs(services.requests[0].content.decode())
    assert ["canary-subject-token"] == form["subject_token"]
    assert ["https://www.googleapis.com/auth/cloud-platform"] == form["scope"]


def test_federation_with_aws_asks_the_machine_for_its_region(tmp_path: Path) -> None:
    """An AWS subject is loaded by google-auth's own AWS credentials."""
    source = {
        "environment_id": "aws1",
        "region_url": "http://169.254.169.254/latest/meta-data/placement/availability-zone",
        "regional_cred_verification_url": "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity",
    }
    kind = "urn:ietf:params:aws:token-type:aws4_request"
    info = {**FEDERATION, "subject_token_type": kind, "credential_source": source}
    services = TokenServices({})
    path = written(tmp_path / "aws.json", info)
    with pytest.raises(ApiError):
        services.tokens({"GOOGLE_APPLICATION_CREDENTIALS": path}).current()
    assert [source["region_url"]] == services.urls


def test_federation_by_a_program_needs_the_users_consent(tmp_path: Path) -> None:
    """google-auth runs no program that a credentials file names unless the environment allows it."""
    source = {"executable": {"command": "/bin/false"}}
    path = written(tmp_path / "program.json", {**FEDERATION, "credential_source": source})
    with pytest.raises(CredentialsError, match="no access token") as caught:
        TokenServices({}).tokens({"GOOGLE_APPLICATION_CREDENTIALS": path}).current()
    assert "GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES" in caught.value.detail


def iam_answer() -> dict[str, str]:
    """The answer of `generateAccessToken`."""
    ends = datetime.now(UTC) + timedelta(hours=1)
    return {"accessToken": CANARY, "expireTime": ends.strftime("%Y-%m-%dT%H:%M:%SZ")}


IAM = "iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/tuner@p.iam.gserviceaccount.com:generateAccessToken"


def test_federation_may_impersonate_a_service_account(tmp_path: Path) -> None:
    """The exchanged token is traded for the service account's."""
    (tmp_path / "subject").write_text("subject", encoding="utf-8")
    source = {"credential_source": {"file": str(tmp_path / "subject")}}
    info = {**FEDERATION, **source, "service_account_impersonation_url": f"https://{IAM}"}
    services = TokenServices({"sts.googleapis.com/v1/token": oauth_answer("exchanged"), IAM: iam_answer()})
    path = written(tmp_path / "wif.json", info)
    assert Grant(CANARY) == services.tokens({"GOOGLE_APPLICATION_CREDENTIALS": path}).current()
    assert "Bearer exchanged" == services.requests[1].headers["authorization"]


def test_a_user_may_impersonate_a_service_account(tmp_path: Path) -> None:
    """`gcloud auth application-default login --impersonate-service-account` works."""
    info = {
        "type": "impersonated_service_account",
        "source_credentials": USER,
        "service_account_impersonation_url": f"https://{IAM}",
    }
    services = TokenServices({"oauth2.googleapis.com/token": oauth_answer("users"), IAM: iam_answer()})
    path = written(tmp_path / "impersonated.json", info)
    assert Grant(CANARY) == services.tokens({"GOOGLE_APPLICATION_CREDENTIALS": path}).current()


@pytest.mark.parametrize(
    "content",
    [
        "not json: canary-refresh-token",
        "[]",
        "{}",
        '{"type": ["authorized_user"]}',
        '{"type": "gdch_service_account"}',
        '{"type": "authorized_user", "refresh_token": "canary-refresh-token"}',
        '{"type": "service_account", "private_key": "canary-refresh-token", "client_email": "a", "token_uri": "b"}',
        '{"type": "external_account", "credential_source": "canary-refresh-token"}',
        '{"type": "impersonated_service_account"}',
    ],
)
def test_a_broken_credentials_file_is_named_and_not_quoted(content: str, tmp_path: Path) -> None:
    """The error says which file and who named it; its secrets stay in it."""
    path = tmp_path / "broken.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(CredentialsError) as caught:
        TokenServices({}).tokens({"GOOGLE_APPLICATION_CREDENTIALS": str(path)}).current()
    assert f"{path}, named by GOOGLE_APPLICATION_CREDENTIALS: " in caught.value.detail
    assert "canary" not in caught.value.detail
    assert SIGN_IN == caught.value.command


def test_a_credentials_file_that_is_not_there_is_named() -> None:
    """A path of yesterday is the user's to mend; nothing else is tried in its place."""
    services = TokenServices({"169.254.169.254/": httpx.Response(200, headers={"metadata-flavor": "Google"})})
    with pytest.raises(CredentialsError, match="cannot be used") as caught:
        services.tokens({"GOOGLE_APPLICATION_CREDENTIALS": "/nowhere/key.json"}).current()
    assert "/nowhere/key.json" in caught.value.detail
    assert [] == services.requests


@pytest.mark.parametrize("env", [{}, {"HOME": "/nowhere"}, {"NO_GCE_CHECK": "true"}])
def test_without_credentials_it_says_what_to_do(env: Mapping[str, str]) -> None:
    """After one probe at most, however many ask, the user is told how to sign in."""
    services = TokenServices({})
    tokens = services.tokens(env)
    for _ in range(3):
        with pytest.raises(CredentialsError) as caught:
            tokens.current()
    assert SIGN_IN == caught.value.command
    assert "TUNEFORM_ACCESS_TOKEN" in caught.value.detail
    assert (0 if "NO_GCE_CHECK" in env else 1) == len(services.requests)


METADATA_TOKEN = "169.254.169.254/computeMetadata/v1/instance/service-accounts/default/token"
FLAVORED = httpx.Response(200, headers={"metadata-flavor": "Google"})


def test_a_google_machine_gives_its_service_accounts_token() -> None:
    """On Compute Engine, Cloud Run and GKE no file is needed."""
    services = TokenServices({"169.254.169.254/": FLAVORED, METADATA_TOKEN: oauth_answer()})
    assert Grant(CANARY) == services.tokens({}).current()
    assert all("Google" == request.headers["metadata-flavor"] for request in services.requests)


def test_somebody_elses_server_at_that_address_is_no_metadata_server() -> None:
    """Only an answer with Google's mark counts: other clouds use the same address."""
    services = TokenServices({"169.254.169.254/": httpx.Response(200), METADATA_TOKEN: oauth_answer()})
    with pytest.raises(CredentialsError, match="no Google credentials"):
        services.tokens({}).current()


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (httpx.Response(404), CredentialsError),
        (httpx.Response(200, text="no json"), CredentialsError),
        (httpx.Response(200, json={"access_token": CANARY}), CredentialsError),
        (httpx.Response(200, json=[]), CredentialsError),
        (httpx.Response(503), ApiError),
        (httpx.ReadTimeout(""), ApiError),
    ],
)
def test_a_metadata_server_without_a_token_is_told(
    answer: httpx.Response | Exception, kind: type[TuneformError]
) -> None:
    """A machine without a service account is the user's affair; a mute server may answer later."""
    services = TokenServices({"169.254.169.254/": FLAVORED, METADATA_TOKEN: answer})
    with pytest.raises(kind) as caught:
        services.tokens({}).current()
    assert CANARY not in caught.value.detail


def test_a_metadata_token_is_renewed_before_it_ends() -> None:
    """It is good until 225 seconds before its end, as google-auth has it for all others."""
    now_s = 1_000.0
    services = TokenServices({METADATA_TOKEN: oauth_answer()})
    credentials = MetadataCredentials("169.254.169.254", None, services.connection(), monotonic_s=lambda: now_s)
    assert not credentials.valid
    credentials.refresh(lambda: None)
    now_s += 3600 - 226
    assert credentials.valid
    now_s += 2
    assert not credentials.valid


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (
            lambda _: httpx.Response(
                400, json={"error": "invalid_grant", "error_description": "Token has been expired or revoked."}
            ),
            CredentialsError,
        ),
        (lambda _: httpx.Response(200, json={"id_token": "canary-id-token"}), CredentialsError),
        (lambda _: httpx.Response(200, text="canary-page"), CredentialsError),
        (lambda _: httpx.Response(200, json={"access_token": "canary\ntoken", "expires_in": 3600}), CredentialsError),
        (lambda _: httpx.ConnectError("no route"), ApiError),
        (lambda _: httpx.ReadTimeout("canary-refresh-token"), ApiError),
    ],
)
def test_a_failed_refresh_is_told_without_secrets(
    answer: Callable[[int], object], kind: type[TuneformError], user_file: str
) -> None:
    """A withdrawn sign-in is the user's to mend; a network that is down may come back, and nothing was sent."""
    services = TokenServices({"oauth2.googleapis.com/token": answer})
    with pytest.raises(kind) as caught:
        services.tokens({"GOOGLE_APPLICATION_CREDENTIALS": user_file}).current()
    assert "canary" not in f"{caught.value.summary} {caught.value.detail}"
    if isinstance(caught.value, ApiError):
        assert Refusal.UNREACHABLE is caught.value.kind
