"""Stands between the decoder and a network camera, on loopback: what comes from the camera is
looked at before FFmpeg believes it.

FFmpeg verifies no certificate, follows a camera to any other host, and tells nobody why it gave
up. So it is sent here, and the connection to the camera is ours: to the one host that was named,
with its certificate checked, and with the reason known when there is no picture.
"""

from __future__ import annotations

import re
import select
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from edge_reid.capture.camera_replies import Replies
from edge_reid.capture.socket_queue import other_end, unread_bytes
from edge_reid.core.camera_fault import CameraFault
from edge_reid.core.errors import SourceError
from edge_reid.core.stream_url import HOW_TO_QUOTE

_PIECE_BYTES = 1 << 16
_DECODER_BUFFER_BYTES = 1 << 14
"""Small: what waits here for the decoder is old by the time it is decoded."""
_TURN_S = 0.5
_OF_PATIENCE = 0.8
"""We give up a connection before whoever waits for its pictures does, so that they know why."""
_PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}
_TLS = frozenset({"rtsps", "https"})
_HOST_FIELD = re.compile(rb"(?<=\r\nHost: )127\.0\.0\.1:\d+(?=\r\n)")


def is_relayed(url: str) -> bool:
    """Whether a URL is of a kind that can be looked at on the way."""
    return urlsplit(url).scheme.lower() in _PORTS


def speaks_tls(url: str) -> bool:
    """Whether a camera is to be spoken to encrypted."""
    return urlsplit(url).scheme.lower() in _TLS


Secure = Callable[[socket.socket, tuple[str, int], float], socket.socket]
"""Makes of a connection to (host, port) an encrypted one, within so many seconds, or raises
FaultError."""


@dataclass(frozen=True, slots=True)
class RelayTarget:
    """Where the camera is."""

    host: str
    port: int
    scheme: str

    @classmethod
    def of(cls, parts: SplitResult) -> RelayTarget:
        """Raises ValueError: no host, or no port that can be."""
        scheme = parts.scheme.lower()
        if not parts.hostname:
            raise ValueError("no host")
        return cls(parts.hostname, parts.port or _PORTS[scheme], scheme)


