"""Events to a web server: each one POSTed as JSON and signed, one after the other."""

from __future__ import annotations

import http.client
import logging
import re
import socket
import ssl
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from edge_reid import __version__
from edge_reid.consumers.event_store import RejectedEventError, StoreUnavailableError
from edge_reid.consumers.lines_store import LinesStore
from edge_reid.consumers.webhook_signature import HEADER, signature
from edge_reid.core.errors import StoreError, UsageError
from edge_reid.core.tls import verifying_context
from edge_reid.mqtt.backoff import Backoff
from edge_reid.wire.payloads import AnyEvent

_log = logging.getLogger(__name__)

TIMEOUT_S = 8.0
"""Without a word from the server."""
DEADLINE_S = 10.0
"""Of a whole answer, however many words it comes in; shorter than MQTT's keep-alive."""
RETRY_S = (0.5, 60.0)
"""Least and most seconds between two attempts."""
RETRY_AFTER_MAX_S = 3600.0
"""A server that asks for more time is asked again after this."""
ANSWER_BYTES = 65_536
"""Of an answer that is read and thrown away, so that the connection can be used again."""
REMEMBERED = 100_000
"""Ids of so many newest events are kept in memory: what the broker sends again is known."""

_PRINTED = re.compile(r"[!-~]+")
"""What an address is made of: no spaces, no line ends, ASCII only."""
_HANGS_UP = (
    *(http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError),
    *(ssl.SSLEOFError, ssl.SSLZeroReturnError),
)


@dataclass(frozen=True, slots=True)
class WebhookTarget:
    """Who gets the events."""

    url: str
    """`https://…`. What stands in its path may be a secret too, and is not shown."""
    secret: bytes
    quarantine: Path
    """File of JSON lines for events that the server refuses for good."""
    ca_file: Path | None = None
    """Whose certificates are trusted; None: those of the system."""

    def __str__(self) -> str:
        parts = urlsplit(self.url)
        return f"https://{parts.netloc}/…"


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    reason: str
    retry_after_s: float


