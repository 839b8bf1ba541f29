"""How the two streams of a camera do that has a small one for detection beside a large one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edge_reid.core.camera_fault import FaultKind

StreamName = Literal["detect", "crop"]
"""`detect`: the small one, of `source.detect_uri`; `crop`: the large one, of `source.uri`."""
StreamState = Literal["closed", "opening", "open"]


@dataclass(frozen=True, slots=True)
class StreamStates:
    """Of one camera, now."""

    looked_at: StreamName
    """`crop` only while the detection stream gives nothing."""
    crop_stream: StreamState
    """`opening`: wanted, and no picture has come yet."""
    opened: int
    """How often the crop stream was opened as somebody came, and once at the start."""
    detect_fault: FaultKind | None = None
    crop_fault: FaultKind | None = None
    """Of the last attempt while it is closed."""
