"""One request, one reply: what is repeated, what never is, and what each failure of the network means."""

from __future__ import annotations

import contextlib
import inspect
import socket
import struct
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from reconciler.errors import ApiError, Refusal, UsageError
from reconciler.providers.auth import FixedToken, Grant
from reconciler.providers.connection import Connection, Reply, Timeouts, Unanswered, unanswered
from reconciler.providers.http import READ_ATTEMPTS, Http, Repeat, delay_before_repeat_s

URL = "https://us-central1-aiplatform.googleapis.com/v1/x"
CANARY = "ya29.canary-of-a-token"
NOW = datetime(2026, 11, 20, 18, 30, tzinfo=UTC)
SERVER_DATE = "Fri, 20 Nov 2026 18:29:50 GMT"
Handler = Callable[[httpx.Request], httpx.Response]


class CountingClock:
    """A clock that stands still but for its sleeps, which it counts."""

    def __init__(self) -> None:
        self.slept_s: list[float] = []

    def now(self) -> datetime:
        """The start and all sleeps since."""
        return NOW + timedelta(seconds=sum(self.slept_s))

    def sleep(self, seconds: float) -> None:
        """Count it and return at once."""
        self.slept_s.append(seconds)


class Server:
    """A transport that gives its answers in turn, the last one for ever, and keeps the requests."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = answers
        self.requests: list[httpx.Request] = []
        self.clock = CountingClock()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Keep the request and answer it."""
        self.requests.append(request)
        answer = self.answers[min(len(self.requests), len(self.answers)) - 1]
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

    def http(self, **more: Any) -> Http:
        """A client of this server."""
        connection = Connection(transport=httpx.MockTransport(self))
        parts = {"tokens": FixedToken(CANARY), "clock": self.clock, "jitter": lambda: 0.0, **more}
        return Http(connection=connection, **parts)


def ok(document: object, **headers: str) -> httpx.Response:
    """A success with a document."""
    return httpx.Response(200, json=document, headers={"date": SERVER_DATE, **headers})


FAILURES: Sequence[tuple[str, httpx.Response | Exception, Refusal]] = (
    ("connect error", httpx.ConnectError("Name or service not known"), Refusal.UNREACHABLE),
    ("connect timeout", httpx.ConnectTimeout("slow"), Refusal.UNREACHABLE),
    ("pool timeout", httpx.PoolTimeout("busy"), Refusal.UNREACHABLE),
    ("proxy", httpx.ProxyError("407 Proxy Authentication Required"), Refusal.UNREACHABLE),
    ("read timeout", httpx.ReadTimeout(f"Bearer {CANARY}"), Refusal.AMBIGUOUS),
    ("write timeout", httpx.WriteTimeout(f"Bearer {CANARY}"), Refusal.AMBIGUOUS),
    ("read error", httpx.ReadError(f"Bearer {CANARY}"), Refusal.AMBIGUOUS),
    ("write error", httpx.WriteError(f"Bearer {CANARY}"), Refusal.AMBIGUOUS),
    ("close error", httpx.CloseError(f"Bearer {CANARY}"), Refusal.AMBIGUOUS),
    ("reset", httpx.RemoteProtocolError(f"Bearer {CANARY}"), Refusal.AMBIGUOUS),
    ("illegal header", httpx.LocalProtocolError(f"Illegal header value b'Bearer {CANARY}'"), Refusal.AMBIGUOUS),
    ("bad gzip", httpx.Response(200, headers={"content-encoding": "gzip"}, content=b""), Refusal.AMBIGUOUS),
    ("not json", httpx.Response(200, text=f"<html>{CANARY}"), Refusal.AMBIGUOUS),
    ("truncated", httpx.Response(200, text='{"name": "projects/'), Refusal.AMBIGUOUS),
    ("empty", httpx.Response(200), Refusal.AMBIGUOUS),
    ("no object", httpx.Response(200, json=[1]), Refusal.AMBIGUOUS),
    ("no json constant", httpx.Response(200, text='{"a": NaN}'), Refusal.AMBIGUOUS),
    ("too deep", httpx.Response(200, text="[" * 100_000), Refusal.AMBIGUOUS),
    ("redirect", httpx.Response(302, headers={"location": "https://evil.example"}), Refusal.INVALID),
    ("see other", httpx.Response(303, headers={"location": "https://evil.example"}), Refusal.AMBIGUOUS),
    ("400", httpx.Response(400, text=f"bad Authorization: Bearer {CANARY}"), Refusal.INVALID),
    ("401", httpx.Response(401, json={"error": {"message": f"bad token {CANARY}"}}), Refusal.UNAUTHENTICATED),
    ("403", httpx.Response(403, json={"error": {"message": f"bad token {CANARY}"}}), Refusal.PERMISSION),
    ("404", httpx.Response(404), Refusal.NOT_FOUND),
    ("408", httpx.Response(408), Refusal.AMBIGUOUS),
    ("409", httpx.Response(409), Refusal.CONFLICT),
    ("429", httpx.Response(429, text=f"Bearer {CANARY}"), Refusal.RATE),
    ("500", httpx.Response(500, text=f"Bearer {CANARY}"), Refusal.AMBIGUOUS),
    ("502", httpx.Response(502), Refusal.AMBIGUOUS),
    ("503", httpx.Response(503, headers={"retry-after": "1"}), Refusal.AMBIGUOUS),
    ("504", httpx.Response(504), Refusal.AMBIGUOUS),
)
EVERY_FAILURE = pytest.mark.parametrize(
    ("answer", "kind"), [one[1:] for one in FAILURES], ids=[one[0] for one in FAILURES]
)


