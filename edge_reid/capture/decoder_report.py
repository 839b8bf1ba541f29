"""What a decoder reports: lines on its standard output. The pictures themselves are in memory."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from edge_reid.capture.frame_slots import Slot
from edge_reid.capture.stream_judge import Stillness
from edge_reid.core.camera_fault import CameraFault

MAX_LINE_BYTES = 1 << 14


@dataclass(frozen=True, slots=True)
class ReadyPicture:
    """A picture that lies in a slot."""

    slot: Slot
    index: int
    """Counts every picture read of this camera."""
    captured_s: float
    """Monotonic, which all processes of a machine share."""


@dataclass(frozen=True, slots=True)
class DecoderReport:
    """How the reading goes."""

    fault: CameraFault | None
    picture: ReadyPicture | None = None
    """A new one; None: only the rest has changed."""
    frames_read: int = 0
    """Pictures, good or not, from `first_index` of the order on."""
    skipped: int = 0
    """Pictures that were not even decoded, as they were late."""
    damaged: int = 0
    fps: float = 0.0
    lag_s: float = 0.0
    awaits_key_picture: bool = False
    """The stream flows, and nothing of it can be decoded yet."""
    has_pictures: bool = False
    """Whether one came, good or not."""
    stillness: Stillness | None = None
    """While the picture stands still."""
    unenforced: str | None = None
    """Which rights this machine could not take away from the decoder; said once."""

    def to_line(self) -> bytes:
        return json.dumps(asdict(self), separators=(",", ":")).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> DecoderReport:
        """Raises ValueError, TypeError, KeyError: the line is none of `to_line`."""
        fields = json.loads(line)
        fault, picture = fields.pop("fault"), fields.pop("picture")
        stillness = fields.pop("stillness")
        return cls(
            **fields,
            fault=CameraFault(**fault) if fault else None,
            picture=_picture(picture) if picture else None,
            stillness=Stillness(**stillness) if stillness else None,
        )


def _picture(fields: dict[str, object]) -> ReadyPicture:
    slot = fields.pop("slot")
    if not isinstance(slot, dict):
        raise TypeError(f"slot: expected a table, got {slot!r}")
    return ReadyPicture(slot=Slot(**slot), **fields)  # type: ignore[arg-type]
