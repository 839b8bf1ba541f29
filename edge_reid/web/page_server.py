"""The page's web server: a thread with an event loop of its own."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from contextlib import suppress

import uvicorn
from starlette.types import ASGIApp

from edge_reid.core.config.web_settings import WebSettings
from edge_reid.core.errors import ConfigError, UsageError
from edge_reid.core.interpreter_turns import frames_soon_have_their_turn
from edge_reid.web.connection_limits import (
    HEADERS_BYTES,
    SEND_BYTES,
    BoundedProtocol,
    CountedSocket,
)

_log = logging.getLogger(__name__)

FAREWELL_S = 3.0


class PageServer:
    """Serves a page. `with` starts and ends its thread.

    Args:
        app: what answers.
        settings: where, and by which certificate.

    Raises:
        ConfigError: it cannot listen there.
        UsageError: the certificate is none.
    """

    def __init__(self, app: ASGIApp, settings: WebSettings) -> None:
        config = uvicorn.Config(
            app,
            http=BoundedProtocol,
            ws="none",
            lifespan="off",
            loop="asyncio",
            proxy_headers=False,  # anybody could write them
            server_header=False,
            access_log=False,
            log_config=None,
            log_level=logging.ERROR,  # else strangers could fill the log with bad requests
            h11_max_incomplete_event_size=HEADERS_BYTES,
            timeout_keep_alive=10,
            timeout_graceful_shutdown=1,
            ssl_certfile=settings.cert_file,
            ssl_keyfile=settings.key_file,
        )
        try:
            config.load()
        except OSError as error:  # an SSLError is one
            raise UsageError(
                f"page: expected a certificate and its key in {settings.cert_file} and "
                f"{settings.key_file}, got {error}; check both files"
            ) from error
        self._server = uvicorn.Server(config)
        self._socket = _listening(settings)
        scheme = "https" if settings.cert_file else "http"
        host, self.port = settings.listen.rpartition(":")[0], self._socket.getsockname()[1]
        self.url = f"{scheme}://{host}:{self.port}/"
        self._thread = threading.Thread(target=self._run, name="page", daemon=True)

    def __enter__(self) -> PageServer:
        frames_soon_have_their_turn()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(FAREWELL_S)
        if self._thread.is_alive():
            self._server.force_exit = True

    def _run(self) -> None:
        with suppress(asyncio.CancelledError):
            try:
                self._server.run(sockets=[self._socket])
            except Exception:
                _log.exception("page: failed; the run goes on without it")


def _listening(settings: WebSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = CountedSocket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BYTES)
        listener.bind((settings.host, settings.port))
        listener.listen()  # from now on whoever asks waits until the thread answers
    except OSError as error:
        listener.close()
        problem = (
            "listen: expected an address of this device with a free port, got "
            f"{settings.listen}: {error.strerror}; give another"
        )
        raise ConfigError("web", [problem]) from error
    return listener