class WebhookStore:
    """POSTs events in order, the next one only when the one before has been answered with 2xx.

    No answer, 408, 425, 429, 5xx and redirects, which are not followed: the event is offered again,
    after pauses that double up to a minute. Any other 4xx: the server wants it never; the event
    goes into the quarantine, and the next one is sent.

    Raises:
        UsageError: the URL is no `https://` one, holds a login, or the CA file is none.
        StoreError: the quarantine cannot be written.
    """

    batch_max = 1

    def __init__(self, target: WebhookTarget) -> None:
        self._target = target
        self._connection = _connection(target)
        self._request = _path_of(target.url)
        self._quarantine = LinesStore(target.quarantine)
        self._delivered: OrderedDict[str, None] = OrderedDict()  # in the order of arrival
        self._backoff = Backoff(*RETRY_S)
        self._trouble = ""
        self._due_s = 0.0  # not before

    def write(self, events: Sequence[AnyEvent]) -> int:
        new = [event for event in events if event.event_id not in self._delivered]
        for event in new:
            self._deliver(event)
        return len(new)

    def expire(self, before_utc_s: float) -> None:  # noqa: ARG002 - as every store has it
        raise StoreError(f"{self._target}: expected a database to delete from, got a web server")

    def close(self) -> None:
        self._connection.close()
        self._quarantine.close()

    def _deliver(self, event: AnyEvent) -> None:
        if time.monotonic() < self._due_s:
            raise StoreUnavailableError(self._trouble)
        try:
            answer = self._post(event.to_json().encode())
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise self._postponed(f"gives no answer: {error or type(error).__name__}") from error
        if _is_refusal(answer.status):
            self._refuse(event, answer)
        elif not _is_success(answer.status):
            raise self._postponed(_in_words(answer), answer.retry_after_s)
        self._backoff.reset()
        self._remember(event.event_id)

    def _refuse(self, event: AnyEvent, answer: _Answer) -> None:
        self._backoff.reset()
        self._quarantine.write([event])
        raise RejectedEventError(
            f"{self._target}: expected status 2xx, got {answer.status} {answer.reason}; the event"
            f" lies in {self._target.quarantine}, send it from there once the server takes it"
        )

    def _postponed(self, trouble: str, least_s: float = 0.0) -> StoreUnavailableError:
        pause_s = max(self._backoff.pause_s(), min(least_s, RETRY_AFTER_MAX_S))
        self._due_s = time.monotonic() + pause_s
        self._trouble = f"{self._target}: {trouble}"
        return StoreUnavailableError(self._trouble)

    def _post(self, body: bytes) -> _Answer:
        is_kept = self._connection.sock is not None
        try:
            return self._ask(body)
        except _HANGS_UP:
            self._connection.close()
            if not is_kept:
                raise
            return self._ask(body)  # a server may hang up on a connection it kept for long

    def _ask(self, body: bytes) -> _Answer:
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"edge-reid/{__version__}",
            HEADER: signature(body, self._target.secret, time.time()),
        }
        with self._hung_up_after(DEADLINE_S):
            self._connection.request("POST", self._request, body, headers)
            with self._connection.getresponse() as response:
                response.read(ANSWER_BYTES)
                is_read = response.isclosed()
                after = response.getheader("Retry-After", "")
                answer = _Answer(response.status, response.reason, _seconds(after))
        if not is_read:
            self._connection.close()  # what was not read would stand before the next answer
        return answer

    @contextmanager
    def _hung_up_after(self, deadline_s: float) -> Iterator[None]:
        """A server that dribbles keeps every timeout of a socket; this one it does not keep."""
        timer = threading.Timer(deadline_s, self._hang_up)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _hang_up(self) -> None:
        link = self._connection.sock
        if link is not None:
            with suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)

    def _remember(self, event_id: str) -> None:
        self._delivered[event_id] = None
        while len(self._delivered) > REMEMBERED:
            self._delivered.popitem(last=False)


def _connection(target: WebhookTarget) -> http.client.HTTPSConnection:
    """A connection to the server; opened when it is first used."""
    parts = _checked(target.url)
    try:
        advice = "give the CA that signed the server's certificate"
        context = verifying_context(target.ca_file, advice)
    except ValueError as error:
        raise UsageError(f"--to-ca-file {error}") from error
    return http.client.HTTPSConnection(
        str(parts.hostname), parts.port or 443, timeout=TIMEOUT_S, context=context
    )


def _checked(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        is_whole = parts.scheme == "https" and parts.hostname and parts.port != 0
    except ValueError:  # no port that can be, or half an address of IPv6
        is_whole = False
    if not is_whole or "@" in parts.netloc or parts.fragment or not _PRINTED.fullmatch(url):
        raise UsageError(
            f"--to: expected https://HOST/PATH without a login, got {url.partition(':')[0]}://…;"
            " the signature says who sends, and other letters than ASCII's are written as %C3%A4"
        )
    return parts


def _path_of(url: str) -> str:
    parts = urlsplit(url)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _is_success(status: int) -> bool:
    return HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES


def _is_refusal(status: int) -> bool:
    """Whether the server says that it will never take this event."""
    later = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
    is_ours = HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR
    return is_ours and status not in later


def _in_words(answer: _Answer) -> str:
    is_elsewhere = HTTPStatus.MULTIPLE_CHOICES <= answer.status < HTTPStatus.BAD_REQUEST
    what_to_do = "; give the final address, redirects are not followed" if is_elsewhere else ""
    return f"expected status 2xx, got {answer.status} {answer.reason}{what_to_do}"


def _seconds(retry_after: str) -> float:
    """A header Retry-After in seconds; a date is taken for none."""
    return float(retry_after) if retry_after.isdecimal() else 0.0
