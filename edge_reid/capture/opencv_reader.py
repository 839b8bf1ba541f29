"""Pictures of a camera at this device, or of a GStreamer pipeline, by OpenCV."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from edge_reid.capture.camera_order import CameraOrder, is_pipeline
from edge_reid.capture.picture import CannotReadError, DecodedPicture, Plane
from edge_reid.core.opencv import frame_rate, quiet_opencv

_BGR3 = cv2.VideoWriter.fourcc(*"BGR3")
_OLDEST_S = 10.0
"""What a driver says beyond that is no time of ours."""


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
        self._camera = order.camera

    def pictures(self) -> Iterator[DecodedPicture]:
        """Every picture, as it comes; see PictureReader."""
        quiet_opencv()
        capture = self._open()
        try:
            self.fps = frame_rate(capture)
            while (read := capture.read())[0]:
                yield self._picture(_shaped(read[1], capture), self._captured_s(capture))
        finally:
            capture.release()

    def _open(self) -> cv2.VideoCapture:
        if is_pipeline(self._uri):
            return cv2.VideoCapture(self._uri, cv2.CAP_GSTREAMER)
        return cv2.VideoCapture(int(self._uri) if self._uri.isdecimal() else self._uri)

    def _captured_s(self, capture: cv2.VideoCapture) -> float:
        """When the driver had the picture, of V4L2; else now. Monotonic."""
        now_s = time.monotonic()
        if is_pipeline(self._uri):
            return now_s  # its position is that in a stream
        driver_s = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        return driver_s if now_s - _OLDEST_S <= driver_s <= now_s else now_s

    def _picture(self, image: cv2.typing.MatLike, captured_s: float) -> DecodedPicture:
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:  # noqa: PLR2004
            raise CannotReadError(
                self._camera,
                f"expected pictures of 3 channels of uint8 (BGR), got {image.dtype} of shape "
                f"{image.shape}; a pipeline ends with: videoconvert ! video/x-raw,format=BGR ! "
                "appsink",
            )
        height, width = image.shape[:2]
        plane = Plane(memoryview(image).cast("B"), width * 3, height, width * 3)
        return DecodedPicture((plane,), "bgr", width, height, captured_s)


def _shaped(image: cv2.typing.MatLike, capture: cv2.VideoCapture) -> cv2.typing.MatLike:
    """The picture in rows: of a camera whose own pixels are BGR, OpenCV 4.11 gives bytes alone."""
    if image.ndim == 3:  # noqa: PLR2004
        return image
    width, height = (
        int(capture.get(size)) for size in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
    )
    is_bytes = image.shape == (1, width * height * 3)
    if is_bytes and int(capture.get(cv2.CAP_PROP_FOURCC)) == _BGR3:
        return image.reshape(height, width, 3)
    return image


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
