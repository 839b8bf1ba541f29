"""Opens what the settings name as a source of frames."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edge_reid.capture.camera_order import is_pipeline
from edge_reid.capture.frame_source import FrameSource
from edge_reid.capture.image_folder import ImageFolderSource
from edge_reid.capture.live_source import LiveSource
from edge_reid.capture.two_stream_source import TwoStreamSource
from edge_reid.capture.video_file import FileSource
from edge_reid.core.config.source_settings import SourceSettings
from edge_reid.core.opencv import quiet_opencv
from edge_reid.core.steady_clock import SteadyClock


def open_source(
    settings: SourceSettings,
    *,
    is_patient: bool = False,
    clock: SteadyClock | None = None,
    on_frame: Callable[[], None] = lambda: None,
    is_wanted: Callable[[], bool] = lambda: True,
) -> FrameSource:
    """Open what the settings name.

    A video file, a folder of images, a camera at this device (`0`, `/dev/video0`), a Raspberry
    Pi's own (`picamera://0`), a stream (`rtsp://`, `rtsps://`, `http://`, `https://`), a large
    one with a small one beside it (`detect_uri`), or a GStreamer pipeline (elements with ` ! `
    between them).

    Args:
        settings: what and how.
        is_patient: a camera or stream that gives no picture yet is waited for, while iterating.
        clock: what live frames take their time from.
        on_frame: called, from any thread, whenever a newer frame of a live source can be taken.
        is_wanted: asked, from any thread, whether a live source is to be open now.

    Raises:
        SourceError: it is missing, empty, not a video, or gives no picture.
    """
    quiet_opencv()
    uri = settings.uri
    if settings.detect_uri:
        return TwoStreamSource(
            settings, is_patient=is_patient, clock=clock, on_frame=on_frame, is_wanted=is_wanted
        )
    if is_live(uri):
        return LiveSource(
            settings, is_patient=is_patient, clock=clock, on_frame=on_frame, is_wanted=is_wanted
        )
    if Path(uri).is_dir():
        return ImageFolderSource(Path(uri), settings.image_rate_hz, settings.start_utc_s)
    return FileSource(Path(uri), settings.start_utc_s)


def is_live(uri: str) -> bool:
    """Whether it means a camera or a stream; a camera that is unplugged has no device."""
    is_camera = uri.isdecimal() or uri.startswith(("/dev/video", "/dev/v4l/"))
    return is_camera or "://" in uri or is_pipeline(uri) or Path(uri).is_char_device()
