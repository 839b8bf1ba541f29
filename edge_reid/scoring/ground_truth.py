"""The truth of a recording: who was in view when, labelled by eye in a JSON file.

`README.md` of this room describes the format for whoever writes such a file.
"""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime, timezone
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, model_validator

from edge_reid.core.errors import ConfigError
from edge_reid.core.text_file import read_text_file
from edge_reid.core.validation_errors import describe_mistakes

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)

FrameNumber = Annotated[int, Field(ge=0, le=2**31)]
Edge = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]
LabelledBox = tuple[FrameNumber, Edge, Edge, Edge, Edge]
"""`[frame, x1, y1, x2, y2]` in pixels."""


class _Labels(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class EnrolmentPhoto(_Labels):
    """A view from which a person was enrolled."""

    frame: FrameNumber
    box: tuple[Edge, Edge, Edge, Edge]


class LabelledVisit(_Labels):
    """A stay of a person in the picture, from one frame to another, both included."""

    first_frame: FrameNumber
    last_frame: FrameNumber
    boxes: tuple[LabelledBox, ...] = ()
    """Where the person stands; without any a visit is compared by its time alone."""

    @model_validator(mode="after")
    def _check_frames(self, info: ValidationInfo) -> LabelledVisit:
        frames = (info.context or {}).get("frames")
        if self.last_frame < self.first_frame:
            raise ValueError(
                f"expected a last_frame from {self.first_frame} on, got {self.last_frame}"
            )
        if isinstance(frames, int) and self.last_frame >= frames:
            raise ValueError(f"expected a last_frame below {frames}, got {self.last_frame}")
        outside = [row[0] for row in self.boxes if not self.spans(row[0])]
        if outside:
            raise ValueError(
                f"expected boxes of frames {self.first_frame} to {self.last_frame}, got "
                + ", ".join(map(str, outside))
            )
        bent = [row[0] for row in self.boxes if row[3] <= row[1] or row[4] <= row[2]]
        if bent:
            raise ValueError(
                f"expected x1 < x2 and y1 < y2, got others at frame {', '.join(map(str, bent))}"
            )
        return self

    def spans(self, frame: float, edge: float = 0.0) -> bool:
        """Whether a frame lies in it, or at most `edge` frames beside it. The last one lasts until
        the next: labelled by the clock, that is a second.
        """
        return self.first_frame - edge <= frame < self.last_frame + 1 + edge


class LabelledPerson(_Labels):
    """Somebody who is in the recording, perhaps more than once."""

    identity: Annotated[str, Field(min_length=1, max_length=64)]
    """The name as enrolled, or any other for somebody who is not."""
    description: str = ""
    enrolled: bool = True
    """Whether the gallery has this person. Not asked when a gallery is given."""
    enrol: tuple[EnrolmentPhoto, ...] = ()
    """From which views of this recording the person was enrolled: a visit that holds one is no
    test of recognition, and is left out."""
    visits: tuple[LabelledVisit, ...]

    @model_validator(mode="after")
    def _check_visits(self) -> LabelledPerson:
        ordered = sorted(self.visits, key=lambda visit: visit.first_frame)
        for before, after in pairwise(ordered):
            if after.first_frame <= before.last_frame:
                raise ValueError(
                    f"expected visits one after the other, got {before.first_frame} to "
                    f"{before.last_frame} and {after.first_frame} to {after.last_frame}"
                )
        return self

    def is_test(self, visit: LabelledVisit) -> bool:
        """Whether no photo of the enrolment is from this visit."""
        return not any(visit.spans(photo.frame) for photo in self.enrol)


class GroundTruth(_Labels):
    """Who was in view when, in one recording of one camera."""

    frames: Annotated[int, Field(ge=1, le=2**31)]
    """Of the recording."""
    fps: Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)]
    """Frames per second; with 1, frames are seconds."""
    start_time: datetime = EPOCH
    """Of frame 0, UTC if it names no zone. The default is that of `run` on a file."""
    people: tuple[LabelledPerson, ...]
    video: str = ""
    size_px: tuple[int, int] | None = None
    about: tuple[str, ...] = ()

    @property
    def start_utc_s(self) -> float:
        zoned = (
            self.start_time
            if self.start_time.tzinfo
            else self.start_time.replace(tzinfo=EPOCH.tzinfo)
        )
        return zoned.timestamp()

    @property
    def duration_s(self) -> float:
        return self.frames / self.fps

    def frame_at(self, utc_s: float) -> float:
        """The frame of a moment, as a fraction."""
        return (utc_s - self.start_utc_s) * self.fps

    def spans(self, frame: float) -> bool:
        """Whether a frame is of the recording: of others nobody has said who is there."""
        return 0 <= frame < self.frames


def load_truth(path: Path) -> GroundTruth:
    """The truth that a JSON file holds.

    Raises:
        ConfigError: it cannot be read, or has mistakes; it lists all of them.
    """
    text, table = _read(path)
    frames = table.get("frames") if isinstance(table, dict) else None
    mistakes = _names_given_twice(table)
    try:
        truth = GroundTruth.model_validate_json(text, context={"frames": frames})
    except ValidationError as error:
        mistakes += describe_mistakes(error, known=GroundTruth)
    if mistakes:
        raise ConfigError(str(path), mistakes)
    return truth


def _read(path: Path) -> tuple[str, Any]:
    try:
        text = read_text_file(path)
        return text, json.loads(text)
    except OSError as error:
        raise ConfigError(str(path), [f"cannot be read: {error.strerror}"]) from error
    except (ValueError, RecursionError) as error:  # no text, or no JSON
        raise ConfigError(str(path), [f"is not JSON: {error}"]) from error


def _names_given_twice(table: Any) -> tuple[str, ...]:
    people = table.get("people") if isinstance(table, dict) else None
    listed = people if isinstance(people, list) else []  # whatever else it is, pydantic says so
    named = [person.get("identity") for person in listed if isinstance(person, dict)]
    counts = Counter(name for name in named if isinstance(name, str))
    return tuple(
        f"people: expected each identity once, got {name!r} {count} times; put all visits into one"
        for name, count in counts.items()
        if count > 1
    )
