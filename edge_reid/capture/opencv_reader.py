"""Pictures of a camera at this device, or of a GStreamer pipeline, by OpenCV."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import cv2

from edge_reid.capture.camera_order import CameraOrder, is_pipeline
from edge_reid.capture.picture import DecodedPicture, Plane
from edge_reid.core.opencv import frame_rate, quiet_opencv


class OpenCvReader:
    """Reads one camera.

    Args:
        order: what, and how.
    """

    def __init__(self, order: CameraOrder) -> None:
        self.fps = 0.0
        self.skipped = 0
        self.refused = 0
        self._uri = order.uri

    def pictures(self) -> Iterator[DecodedPicture]:
        """Every picture, as it comes; see PictureReader."""
        quiet_opencv()
        capture = self._open()
        try:
            self.fps = frame_rate(capture)
            while (read := capture.read())[0]:
                yield _picture(read[1])
        finally:
            capture.release()

    def _open(self) -> cv2.VideoCapture:
        if is_pipeline(self._uri):
            return cv2.VideoCapture(self._uri, cv2.CAP_GSTREAMER)
        return cv2.VideoCapture(int(self._uri) if self._uri.isdecimal() else self._uri)


def has_gstreamer() -> bool:
    """Whether this OpenCV was built with GStreamer: that from PyPI is not, Debian's and JetPack's
    are.
    """
    line = next(line for line in cv2.getBuildInformation().splitlines() if "GStreamer:" in line)
    return "YES" in line


def device_paths(uri: str) -> tuple[str, ...]:
    """What must stay open to read a camera of this name."""
    if uri.isdecimal():
        return (f"/dev/video{uri}",)
    return (uri, str(Path(uri).resolve()))


def _picture(image: cv2.typing.MatLike) -> DecodedPicture:
    height, width = image.shape[:2]
    data = memoryview(image).cast("B")
    plane = Plane(data, width * 3, height, width * 3)
    return DecodedPicture((plane,), "bgr", width, height, time.monotonic())
