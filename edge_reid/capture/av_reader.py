"""Pictures of a stream, decoded by FFmpeg through PyAV; its planes are handed on as they are.

One thread a camera: each further one makes a picture late by a frame. What cannot be kept up with
is skipped, undecoded, to a key picture that is not late.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import av
import av.error
import av.logging

from edge_reid.capture.camera_order import CameraOrder
from edge_reid.capture.ffmpeg import errors_of, is_refusal, limit_memory, options_for
from edge_reid.capture.frame_slots import MAX_PIXELS, Layout
from edge_reid.capture.picture import DecodedPicture, Plane
from edge_reid.capture.stream_judge import StreamClock

_SKIPS_FROM_S = 1.0
"""A picture that comes so late, while more wait behind it, and all after it up to a key picture."""
_RESUMES_AT_S = 0.5
_UNTIMED = frozenset({"mpjpeg", "mjpeg"})
"""Formats without times of their own; FFmpeg counts pictures instead."""
_ENDS_AT_NEXT = frozenset({"rtsp", "mpegts"})
_CUT_BY_PARSER = frozenset({"h264", "hevc"})
"""With these two FFmpeg knows the end of a picture by the beginning of the next: one has arrived
when the one before it is handed out."""
_KINDS = {1: "I", 2: "P", 3: "B"}
_LAYOUTS: dict[str, Layout] = {"yuv420p": "i420", "yuvj420p": "i420-full"}
_FULL_RANGE = 2


class AvReader:
    """Reads one stream.

    Args:
        order: what, and how.
        url: where FFmpeg is to look for it: the relay, if there is one.
        timeout_s: so long FFmpeg waits for a silent stream.
        is_waiting: whether more has come than FFmpeg has read.
    """

    def __init__(
        self, order: CameraOrder, url: str, timeout_s: float, is_waiting: Callable[[], bool]
    ) -> None:
        self.fps = 0.0
        self.skipped = 0
        self.refused = 0
        self._order = order
        self._url = url
        self._timeout_s = timeout_s
        self._is_waiting = is_waiting
        self._clock = StreamClock()
        self._is_timed = True
        self._is_skipping = False
        self._errors = 0

    def pictures(self) -> Iterator[DecodedPicture]:
        """Every picture, as it comes; see PictureReader."""
        av.logging.set_level(av.logging.INFO)
        av.logging.set_skip_repeated(False)
        limit_memory()
        with av.logging.Capture(local=False) as lines:
            try:
                yield from self._read(lines)
            except (av.error.FFmpegError, OSError, EOFError):
                self._heed(lines)
            except MemoryError:
                self.refused += 1

    def _read(self, lines: list[tuple[int, str, str]]) -> Iterator[DecodedPicture]:
        options = options_for(self._order)
        with av.open(self._url, options=options, timeout=self._timeout_s) as camera:
            if not camera.streams.video:
                return
            stream = camera.streams.video[0]
            stream.codec_context.thread_count = 1
            stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
            self.fps = float(stream.average_rate or stream.guessed_rate or 0)
            self._is_timed = camera.format.name not in _UNTIMED
            self._heed(lines)
            self._errors = 0
            for packet, arrived_s in _packets(camera, stream):
                if not self._is_wanted(packet, arrived_s):
                    self.skipped += 1
                    continue
                frames = _decoded(packet)
                self._heed(lines)
                for frame in frames:
                    yield self._picture(frame, arrived_s)
                    self._errors = 0

    def _is_wanted(self, packet: Any, arrived_s: float) -> bool:
        """Whether to decode a packet: not if it is late and newer ones wait behind it."""
        is_waiting = self._is_waiting()
        if not self._is_timed or packet.pts is None:
            return True
        stream_s = float(packet.pts * packet.time_base)
        late_s = self._clock.arrived(stream_s, arrived_s, is_waiting=is_waiting)
        if self._is_skipping:
            is_in_time = late_s < _RESUMES_AT_S or not is_waiting
            self._is_skipping = not (packet.is_keyframe and is_in_time)
        else:
            self._is_skipping = late_s > _SKIPS_FROM_S and is_waiting
        return not self._is_skipping

    def _heed(self, lines: list[tuple[int, str, str]]) -> None:
        self._errors += errors_of(lines)
        self.refused += sum(is_refusal(text) for _, _, text in lines)
        lines.clear()

    def _picture(self, frame: Any, arrived_s: float) -> DecodedPicture:
        is_timed = self._is_timed and frame.pts is not None
        captured_s = self._clock.captured_s(float(frame.time)) if is_timed else arrived_s
        kind = "I" if frame.key_frame else _KINDS.get(int(frame.pict_type), "?")
        shown = _planar(frame)
        layout = _LAYOUTS[shown.format.name]
        if shown.color_range == _FULL_RANGE:
            layout = "i420-full"
        width, height = shown.width & ~1, shown.height & ~1
        chroma = (_plane(shown, number, width // 2, height // 2) for number in (1, 2))
        planes = (_plane(shown, 0, width, height), *chroma)
        return DecodedPicture(planes, layout, width, height, captured_s, kind, self._errors)


def _packets(camera: Any, stream: Any) -> Iterator[tuple[Any, float]]:
    """Each packet of a stream, and when it arrived, monotonic."""
    is_rtsp_or_ts = camera.format.name in _ENDS_AT_NEXT
    ends_at_next = is_rtsp_or_ts and stream.codec_context.name in _CUT_BY_PARSER
    before_s = time.monotonic()
    for packet in camera.demux(stream):
        now_s = time.monotonic()
        yield packet, before_s if ends_at_next else now_s
        before_s = now_s


def _decoded(packet: Any) -> list[Any]:
    """Its pictures; none when it cannot be decoded, which FFmpeg has then said in its log."""
    try:
        return list(packet.decode())
    except av.error.InvalidDataError:
        return []


def _planar(frame: Any) -> Any:
    """The same as Y, U and V in 4:2:0, which nearly every camera sends."""
    if frame.format.name in _LAYOUTS:
        return frame
    is_full = "j" in frame.format.name or frame.color_range == _FULL_RANGE
    return frame.reformat(format="yuvj420p" if is_full else "yuv420p")


def _plane(frame: Any, number: int, width: int, height: int) -> Plane:
    plane = frame.planes[number]
    return Plane(memoryview(plane).cast("B"), width, height, plane.line_size)
