"""A real RTSP camera for tests: H.264 over TCP or UDP on loopback, with faults on demand."""

from __future__ import annotations

import base64
import itertools
import random
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from support.requirements import absent

from edge_reid.core.types import Image

FPS = 25
_MTU = 1400
_CLOCK_HZ = 90_000
_SPS, _PPS, _AUD, _KEY = 7, 8, 9, 5

Unit = tuple[bytes, ...]
"""One picture: its NAL units, without start codes."""


def ffmpeg_path() -> str:
    """The program, or the test is skipped: only it makes H.264 here."""
    path = shutil.which("ffmpeg")
    if path is None:
        absent("ffmpeg (Debian: apt install ffmpeg; macOS: brew install ffmpeg)")
    return path


def encode(pictures: Iterable[Image], *, key_every: int = 25) -> tuple[Unit, ...]:
    """RGB pictures of one size as H.264, a key picture first and then every so many."""
    images = list(pictures)
    height, width = images[0].shape[:2]
    command = [ffmpeg_path(), "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24"]
    command += ["-s", f"{width}x{height}", "-r", str(FPS), "-i", "-", "-pix_fmt", "yuv420p"]
    command += ["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency"]
    command += ["-g", str(key_every), "-keyint_min", str(key_every)]
    command += ["-x264-params", "aud=1:repeat-headers=1:scenecut=0:slices=4", "-f", "h264", "-"]
    raw = b"".join(np.ascontiguousarray(image).tobytes() for image in images)
    return units_of(subprocess.run(command, input=raw, capture_output=True, check=True).stdout)


