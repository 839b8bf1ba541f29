"""What a decoder is told to read: the first line on its standard input.

It holds logins, so it is never an argument of a command, which everybody on the device can list.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal

from edge_reid.capture.stream_judge import Stillness
from edge_reid.core.camera_fault import CameraFault
from edge_reid.core.stream_url import place


@dataclass(frozen=True, slots=True)
class CameraOrder:
    """One camera, and how it is to be read."""

    uri: str
    stall_timeout_s: float
    rtsp_transport: Literal["tcp", "udp"] = "tcp"
    ca_file: str | None = None
    tls_fingerprint: str | None = None
    allow_redirects: bool = False
    max_still_s: float = 10.0
    """A picture that stays the same for so long ends the reading."""
    first_index: int = 0
    """Of the first picture."""
    earlier: CameraFault | None = None
    """What was wrong before; holds until more is known."""
    stillness: Stillness | None = None
    """Of the picture that the decoder before this one saw last."""

    @property
    def camera(self) -> str:
        """What to call it where others read: without a login."""
        return camera_name(self.uri)

    def to_line(self) -> bytes:
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> CameraOrder:
        """Raises ValueError, TypeError: the line is none of `to_line`."""
        fields = json.loads(line)
        earlier, stillness = fields.pop("earlier"), fields.pop("stillness")
        return cls(
            **fields,
            earlier=CameraFault(**earlier) if earlier else None,
            stillness=Stillness(**stillness) if stillness else None,
        )


def camera_name(uri: str) -> str:
    """`stream rtsp://gate` or `camera 0`; passwords stay out of logs."""
    if is_pipeline(uri):
        return "pipeline"
    return f"stream {place(uri)}" if "://" in uri else f"camera {uri}"


def no_picture(order: CameraOrder, what: str) -> CameraFault:
    """That none comes, and what to check."""
    advice = "that it is plugged in and no other program uses it"
    if is_pipeline(order.uri):
        advice = "the pipeline with gst-launch-1.0, and that it ends with appsink"
    elif "://" in order.uri:
        advice = "that the camera sends video there, and the network"
    return CameraFault("no-picture", f"{order.camera}: {what}; check {advice}")


def is_pipeline(uri: str) -> bool:
    """Whether it is a GStreamer pipeline: elements with `!` between them, spaces around it.

    >>> is_pipeline("nvarguscamerasrc ! appsink"), is_pipeline("rtsp://me:a!b@gate/1")
    (True, False)
    """
    return " ! " in uri
