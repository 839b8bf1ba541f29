"""HTTP for Prometheus and for whoever asks after the health of the agent.

One thread, and plain `asyncio`: who connects and says nothing costs a file descriptor and no
thread. Nobody can make it work more than this, whatever they send:

* `_PACE_S` lies between two connections that are accepted.
* `_MOST_OPEN` are open at most: a newer one takes the place of the oldest.
* A request and its answer take `_PATIENCE_S` at most, and a request has `_REQUEST_BYTES` at most.
* Metrics are written out once in `_FRESH_S`; who asks more often gets the same text again.

"""

from __future__ import annotations

import asyncio
import hmac
import logging
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.client import parse_headers
from io import BytesIO
from pathlib import Path

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest

from edge_reid.agent.health import Health, HealthAnswer
from edge_reid.agent.prometheus_collector import AgentCollector
from edge_reid.core.config.listener_settings import MetricsSettings
from edge_reid.core.errors import UsageError
from edge_reid.core.text_file import read_text_file

_log = logging.getLogger(__name__)

_PACE_S = 0.02
_MOST_OPEN = 64
_PATIENCE_S = 5.0
_REQUEST_BYTES = 8192
_FRESH_S = 1.0
_FAREWELL_S = 2.0
_BACKLOG = 128
_PLAIN = "text/plain; version=0.0.4; charset=utf-8"
_JSON = "application/json"


@dataclass(frozen=True, slots=True)
class _Answer:
    status: HTTPStatus
    body: bytes = b""
    kind: str = _PLAIN

    def to_bytes(self, *, with_body: bool) -> bytes:
        wants_token = self.status is HTTPStatus.UNAUTHORIZED
        head = [
            f"HTTP/1.1 {self.status.value} {self.status.phrase}",
            f"Content-Type: {self.kind}",
            f"Content-Length: {len(self.body)}",
            "Cache-Control: no-store",
            *(["WWW-Authenticate: Bearer"] if wants_token else []),
            "Connection: close",
        ]
        return "\r\n".join((*head, "", "")).encode() + (self.body if with_body else b"")


class MetricsServer:
    """Answers `/metrics`, `/healthz` and `/readyz`. `with` starts and stops its thread.

    Args:
        settings: address, and who may ask.
        collector: the metrics of the agent.
        health: of the agent.

    Raises:
        UsageError: the address is taken or is not of this host, or the token cannot be read.
    """

    def __init__(
        self, settings: MetricsSettings, collector: AgentCollector, health: Health
    ) -> None:
        self._token = _read_token(settings.token_file) if settings.token_file else None
        self._registry = CollectorRegistry()
        self._registry.register(collector)
        ProcessCollector(registry=self._registry)
        self._health = health
        self._written = b""
        self._written_s: float | None = None
        self._socket = _bound(settings)
        self._open: dict[asyncio.Task[None], None] = {}  # by age, the oldest first
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)
        self.warning = None if settings.is_loopback else _plain_http(settings)
        """What a person should know of the address."""

    @property
    def port(self) -> int:
        """That it listens on."""
        return int(self._socket.getsockname()[1])

    def __enter__(self) -> MetricsServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(RuntimeError):  # the loop has ended by itself
            self._loop.call_soon_threadsafe(self._cancel_all)
        self._thread.join(_FAREWELL_S)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            with suppress(asyncio.CancelledError):
                self._loop.run_until_complete(self._accept())
        except Exception:
            _log.exception("metrics: nobody is answered any more; the run goes on")
        finally:
            self._socket.close()
            self._loop.close()

    def _cancel_all(self) -> None:
        for task in asyncio.all_tasks(self._loop):
            task.cancel()

    async def _accept(self) -> None:
        while True:
            try:
                connection, _ = await self._loop.sock_accept(self._socket)
            except OSError:  # too many files are open, or the other side has gone again
                await asyncio.sleep(1.0)
                continue
            self._take(connection)
            await asyncio.sleep(_PACE_S)

    def _take(self, connection: socket.socket) -> None:
        if len(self._open) >= _MOST_OPEN:
            oldest = next(iter(self._open))
            del self._open[oldest]
            oldest.cancel()
        task = self._loop.create_task(self._serve(connection))
        self._open[task] = None
        task.add_done_callback(lambda done: self._open.pop(done, None))

    async def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError, asyncio.TimeoutError):
            await asyncio.wait_for(self._answer(connection), _PATIENCE_S)

    async def _answer(self, connection: socket.socket) -> None:
        request = await self._read(connection)
        if request is None:
            return
        answer = self._answer_to(request)
        is_head = request.startswith(b"HEAD ")
        await self._loop.sock_sendall(connection, answer.to_bytes(with_body=not is_head))

    async def _read(self, connection: socket.socket) -> bytes | None:
        """A request line and its headers; None when the other side has gone, or says too much."""
        request = b""
        while b"\r\n\r\n" not in request:
            piece = await self._loop.sock_recv(connection, _REQUEST_BYTES)
            request += piece
            if not piece or len(request) > _REQUEST_BYTES:
                return None
        return request

    def _answer_to(self, request: bytes) -> _Answer:
        line, _, headers = request.partition(b"\r\n")
        words = line.split()
        if len(words) != 3 or not words[2].startswith(b"HTTP/1."):  # noqa: PLR2004 - as HTTP has it
            return _Answer(HTTPStatus.BAD_REQUEST)
        if not self._may_ask(headers):
            return _Answer(HTTPStatus.UNAUTHORIZED)
        if words[0] not in {b"GET", b"HEAD"}:
            return _Answer(HTTPStatus.METHOD_NOT_ALLOWED)
        pages: dict[bytes, Callable[[], _Answer]] = {
            b"/metrics": self._metrics,
            b"/healthz": lambda: _health_answer(self._health.liveness),
            b"/readyz": lambda: _health_answer(self._health.readiness),
        }
        page = pages.get(words[1].partition(b"?")[0])
        return page() if page else _Answer(HTTPStatus.NOT_FOUND)

    def _may_ask(self, headers: bytes) -> bool:
        if self._token is None:
            return True
        given = parse_headers(BytesIO(headers)).get("Authorization", "")
        return hmac.compare_digest(given.encode(), f"Bearer {self._token}".encode())

    def _metrics(self) -> _Answer:
        now_s = time.monotonic()
        if self._written_s is None or now_s - self._written_s >= _FRESH_S:
            self._written, self._written_s = generate_latest(self._registry), now_s
        return _Answer(HTTPStatus.OK, self._written)


def _health_answer(answer: HealthAnswer) -> _Answer:
    status = HTTPStatus.OK if answer.ok else HTTPStatus.SERVICE_UNAVAILABLE
    return _Answer(status, answer.to_json().encode(), _JSON)


def _bound(settings: MetricsSettings) -> socket.socket:
    try:
        (family, _, _, _, address), *_ = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM
        )
        listening = socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except OSError as error:
        raise UsageError(
            f"metrics.listen: expected a free port of an address of this host, got "
            f"{settings.listen}: {error.strerror}; choose another, or end what listens there"
        ) from error
    listening.setblocking(False)
    return listening


def _read_token(path: Path) -> str:
    try:
        first = (read_text_file(path).splitlines() or [""])[0].strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise UsageError(f"metrics.token_file {path}: cannot be read: {reason}") from error
    if not first:
        raise UsageError(
            f"metrics.token_file {path}: expected a secret in its first line, got none"
        )
    return first


def _plain_http(settings: MetricsSettings) -> str:
    return (
        f"metrics: {settings.listen} is plain HTTP: whoever can read the network on the way reads "
        "the metrics and the token"
    )