def noise(count: int, size_px: tuple[int, int] = (160, 120), seed: int = 0) -> Iterator[Image]:
    """Pictures that differ a little, as those of every living sensor do."""
    rng = np.random.default_rng(seed)
    width, height = size_px
    scene = rng.integers(60, 200, (height // 8, width // 8, 3)).repeat(8, 0).repeat(8, 1)
    for _ in range(count):
        grain = rng.integers(-6, 7, scene.shape)
        yield np.clip(scene + grain, 0, 255).astype(np.uint8)


def is_key(unit: Unit) -> bool:
    """Whether a decoder can begin with this picture."""
    return any(nal[0] & 31 == _KEY for nal in unit)


def units_of(stream: bytes) -> tuple[Unit, ...]:
    """The pictures of an H.264 stream with access unit delimiters."""
    nals = [nal for nal in re.split(rb"\x00\x00\x00?\x01", stream) if nal]
    units: list[list[bytes]] = []
    for nal in nals:
        if nal[0] & 31 == _AUD:
            units.append([])
        else:
            units[-1].append(nal.rstrip(b"\0") if nal[0] & 31 in (_SPS, _PPS) else nal)
    return tuple(tuple(unit) for unit in units)


@dataclass
class _Viewer:
    """One connection: where the packets go, and how far they are."""

    control: socket.socket
    udp: tuple[socket.socket, tuple[str, int]] | None = None
    sequence: int = 0
    session: str = "1"
    is_playing: threading.Event = field(default_factory=threading.Event)


class RtspCamera:
    """Serves pictures for as long as its block lasts; use it as a context manager.

    Args:
        play: called for each viewer with the number of its connection, from 1; gives the pictures,
            sent at `FPS` unless `pace_s` says otherwise. At its end the camera falls silent.
        login: `user:password` that it asks for (Basic).
        answer: instead of a description, such as `404 Not Found` or `302 Found`.
        location: with it, where a redirection leads.
        loses: share of the packets that never leave.
        takes_tcp, takes_udp: transports that it serves.
        certificate: (certificate, key) files; then it speaks RTSPS.
        pace_s: from one picture to the next.
        port: where it listens; 0: anywhere.
    """

    def __init__(
        self,
        play: Callable[[int], Iterable[Unit]],
        *,
        login: str | None = None,
        answer: str | None = None,
        location: str | None = None,
        loses: float = 0.0,
        takes_tcp: bool = True,
        takes_udp: bool = True,
        certificate: tuple[Path, Path] | None = None,
        parameters: Unit = (),
        pace_s: float = 1 / FPS,
        port: int = 0,
    ) -> None:
        self.connections = 0
        self.requests: list[str] = []
        """First lines, of all viewers."""
        self.transports: list[str] = []
        self.sent = 0
        """Pictures, to all viewers."""
        self.started_s = 0.0
        """Monotonic, of the first picture to the newest viewer."""
        self.loses = loses
        self._play = play
        self._login = login
        self._answer = answer
        self._location = location
        self._takes_tcp, self._takes_udp = takes_tcp, takes_udp
        self._parameters = parameters
        self._pace_s = pace_s
        self._chance = random.Random(0)
        self._closing = threading.Event()
        self._viewers: list[socket.socket] = []
        self._server = socket.create_server(("127.0.0.1", port))
        self.port = int(self._server.getsockname()[1])
        self._context = None
        if certificate:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(*certificate)

    @property
    def url(self) -> str:
        """With its login, if it has one."""
        login = f"{self._login}@" if self._login else ""
        return f"rtsp{'s' if self._context else ''}://{login}127.0.0.1:{self.port}/stream"

    def __enter__(self) -> RtspCamera:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        for each in (self._server, *self._viewers):
            with _Lost():
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def hang_up(self) -> None:
        """On all viewers; those that come again are served."""
        viewers, self._viewers = self._viewers, []
        for viewer in viewers:
            with _Lost():
                viewer.shutdown(socket.SHUT_RDWR)
            viewer.close()

    def _serve(self) -> None:
        with _Lost():
            while True:
                connection, _ = self._server.accept()
                threading.Thread(target=self._greet, args=(connection,), daemon=True).start()

    def _greet(self, connection: socket.socket) -> None:
        with _Lost():
            if self._context:
                connection = self._context.wrap_socket(connection, server_side=True)
            self._viewers.append(connection)
            self.connections += 1
            self._talk(_Viewer(connection), self.connections)

    def _talk(self, viewer: _Viewer, number: int) -> None:
        for head in _requests(viewer.control):
            first, *lines = head.split("\r\n")
            verb = first.split()[0]
            fields = {
                name.strip().lower(): value.strip()
                for name, _, value in (line.partition(":") for line in lines)
            }
            self.requests.append(first)
            reply = self._reply(verb, first.split()[1], fields, viewer)
            viewer.control.sendall(reply)
            if verb == "PLAY":
                threading.Thread(target=self._stream, args=(viewer, number), daemon=True).start()

    def _reply(self, verb: str, url: str, fields: dict[str, str], viewer: _Viewer) -> bytes:
        cseq = fields.get("cseq", "0")
        if self._login and verb != "OPTIONS":
            token = base64.b64encode(self._login.encode()).decode()
            if fields.get("authorization") != f"Basic {token}":
                return _message(cseq, "401 Unauthorized", 'WWW-Authenticate: Basic realm="gate"')
        if verb == "OPTIONS":
            return _message(cseq, "200 OK", "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN")
        if verb == "DESCRIBE":
            if self._answer:
                where = (f"Location: {self._location}",) if self._location else ()
                return _message(cseq, self._answer, *where)
            return _message(
                cseq, "200 OK", f"Content-Base: {url}/", "Content-Type: application/sdp",
                body=self._description(),
            )  # fmt: skip
        if verb == "SETUP":
            return self._set_up(cseq, fields.get("transport", ""), viewer)
        return _message(cseq, "200 OK", f"Session: {viewer.session}")

    def _description(self) -> str:
        sets = ",".join(base64.b64encode(nal).decode() for nal in self._parameters)
        known = f";sprop-parameter-sets={sets}" if sets else ""
        return (
            "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=gate\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\n"
            f"a=rtpmap:96 H264/{_CLOCK_HZ}\r\na=fmtp:96 packetization-mode=1{known}\r\n"
            f"a=framerate:{FPS}\r\na=control:track1\r\n"
        )

    def _set_up(self, cseq: str, transport: str, viewer: _Viewer) -> bytes:
        self.transports.append(transport)
        if "RTP/AVP/TCP" in transport and self._takes_tcp:
            return _message(cseq, "200 OK", f"Transport: {transport}", f"Session: {viewer.session}")
        ports = re.search(r"client_port=(\d+)", transport)
        if ports and self._takes_udp:
            sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sender.bind(("127.0.0.1", 0))
            viewer.udp = sender, ("127.0.0.1", int(ports[1]))
            mine = sender.getsockname()[1]
            return _message(
                cseq, "200 OK", f"Transport: {transport};server_port={mine}-{mine + 1}",
                f"Session: {viewer.session}",
            )  # fmt: skip
        return _message(cseq, "461 Unsupported Transport")

    def _stream(self, viewer: _Viewer, number: int) -> None:
        units = self._play(number)
        start_s = self.started_s = time.monotonic()
        with _Lost():
            for count, unit in enumerate(units):
                if self._closing.wait(max(0.0, start_s + count * self._pace_s - time.monotonic())):
                    return
                stamp = int(count * self._pace_s * _CLOCK_HZ)
                for packet in _packets(unit, stamp, viewer):
                    if self._chance.random() >= self.loses:
                        _send(packet, viewer)
                self.sent += 1


def _packets(unit: Unit, stamp: int, viewer: _Viewer) -> Iterator[bytes]:
    """RFC 6184: a NAL unit whole, or in fragments (FU-A)."""
    payloads = list(itertools.chain.from_iterable(map(_fragments, unit)))
    for index, payload in enumerate(payloads):
        marker = 0x80 if index == len(payloads) - 1 else 0
        head = bytes([0x80, marker | 96]) + viewer.sequence.to_bytes(2, "big")
        viewer.sequence = (viewer.sequence + 1) % 65_536
        yield head + (stamp % 2**32).to_bytes(4, "big") + b"gate" + payload


def _fragments(nal: bytes) -> Iterator[bytes]:
    if len(nal) <= _MTU:
        yield nal
        return
    indicator, kind, body = nal[0] & 0xE0 | 28, nal[0] & 31, nal[1:]
    for start in range(0, len(body), _MTU):
        first, last = start == 0, start + _MTU >= len(body)
        yield bytes([indicator, first << 7 | last << 6 | kind]) + body[start : start + _MTU]


def _send(packet: bytes, viewer: _Viewer) -> None:
    if viewer.udp:
        sender, target = viewer.udp
        sender.sendto(packet, target)
        return
    viewer.control.sendall(b"$\0" + len(packet).to_bytes(2, "big") + packet)


def _requests(connection: socket.socket) -> Iterator[str]:
    """Heads of requests; what else the viewer sends (RTCP) is passed over."""
    waiting = b""
    while piece := connection.recv(4096):
        waiting += piece
        while waiting:
            if waiting[:1] == b"$":
                if len(waiting) < 4 or len(waiting) < 4 + int.from_bytes(waiting[2:4], "big"):
                    break
                waiting = waiting[4 + int.from_bytes(waiting[2:4], "big") :]
                continue
            head, end, rest = waiting.partition(b"\r\n\r\n")
            if not end:
                break
            waiting = rest
            yield head.decode()


def _message(cseq: str, status: str, *fields: str, body: str = "") -> bytes:
    lines = [f"RTSP/1.0 {status}", f"CSeq: {cseq}", *fields, f"Content-Length: {len(body)}"]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


class _Lost:
    """The viewer left, or the camera is closed."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        return kind is not None and issubclass(kind, (OSError, ssl.SSLError))
