"""Pictures of a Raspberry Pi's own camera, by picamera2, which Raspberry Pi OS brings."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from edge_reid.capture.camera_order import CameraOrder
from edge_reid.capture.picture import DecodedPicture, Plane

SCHEME = "picamera://"
_SIZE_PX = (1280, 720)
_RATE = 15.0


class PicameraReader:
    """Reads one camera: `picamera://0`, `picamera://0?size=1920x1080`.

    Args:
        order: what, and how.

    Raises:
        ImportError: picamera2 is not installed.
    """

    def __init__(self, order: CameraOrder) -> None:
        from picamera2 import Picamera2  # noqa: PLC0415 - on a Raspberry Pi only

        self.fps = _RATE
        self.skipped = 0
        self.refused = 0
        number, self._size_px = address(order.uri)
        self._camera: Any = Picamera2(number)

    def pictures(self) -> Iterator[DecodedPicture]:
        """Every picture, as it comes; see PictureReader."""
        main = {"size": self._size_px, "format": "RGB888"}
        controls = {"FrameRate": _RATE}
        self._camera.configure(self._camera.create_video_configuration(main, controls=controls))
        self._camera.start()
        try:
            while True:
                request = self._camera.capture_request()
                try:
                    yield _picture(request.make_array("main"), request.get_metadata())
                finally:
                    request.release()
        finally:
            self._camera.close()


def address(uri: str) -> tuple[int, tuple[int, int]]:
    """The number of the camera and the size of its pictures, (width, height).

    >>> address("picamera://1?size=1920x1080"), address("picamera://")
    ((1, (1920, 1080)), (0, (1280, 720)))

    Raises:
        ValueError: it is no such address.
    """
    number, _, size = uri.removeprefix(SCHEME).partition("?size=")
    width, _, height = size.partition("x")
    return int(number or 0), (int(width), int(height)) if size else _SIZE_PX


def _picture(image: Any, metadata: dict[str, Any]) -> DecodedPicture:
    """`RGB888` of libcamera is B, G, R in memory; its times are of the monotonic clock."""
    height, width = image.shape[:2]
    plane = Plane(memoryview(image.tobytes()), width * 3, height, width * 3)
    captured_s = metadata.get("SensorTimestamp", time.monotonic_ns()) / 1e9
    return DecodedPicture((plane,), "bgr", width, height, captured_s)