class Relay:
    """Takes connections of a decoder on loopback to one camera, once started.

    Args:
        url: of the camera, with its login.
        secure: for an `rtsps` or `https` camera; None: it speaks no TLS.
        timeout_s: so long somebody waits for a picture.
        camera: what to call it, without a login.

    Raises:
        ValueError: the URL has no host, or no port that can be.
    """

    def __init__(self, url: str, secure: Secure | None, timeout_s: float, camera: str) -> None:
        parts = urlsplit(url)
        self.target = RelayTarget.of(parts)
        self.fault: CameraFault | None = None
        """Why the last connection ended before the camera gave anything, if it did."""
        self.is_connected = False
        """Whether the camera has let us in."""
        self.is_playing = False
        """Whether the camera sends media, and not only answers."""
        self.first_byte_s: float | None = None
        """Monotonic; of media."""
        self.last_byte_s: float | None = None
        self._camera = camera
        self._secure = secure
        self._timeout_s = timeout_s * _OF_PATIENCE
        self._has_login = "@" in parts.netloc
        self._decoder_fd: int | None = None
        self._open: list[socket.socket] = []
        self._is_closed = False
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self.url = _at_loopback(parts, self.port)
        """For the decoder."""

    def start(self) -> None:
        """Take connections from now on."""
        threading.Thread(target=self._serve, name="camera relay", daemon=True).start()

    @property
    def is_waiting(self) -> bool:
        """Whether more has come from the camera than the decoder has taken."""
        return self._decoder_fd is not None and unread_bytes(self._decoder_fd) > 0

    def close(self) -> None:
        """Hang up on both sides: a decoder that waits for a camera returns at once."""
        self._is_closed = True
        for each in (self._server, *self._open):
            _hang_up(each)

    def _serve(self) -> None:
        with suppress(OSError):
            while not self._is_closed:
                decoder, _ = self._server.accept()
                decoder.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _DECODER_BUFFER_BYTES)
                self._open.append(decoder)
                self._decoder_fd = other_end(decoder)
                self._guard(decoder)
                _hang_up(decoder)
                self._decoder_fd = None
                self._open.clear()

    def _guard(self, decoder: socket.socket) -> None:
        """Pass on, and remember why it came to an end."""
        try:
            self._pass_on(decoder)
        except FaultError as error:
            self.fault = error.fault
        except SourceError as error:
            self.fault = CameraFault("certificate", str(error))
        except OSError as error:
            if not self._is_closed and not self.is_playing:
                self.fault = _network_fault(self._camera, error)

    def _pass_on(self, decoder: socket.socket) -> None:
        camera = self._connect()
        self.is_connected = True
        self._open.append(camera)
        replies = Replies(self._camera, has_login=self._has_login)
        try:
            while not self._is_closed:
                for ready in _readable(decoder, camera):
                    if ready is decoder:
                        if not (asked := decoder.recv(_PIECE_BYTES)):
                            return
                        replies.asked(asked)
                        camera.sendall(self._readdressed(asked))
                    elif not self._take(camera, decoder, replies):
                        return
        finally:
            _hang_up(camera)

    def _take(self, camera: socket.socket, decoder: socket.socket, replies: Replies) -> bool:
        """One piece from the camera to the decoder; False at the camera's end."""
        piece = camera.recv(_PIECE_BYTES)
        if not piece:
            if not (replies.is_playing or replies.is_challenged):
                line = f"{self._camera}: hung up before it gave a picture; is it busy?"
                raise FaultError(CameraFault("hung-up", line))
            return False
        replies.feed(piece)
        if fault := replies.fault:
            raise FaultError(fault)
        if replies.is_playing:
            self.is_playing, self.fault = True, None
            self.last_byte_s = time.monotonic()
            self.first_byte_s = self.first_byte_s or self.last_byte_s
        decoder.sendall(piece)
        return True

    def _connect(self) -> socket.socket:
        address = self.target.host, self.target.port
        plain = socket.create_connection(address, self._timeout_s)
        plain.settimeout(self._timeout_s)
        return self._secure(plain, address, self._timeout_s) if self._secure else plain

    def _readdressed(self, request: bytes) -> bytes:
        """A web server is told whom it is asked for, which is not us."""
        if self.target.scheme in {"rtsp", "rtsps"}:
            return request
        return _HOST_FIELD.sub(f"{self.target.host}:{self.target.port}".encode(), request)


class FaultError(Exception):
    """The connection is of no use."""

    def __init__(self, fault: CameraFault) -> None:
        super().__init__(fault.line)
        self.fault = fault


def _readable(decoder: socket.socket, camera: socket.socket) -> list[socket.socket]:
    pending = getattr(camera, "pending", None)  # of TLS: decrypted already
    if pending and pending():
        return [camera]
    poll = select.poll()  # which knows no highest descriptor
    for each in (decoder, camera):
        poll.register(each, select.POLLIN)
    ready = {descriptor for descriptor, _ in poll.poll(_TURN_S * 1000)}
    return [each for each in (decoder, camera) if each.fileno() in ready]


def _at_loopback(parts: SplitResult, port: int) -> str:
    """The same, but over us and in plain."""
    login = parts.netloc.rpartition("@")[0]
    scheme = "rtsp" if parts.scheme.lower().startswith("rtsp") else "http"
    netloc = f"{login}@127.0.0.1:{port}" if login else f"127.0.0.1:{port}"
    return parts._replace(scheme=scheme, netloc=netloc).geturl()


def _network_fault(camera: str, error: OSError) -> CameraFault:
    if isinstance(error, socket.gaierror):
        how = HOW_TO_QUOTE if camera.endswith("…") else "check its name, or give its number"
        return CameraFault("unknown-host", f"{camera}: no such host is known; {how}")
    if isinstance(error, ConnectionRefusedError):
        line = f"{camera}: refused the connection; check the port, and that the camera serves it"
        return CameraFault("refused", line)
    if isinstance(error, TimeoutError):
        line = f"{camera}: gave no answer; check its address and the network"
        return CameraFault("no-answer", line)
    reason = error.strerror or type(error).__name__
    line = f"{camera}: cannot be reached ({reason}); check its address and the network"
    return CameraFault("unreachable", line)


def _hang_up(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