@EVERY_FAILURE
def test_a_create_is_sent_exactly_once(answer: httpx.Response | Exception, kind: Refusal) -> None:
    """Whatever goes wrong, a POST is not sent again, and its error says whether it may have taken effect."""
    server = Server(answer, ok({}))
    with pytest.raises(ApiError) as caught:
        server.http().post_json(URL, {"baseModel": "secret-project-name"}, doing="create the tuning job")
    assert (kind, 1, []) == (caught.value.kind, len(server.requests), server.clock.slept_s)


@EVERY_FAILURE
def test_no_error_shows_the_token_or_the_request(answer: httpx.Response | Exception, kind: Refusal) -> None:
    """Neither the error, nor what it was raised from, nor a client's repr gives a token or a body away."""
    http = Server(answer).http()
    with pytest.raises(ApiError) as caught:
        http.post_json(URL, {"baseModel": "secret-project-name"}, doing="create the tuning job")
    error = caught.value
    shown = "".join(
        (error.summary, error.detail, repr(error), repr(vars(error)), *traceback.format_exception(error), repr(http))
    )
    assert kind is error.kind
    # The test's own source is part of the traceback; the token's text is not in it.
    assert CANARY not in shown
    assert "secret-project-name" not in error.summary + error.detail + repr(vars(error))


def test_a_token_that_is_a_word_does_not_garble_a_message() -> None:
    """An emulator's token may be part of any sentence, and of the words that tell refusals apart."""
    message = "The following quota metrics exceed quota limits: global_concurrent_tuning_jobs"
    server = Server(httpx.Response(429, json={"error": {"message": message}}))
    with pytest.raises(ApiError) as caught:
        server.http(tokens=FixedToken("quota")).post_json(URL, {}, doing="create the tuning job")
    assert Refusal.QUOTA is caught.value.kind
    assert message in caught.value.detail


@EVERY_FAILURE
def test_a_read_is_repeated_where_that_can_help(answer: httpx.Response | Exception, kind: Refusal) -> None:
    """What the network, the rate or the server did wrong is asked again; what we did wrong is not."""
    server = Server(answer)
    with pytest.raises(ApiError) as caught:
        server.http().get_json(URL, doing="list the tuning jobs")
    helps = kind in (Refusal.UNREACHABLE, Refusal.AMBIGUOUS, Refusal.RATE)
    assert (kind, READ_ATTEMPTS if helps else 1) == (caught.value.kind, len(server.requests))


@EVERY_FAILURE
def test_a_cancel_is_repeated_only_if_it_was_not_sent(answer: httpx.Response | Exception, kind: Refusal) -> None:
    """A request that never left may go again."""
    server = Server(answer)
    with pytest.raises(ApiError):
        server.http().post_json(URL, {}, doing="cancel the tuning job", repeat=Repeat.IF_UNSENT)
    assert (READ_ATTEMPTS if kind is Refusal.UNREACHABLE else 1) == len(server.requests)


