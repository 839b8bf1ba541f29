"""A real web server over TLS that takes webhooks, and can fail, hang, dribble and restart."""

from __future__ import annotations

import contextlib
import http.server
import json
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.mosquitto import free_port
from support.web_server import self_signed

HANG = 0
"""An answer: none comes."""
DRIBBLE = 1
"""An answer: it comes byte by byte, and never ends."""
VANISH = 2
"""An answer: the connection is cut."""


@dataclass(frozen=True)
class Post:
    """What came, and how it was answered."""

    path: str
    headers: dict[str, str]
    body: bytes
    status: int

    @property
    def event(self) -> dict[str, Any]:
        event: dict[str, Any] = json.loads(self.body)
        return event


@dataclass
class WebhookReceiver:
    """At `url` between `start` and `stop`, always on the same port.

    `answer` says how the n-th POST of all is answered: a status, or HANG, DRIBBLE, VANISH.
    """

    work: Path
    answer: Callable[[int], int] = lambda count: 204
    extra_headers: dict[str, str] = field(default_factory=dict)
    posts: list[Post] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.ca_file, self._key_file = self_signed(self.work)
        self.port = free_port()
        self.url = f"https://127.0.0.1:{self.port}/events?token=abc"
        self._server: http.server.ThreadingHTTPServer | None = None
        self._stopped = threading.Event()

    def __enter__(self) -> WebhookReceiver:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def taken(self) -> list[dict[str, Any]]:
        """Events that were answered with 2xx, in the order in which they came."""
        return [post.event for post in list(self.posts) if 200 <= post.status < 300]

    def start(self) -> None:
        handler = type("Handler", (_Handler,), {"receiver": self, "stopped": self._stopped})
        self._stopped.clear()
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.ca_file, self._key_file)
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Hang up on everybody, and answer nobody any more."""
        if self._server is None:
            return
        self._stopped.set()
        self._server.shutdown()
        self._server.server_close()
        self._server = None


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 0.5  # so that an idle connection sees the end of its server
    receiver: WebhookReceiver
    stopped: threading.Event

    def log_message(self, *_: object) -> None:
        """Silent."""

    def do_POST(self) -> None:
        promised, receiver = int(self.headers["Content-Length"]), self.receiver
        body = self.rfile.read(promised)
        if len(body) < promised:  # whoever posts was killed in the midst of it: nobody has this
            self.close_connection = True
            return
        status = receiver.answer(len(receiver.posts) + 1)
        receiver.posts.append(Post(self.path, dict(self.headers.items()), body, status))
        if status == HANG:
            self.stopped.wait(60)
        elif status == DRIBBLE:
            self._dribble()
        elif status != VANISH and not self.stopped.is_set():
            with contextlib.suppress(OSError):  # whoever asked was killed meanwhile
                self._answer(status)
            return
        self.close_connection = True

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        for name, value in self.receiver.extra_headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _dribble(self) -> None:
        while not self.stopped.is_set():
            try:
                self.wfile.write(b"H")
            except OSError:
                return
            time.sleep(0.05)
