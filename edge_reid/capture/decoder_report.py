"""What a decoder reports: lines on its standard output. The pictures themselves are in memory.

A stream may have taken the decoder over, so that a line may say anything: it is believed only when
all of it is of the right kind and size.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, get_args

from edge_reid.capture.frame_slots import Slot
from edge_reid.capture.stream_judge import Stillness
from edge_reid.core.camera_fault import CameraFault, FaultKind

MAX_LINE_BYTES = 1 << 14
_MOST = 1 << 53
_MOST_CHARACTERS = 1000


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
    """Which rights this machine could not take away from the decoder."""

    def to_line(self) -> bytes:
        return json.dumps(asdict(self), separators=(",", ":")).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> DecoderReport:
        """Raises ValueError, TypeError, KeyError, RecursionError: the line is none of `to_line`."""
        fields = json.loads(line, parse_constant=_refuse)
        fault, picture, stillness = (fields[key] for key in ("fault", "picture", "stillness"))
        unenforced = fields["unenforced"]
        return cls(
            fault=_fault(fault) if fault else None,
            picture=_picture(picture) if picture else None,
            frames_read=_count(fields["frames_read"]),
            skipped=_count(fields["skipped"]),
            damaged=_count(fields["damaged"]),
            fps=_number(fields["fps"]),
            lag_s=_number(fields["lag_s"]),
            awaits_key_picture=bool(fields["awaits_key_picture"]),
            has_pictures=bool(fields["has_pictures"]),
            stillness=_stillness(stillness) if stillness else None,
            unenforced=_words(unenforced) if unenforced else None,
        )


def _fault(fields: Mapping[str, Any]) -> CameraFault:
    if fields["kind"] not in get_args(FaultKind):
        raise ValueError(f"expected a kind of fault, got {fields['kind']!r}")
    return CameraFault(fields["kind"], _words(fields["line"]))


def _picture(fields: Mapping[str, Any]) -> ReadyPicture:
    slot = fields["slot"]
    number, sequence = _count(slot["number"]), _count(slot["sequence"])
    checked = Slot(number, sequence, _count(slot["width"]), _count(slot["height"]), slot["layout"])
    checked.check()
    return ReadyPicture(checked, _count(fields["index"]), _number(fields["captured_s"]))


def _stillness(fields: Mapping[str, Any]) -> Stillness:
    return Stillness(_number(fields["lasts_s"]), tuple(map(_count, fields["digests"])))


def _count(value: object) -> int:
    if not isinstance(value, int) or not 0 <= value < _MOST:
        raise ValueError(f"expected a count, got {value!r}")
    return int(value)


def _number(value: object) -> float:
    if not isinstance(value, int | float) or abs(value) >= _MOST:
        raise ValueError(f"expected a number, got {value!r}")
    return float(value)


def _words(value: object) -> str:
    if not isinstance(value, str) or not value.isprintable() or len(value) > _MOST_CHARACTERS:
        raise ValueError("expected a line of text")
    return value


def _refuse(constant: str) -> None:
    raise ValueError(f"expected a finite number, got {constant}")