def test_every_exception_of_the_library_is_mapped() -> None:
    """No exception of httpx gets out, those included that nobody has met yet."""
    kinds = [
        kind
        for _, kind in inspect.getmembers(httpx, inspect.isclass)
        if issubclass(kind, Exception) and kind.__module__.startswith("httpx")
    ]
    assert len(kinds) > 20
    for kind in kinds:
        error = kind.__new__(kind)
        Exception.__init__(error, "text")
        with pytest.raises(Unanswered):
            Connection(transport=httpx.MockTransport(Server(error))).send("GET", URL, headers={})


def test_only_what_certainly_never_left_counts_as_unsent() -> None:
    """The short list of failures after which a create may be tried again."""
    unsent = {
        kind.__name__
        for _, kind in inspect.getmembers(httpx, inspect.isclass)
        if issubclass(kind, httpx.TransportError) and not unanswered(kind("text")).sent
    }
    assert {"ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError", "UnsupportedProtocol"} == unsent


def test_a_read_that_succeeds_at_last_is_a_success() -> None:
    """Failures before the last attempt cost time only: each pause is longer, with jitter at least half of it."""
    server = Server(httpx.ReadTimeout(""), httpx.Response(503), httpx.ConnectError(""), ok({"a": 1}))
    answer = server.http().get_json(URL, doing="list the tuning jobs")
    assert {"a": 1} == answer.document
    assert [0.5, 1.0, 2.0] == server.clock.slept_s


def test_a_read_waits_as_long_as_the_server_asks() -> None:
    """Retry-After wins over a shorter pause of our own."""
    server = Server(httpx.Response(429, headers={"retry-after": "17"}), ok({}))
    server.http().get_json(URL, doing="list the tuning jobs")
    assert [17.0] == server.clock.slept_s


def test_a_long_rest_is_the_callers_to_take() -> None:
    """A server that asks for ten minutes gets an error that says so, at once."""
    server = Server(httpx.Response(503, headers={"retry-after": "600"}))
    with pytest.raises(ApiError) as caught:
        server.http().get_json(URL, doing="list the tuning jobs")
    assert (600.0, 1) == (caught.value.retry_after_s, len(server.requests))


@pytest.mark.parametrize(
    ("attempt", "jitter", "expected"), [(1, 0.0, 0.5), (1, 1.0, 1.0), (3, 0.5, 3.0), (4, 0.5, None)]
)
def test_pauses_double_and_end(attempt: int, jitter: float, expected: float | None) -> None:
    """One second, two, four, spread by jitter; after the fourth attempt there is none."""
    error = ApiError("", kind=Refusal.RATE)
    assert expected == delay_before_repeat_s(error, attempt, Repeat.IF_FAILED, jitter)


def test_an_answer_bears_the_servers_time() -> None:
    """Age and order are told by the server's clock, not by ours."""
    assert datetime(2026, 11, 20, 18, 29, 50, tzinfo=UTC) == Server(ok({})).http().get_json(URL, doing="x").at


def test_an_answer_without_a_date_bears_our_time() -> None:
    """A server that tells no time leaves only ours."""
    assert NOW == Server(httpx.Response(200, json={})).http().get_json(URL, doing="x").at


def test_the_content_type_of_an_answer_does_not_matter() -> None:
    """JSON is JSON, whatever a proxy calls it."""
    server = Server(httpx.Response(200, text='{"a": 1}', headers={"content-type": "text/html"}))
    assert {"a": 1} == server.http().get_json(URL, doing="x").document


def test_no_content_is_an_empty_answer() -> None:
    """204 says that there is nothing to say."""
    assert {} == Server(httpx.Response(204)).http().post_json(URL, {}, doing="x").document


@pytest.mark.parametrize(
    ("text", "expected"), [("600", 600.0), ("0.5", 0.5), ("", None), ("fast", None), ("-1", None), ("inf", None)]
)
def test_a_simulator_tells_its_speed(text: str, expected: float | None) -> None:
    """The header of our simulator is read where it is a speed."""
    http = Server(ok({}, **{"x-tuneform-simulator-speed": text})).http()
    assert http.simulator_speed is None
    http.get_json(URL, doing="x")
    assert expected == http.simulator_speed


