"""A camera that lies about its pictures costs us a reopening, and no memory."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
import pytest

from edge_reid.capture.open_source import open_source
from edge_reid.core.config.source_settings import SourceSettings
from edge_reid.core.errors import SourceError

MOST_MORE_MB, MOST_MB = 50, 200
SMALL = cv2.imencode(".jpg", np.full((120, 160, 3), 99, np.uint8))[1].tobytes()

WATCH = """
import sys, resource, threading, time
from edge_reid.core.config.source_settings import SourceSettings
from edge_reid.capture.open_source import open_source
def peak_mb(whose): return resource.getrusage(whose).ru_maxrss / 1024
source = open_source(SourceSettings(uri=sys.argv[1], stall_timeout_s=3))
before_mb, kinds = peak_mb(resource.RUSAGE_SELF), set()
def look():  # a fault lasts until the next picture, which may come soon
    while not source.reopened:
        if fault := source.fault: kinds.add(fault.kind)
        time.sleep(0.01)
    source.close()
threading.Thread(target=look).start()
for frame in source.frames(lambda: None):
    pass
more_mb = peak_mb(resource.RUSAGE_SELF) - before_mb
print(round(more_mb), round(peak_mb(resource.RUSAGE_CHILDREN)), *sorted(kinds))
"""


def part(jpeg: bytes, declares_bytes: int | None = None) -> bytes:
    length = declares_bytes or len(jpeg)
    head = f"--next\r\nContent-Type: image/jpeg\r\nContent-Length: {length}\r\n\r\n"
    return head.encode() + jpeg + b"\r\n"


def endless_part() -> Iterator[bytes]:
    """One that is said to hold 2 GB, and does."""
    yield from [part(SMALL)] * 30
    yield part(b"", declares_bytes=2_000_000_000)
    for _ in range(2000):
        yield bytes(1 << 20)


def enormous_picture() -> Iterator[bytes]:
    """4 MB that decode to 768 MB and more."""
    yield from [part(SMALL)] * 30
    enormous = cv2.imencode(".jpg", np.full((16_000, 16_000, 3), 99, np.uint8))[1].tobytes()
    while True:
        yield part(enormous)


class WebCamera:
    """Serves whatever it is given; use it as a context manager."""

    def __init__(
        self,
        pieces: Callable[[], Iterator[bytes]],
        *,
        status: int = 200,
        location: str = "",
        kind: str = "multipart/x-mixed-replace; boundary=next",
    ) -> None:
        self.connections = 0
        camera = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                camera.connections += 1
                self.send_response(status)
                self.send_header("Content-Type", kind)
                if location:
                    self.send_header("Location", location)
                self.end_headers()
                try:
                    for piece in pieces():
                        self.wfile.write(piece)
                except OSError:
                    return  # the viewer left

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/stream"

    def __enter__(self) -> WebCamera:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.mark.skipif(sys.platform != "linux", reason="FFmpeg's library is found in /proc")
@pytest.mark.parametrize("pieces", [endless_part, enormous_picture])
def test_what_a_camera_declares_takes_no_memory(pieces: Callable[[], Iterator[bytes]]) -> None:
    with WebCamera(pieces) as camera:
        command = [sys.executable, "-c", WATCH, camera.url]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    more_mb, decoder_mb, *kinds = done.stdout.split()
    assert int(more_mb) < MOST_MORE_MB, "the agent's"
    assert int(decoder_mb) < MOST_MB, "its decoder's, from its start"
    assert kinds


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_camera_cannot_send_us_elsewhere(status: int) -> None:
    with WebCamera(lambda: iter([part(SMALL)] * 50)) as other:
        with (
            WebCamera(lambda: iter([b""]), status=status, location=other.url) as camera,
            pytest.raises(SourceError, match="sends us on to http://127"),
        ):
            open_source(SourceSettings(uri=camera.url, stall_timeout_s=3))
        assert other.connections == 0


def test_nor_with_a_playlist() -> None:
    with WebCamera(lambda: iter([part(SMALL)] * 50)) as other:
        playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{other.url}.ts\n".encode()
        with (
            WebCamera(lambda: iter([playlist])) as camera,
            pytest.raises(SourceError, match="expected video, this is something else"),
        ):
            open_source(SourceSettings(uri=camera.url, stall_timeout_s=3))
        assert other.connections == 0
