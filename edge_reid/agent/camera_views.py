"""The sources of an agent's cameras, opened: all live, or all recordings."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from edge_reid.agent.camera_frames import CameraFrames
from edge_reid.agent.look_pace import LookPace
from edge_reid.agent.look_record import LookRecord
from edge_reid.agent.look_schedule import LookSchedule
from edge_reid.agent.watch_hours import WatchHours
from edge_reid.capture.frame_source import FrameSource
from edge_reid.capture.open_source import is_live, open_source
from edge_reid.capture.two_stream_source import TwoStreamSource
from edge_reid.core.config.camera_settings import CameraSettings
from edge_reid.core.errors import UsageError
from edge_reid.core.steady_clock import SteadyClock


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """One camera, opened."""

    name: str
    source: FrameSource
    clock: SteadyClock
    frames: CameraFrames
    looks: LookRecord | None
    """None: it is a recording."""
    hours: WatchHours
    two_streams: TwoStreamSource | None = None
    """The source, if it has a large stream beside the small one that is looked at."""

    @property
    def film_fps(self) -> float:
        """Frames a second that go through the stages."""
        return 1 / self.looks.period_s if self.looks else self.source.fps


@dataclass(frozen=True, slots=True, eq=False)
class Views:
    """All cameras of an agent, in the order of the configuration."""

    all: tuple[View, ...]
    schedule: LookSchedule
    """Hears of the frames of those that are live."""
    are_live: bool


def open_views(
    cameras: Mapping[str, CameraSettings],
    pace: LookPace,
    *,
    lookers: int,
    is_patient: bool,
    stack: ExitStack,
) -> Views:
    """Open the sources of all cameras; the stack closes them.

    Args:
        cameras: by name.
        pace: of the whole agent.
        lookers: looks at a time.
        is_patient: a live camera that gives no picture yet is waited for, while frames are taken.
        stack: closes what was opened.

    Raises:
        SourceError: one cannot be opened, or gives no picture.
        UsageError: some are live and some are recordings.
    """
    are_live = live_count(cameras) > 0
    schedule = LookSchedule(cameras, at_once=lookers)
    views = []
    for name, settings in cameras.items():
        clock = SteadyClock()
        hours = WatchHours(settings.active if are_live else ())
        source = open_source(
            settings.source,
            is_patient=is_patient,
            clock=clock,
            on_frame=partial(schedule.frame_came, name),
            is_wanted=hours.are_now,
        )
        stack.enter_context(source)
        count = partial(schedule.count, name) if are_live else None
        two_streams = source if isinstance(source, TwoStreamSource) else None
        frames = CameraFrames(
            source,
            clock,
            stall_timeout_s=settings.source.stall_timeout_s,
            count=count,
            is_wanted=hours.are_now,
            two_streams=two_streams,
        )
        looks = LookRecord(name, settings.detect.rate_hz, pace, count) if count else None
        views.append(View(name, source, clock, frames, looks, hours, two_streams))
    return Views(tuple(views), schedule, are_live)


def live_count(cameras: Mapping[str, CameraSettings]) -> int:
    """How many cameras are live: all or none.

    Raises:
        UsageError: some are live and some are recordings.
    """
    live = [name for name, camera in cameras.items() if is_live(camera.source.uri)]
    recorded = [name for name in cameras if name not in live]
    if live and recorded:
        raise UsageError(
            f"cameras: expected all live or all files, got live {', '.join(live)} and files "
            f"{', '.join(recorded)}; run the files in an agent of their own"
        )
    return len(live)