def test_a_request_bears_token_payer_and_json() -> None:
    """What goes over the wire: the token, the project that pays, our name, and compact UTF-8."""
    server = Server(ok({}))
    server.http(tokens=FixedToken(CANARY, quota_project="payer")).post_json(URL, {"a": "ä"}, doing="x")
    request = server.requests[0]
    assert f"Bearer {CANARY}" == request.headers["authorization"]
    assert "payer" == request.headers["x-goog-user-project"]
    assert "application/json; charset=utf-8" == request.headers["content-type"]
    assert request.headers["user-agent"].startswith("tuneform/")
    assert '{"a":"ä"}'.encode() == request.content


def test_a_redirect_is_not_followed() -> None:
    """A token never travels to where an answer points."""
    server = Server(httpx.Response(307, headers={"location": "https://evil.example/"}), ok({}))
    with pytest.raises(ApiError):
        server.http().get_json(URL, doing="x")
    assert [URL] == [str(request.url) for request in server.requests]


def test_a_redirect_is_not_followed_over_real_sockets_either() -> None:
    """The client that the network is reached through follows none."""
    away = b"HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n"
    with raw_server(lambda connection: connection.sendall(away)) as (url, heads):
        connection = Connection()
        assert 302 == connection.send("GET", url, headers={}).status
        connection.close()
    assert 1 == len(heads)


class RenewableTokens:
    """Tokens that are renewed once, from old to new."""

    def __init__(self) -> None:
        self.grant = Grant("old")

    def current(self) -> Grant:
        """The last grant."""
        return self.grant

    def renewed(self, rejected: Grant) -> Grant | None:
        """The new one for the old one."""
        if rejected.token == "new":
            return None
        self.grant = Grant("new")
        return self.grant


def test_a_rejected_token_is_renewed_once_even_for_a_create() -> None:
    """401 says that nothing was done, so the create goes again under the new token."""
    server = Server(httpx.Response(401), ok({"name": "job"}))
    answer = server.http(tokens=RenewableTokens()).post_json(URL, {}, doing="create the tuning job")
    assert {"name": "job"} == answer.document
    assert ["Bearer old", "Bearer new"] == [request.headers["authorization"] for request in server.requests]


def test_a_token_that_is_rejected_twice_ends_it() -> None:
    """A new token that is not accepted either is the user's to look at."""
    server = Server(httpx.Response(401))
    with pytest.raises(ApiError) as caught:
        server.http(tokens=RenewableTokens()).post_json(URL, {}, doing="create the tuning job")
    assert (Refusal.UNAUTHENTICATED, 2) == (caught.value.kind, len(server.requests))


def test_a_create_that_gets_lost_after_a_renewal_is_not_sent_a_third_time() -> None:
    """The renewed request is a create like any other."""
    server = Server(httpx.Response(401), httpx.ReadTimeout(""), ok({}))
    with pytest.raises(ApiError) as caught:
        server.http(tokens=RenewableTokens()).post_json(URL, {}, doing="create the tuning job")
    assert (Refusal.AMBIGUOUS, 2) == (caught.value.kind, len(server.requests))


def test_an_answer_has_a_size_it_may_not_exceed() -> None:
    """An endless answer is cut off and counts as none."""
    connection = Connection(transport=httpx.MockTransport(Server(ok({"a": "x" * 2_000}))), max_body_bytes=1_000)
    with pytest.raises(Unanswered, match="longer than 1000 bytes") as caught:
        connection.send("GET", URL, headers={})
    assert caught.value.sent


def test_a_closed_connection_opens_again() -> None:
    """Closing gives up connections, not the client."""
    http = Server(ok({"a": 1})).http()
    http.get_json(URL, doing="x")
    http.close()
    assert {"a": 1} == http.get_json(URL, doing="x").document


@contextmanager
def raw_server(answer: Callable[[socket.socket], None]) -> Iterator[tuple[str, list[bytes]]]:
    """A socket on loopback that reads each request, hands the connection to `answer` and closes it."""
    heads: list[bytes] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with closing(connection):
                heads.append(connection.recv(65_536))
                answer(connection)

    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", heads
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def say_nothing(connection: socket.socket) -> None:
    """Close without a word."""


