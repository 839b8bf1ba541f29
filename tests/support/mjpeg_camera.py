"""A real network camera for tests: MJPEG over HTTP on loopback, with faults on demand."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np

from edge_reid.core.types import Image

PERIOD_S = 0.02
SIZE_PX = (160, 120)


def _grey(level: int) -> Image:
    return np.full((SIZE_PX[1], SIZE_PX[0], 3), level, np.uint8)


STILL = (_grey(128), _grey(129))
"""Pictures in which nothing moves."""


class MjpegCamera:
    """Serves grey pictures, brighter by one with each; use it as a context manager.

    Args:
        pictures: RGB, to be served in their place, again and again.
        hangs_after: of the first connection: falls silent after so many pictures.
        ends_after: of the first connection: closes it after so many pictures.
    """

    def __init__(
        self,
        pictures: Sequence[Image] = (),
        *,
        hangs_after: int | None = None,
        ends_after: int | None = None,
    ) -> None:
        self.connections = 0
        self.answers = True
        """Whether a new connection gets any picture."""
        self._pictures = pictures
        self._faults = {"hang": hangs_after, "end": ends_after}
        self._closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/stream"

    def __enter__(self) -> MjpegCamera:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        camera = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                camera.connections += 1
                faults = camera._faults if camera.connections == 1 else {}
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=next")
                self.end_headers()
                if not camera.answers:
                    camera._closing.wait()
                    return
                try:
                    camera._stream(self, faults)
                except OSError:
                    return  # the viewer left

            def log_message(self, *_: object) -> None:
                pass

        return Handler

    def _stream(self, handler: BaseHTTPRequestHandler, faults: dict[str, int | None]) -> None:
        number = 0
        while not self._closing.is_set():
            if number == faults.get("end"):
                return
            if number == faults.get("hang"):
                self._closing.wait()
                return
            handler.wfile.write(_part(self._picture(number)))
            number += 1
            time.sleep(PERIOD_S)

    def _picture(self, number: int) -> Image:
        if self._pictures:
            return _with_clock(self._pictures[number % len(self._pictures)], number)
        return _grey(number % 256)


def _with_clock(picture: Image, number: int) -> Image:
    """A corner that goes from black to white and back by one level a picture: nothing that moves,
    but no camera that lives sends one picture twice.
    """
    shown = picture.copy()
    shown[:16, :16] = abs(number % 510 - 255)
    return shown


def _part(image: Image) -> bytes:
    picture = np.ascontiguousarray(image[..., ::-1])
    jpeg = cv2.imencode(".jpg", picture)[1].tobytes()
    head = f"--next\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
    return head.encode() + jpeg + b"\r\n"