def reset(connection: socket.socket) -> None:
    """Tear the connection down."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def truncate(connection: socket.socket) -> None:
    """Promise more than is sent."""
    connection.sendall(b'HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"name": "proj')


def truncate_chunks(connection: socket.socket) -> None:
    """Stop between two chunks."""
    connection.sendall(b'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{"\r\n')


def babble(connection: socket.socket) -> None:
    """Speak something that is not HTTP."""
    connection.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")


def wait_for_the_client(connection: socket.socket) -> None:
    """Give no answer until the client hangs up."""
    connection.recv(1)


def real_http(timeouts: Timeouts | None = None) -> Http:
    """A client over real sockets."""
    return Http(connection=Connection(timeouts=timeouts), tokens=FixedToken(CANARY), clock=CountingClock())


@pytest.mark.parametrize("answer", [say_nothing, reset, truncate, truncate_chunks, babble, wait_for_the_client])
def test_a_broken_answer_to_a_create_is_ambiguous_and_not_repeated(answer: Callable[[socket.socket], None]) -> None:
    """Over real sockets too, no layer below sends a create twice."""
    with raw_server(answer) as (url, heads):
        http = real_http(Timeouts(read_s=0.05) if answer is wait_for_the_client else None)
        with pytest.raises(ApiError) as caught:
            http.post_json(url, {"a": 1}, doing="create the tuning job")
        http.close()
        assert (Refusal.AMBIGUOUS, 1) == (caught.value.kind, len(heads))


def test_a_kept_connection_that_the_server_closed_is_not_used_for_two_creates() -> None:
    """A create over a connection gone stale is sent once, over whichever connection it takes."""
    full = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
    with raw_server(lambda connection: connection.sendall(full)) as (url, heads):
        http = real_http()
        http.get_json(url, doing="x")
        # Whether the client notices in time that the connection is gone, or loses the request on it, is a race.
        with contextlib.suppress(ApiError):
            http.post_json(url, {}, doing="create the tuning job")
        http.close()
        assert sum(head.startswith(b"POST") for head in heads) in (0, 1)


def test_nobody_listening_is_unreachable() -> None:
    """A refused connection sent nothing."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    http = real_http()
    with pytest.raises(ApiError) as caught:
        http.post_json(url, {}, doing="create the tuning job")
    http.close()
    assert Refusal.UNREACHABLE is caught.value.kind


def test_a_failed_handshake_is_unreachable() -> None:
    """Without TLS no header is sent, so no token either."""
    with raw_server(babble) as (url, heads):
        http = real_http()
        with pytest.raises(ApiError) as caught:
            http.post_json(url.replace("http:", "https:"), {}, doing="create the tuning job")
        http.close()
        assert Refusal.UNREACHABLE is caught.value.kind
        assert CANARY.encode() not in b"".join(heads)


def test_a_real_answer_is_read_whole() -> None:
    """Over a real socket, headers come in any case and the body in pieces."""
    head = f"HTTP/1.1 200 OK\r\nDATE: {SERVER_DATE}\r\nContent-Length: 7\r\n\r\n".encode()

    def in_pieces(connection: socket.socket) -> None:
        for part in (head, b'{"a"', b":1}"):
            connection.sendall(part)

    with raw_server(in_pieces) as (url, _):
        connection = Connection()
        reply = connection.send("GET", url, headers={})
        connection.close()
    assert Reply(200, {"date": SERVER_DATE, "content-length": "7"}, b'{"a":1}') == reply


@pytest.mark.parametrize(
    ("variable", "value"),
    [("SSL_CERT_FILE", __file__), ("HTTPS_PROXY", "nonsense://localhost"), ("HTTPS_PROXY", "http://localhost:port")],
)
def test_unusable_network_settings_are_told(variable: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong proxy or certificate file is the user's to mend, and named."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(UsageError, match="network settings of the environment"):
        Connection().send("GET", URL, headers={})


def test_this_machine_is_never_asked_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A local simulator is reached directly, whatever proxy the environment names."""
    full = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
    with raw_server(lambda connection: connection.sendall(full)) as (url, heads):
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
        http = real_http()
        assert {} == http.get_json(f"{url}/v1/x", doing="x").document
        http.close()
    assert heads[0].startswith(b"GET /v1/x ")


def test_a_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTPS_PROXY gets a CONNECT, and its refusal means that nothing was sent."""
    refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n"
    with raw_server(lambda connection: connection.sendall(refusal)) as (url, heads):
        monkeypatch.setenv("HTTPS_PROXY", url)
        http = real_http()
        with pytest.raises(ApiError) as caught:
            http.post_json("https://service.example/v1/x", {}, doing="create the tuning job")
        http.close()
    assert Refusal.UNREACHABLE is caught.value.kind
    assert heads[0].startswith(b"CONNECT service.example:443 ")
    assert CANARY.encode() not in heads[0]
