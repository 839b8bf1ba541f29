"""Cameras that show the campus clip for ever: RTSP, H.264, each served by a process of its own."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from time import monotonic

from support import campus
from support.picture_clock import BITS, BLOCK_PX
from support.rtsp_camera import RtspCamera, Unit, ffmpeg_path, is_key, units_of

CLIP_S = 40
BEGINNINGS = 8
"""Cameras begin at so many places of the loop."""


@dataclass(frozen=True)
class LoopedStream:
    """The file that is served, and its frame rate."""

    path: Path
    fps: int

    def cuts(self) -> tuple[tuple[Unit, ...], list[int]]:
        """Its pictures, and which of them are key pictures."""
        units = units_of(self.path.read_bytes())
        return units, [index for index, unit in enumerate(units) if is_key(unit)]


@dataclass
class LoopedCamera:
    """One camera as those see it who measure."""

    url: str
    server: int
    """Number of the process that serves it."""
    first: int
    """Number of the picture that each viewer gets first."""
    fps: int
    _told: Connection
    _started_s: list[float] = field(default_factory=list)

    def ages_s(self, looks: Iterable[tuple[int, float]]) -> list[float]:
        """How long before each look the picture that was looked at had been due to be sent.

        Numbers come again with the loop. Of a viewer's first look the newest picture that is
        possible is meant; from then on none that is older than the one before, unless the next of
        its number is not sent yet. So who falls behind by more than a loop is found out, as long as
        no loop passes between two looks.

        Args:
            looks: of this camera, in their order: number of the picture, moment (monotonic).
        """
        loop = CLIP_S * self.fps
        ages_s: list[float] = []
        viewer_s, seen = 0.0, 0
        for number, moment_s in looks:
            started_s = self._started_before(moment_s)
            if started_s != viewer_s:
                newest = int((moment_s - started_s) * self.fps)
                viewer_s, seen = started_s, newest - loop + 1
            seen += (number - self.first - seen) % loop
            if seen / self.fps > moment_s - started_s:  # who went back, as after damaged pictures
                seen -= loop
            ages_s.append(moment_s - started_s - seen / self.fps)
        return ages_s

    def _started_before(self, moment_s: float) -> float:
        """When the viewer came that was there at this moment."""
        while self._told.poll():
            self._started_s.append(self._told.recv())
        return max(start for start in self._started_s if start <= moment_s)


def looped_stream(path: Path, *, size_px: tuple[int, int], fps: int, bit_rate: str) -> LoopedStream:
    """The first 40 s of the clip as H.264 at this size and rate, a key picture every 2 s.

    Each picture has its number along its upper edge (`picture_clock.number_in`).
    """
    width, height = size_px
    shape = f"fps={fps},scale={width}:{height},{_numbers()}"
    command = [ffmpeg_path(), "-y", "-loglevel", "error", "-stream_loop", "-1"]
    command += ["-i", str(campus.CLIP), "-t", str(CLIP_S), "-vf", shape, "-c:v", "libx264"]
    command += ["-preset", "veryfast", "-b:v", bit_rate, "-bf", "0", "-g", str(2 * fps)]
    command += ["-x264-params", "aud=1:repeat-headers=1:scenecut=0:slices=1", str(path)]
    subprocess.run(command, check=True)
    return LoopedStream(path, fps)


def _numbers() -> str:
    """Filters of FFmpeg that draw what `picture_clock.numbered` draws."""

    def block(bit: int, width: int, color: str, when: str) -> str:
        place = f"x={bit * BLOCK_PX}:y=0:w={width * BLOCK_PX}:h={BLOCK_PX}"
        return f"drawbox={place}:color={color}:t=fill:enable='{when}'"

    bits = [block(bit, 1, "white", f"mod(floor(n/{1 << bit}),2)") for bit in range(BITS)]
    return ",".join([block(0, BITS, "black", "1"), *bits])


@contextmanager
def looped_cameras(stream: LoopedStream, count: int) -> Iterator[list[LoopedCamera]]:
    """So many cameras, each begun elsewhere in the stream."""
    context = get_context("spawn")
    with ExitStack() as stack:
        cameras = []
        for number in range(count):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(stream, number, theirs), daemon=True)
            process.start()
            stack.callback(process.join)
            stack.callback(process.terminate)
            url, first = ours.recv()
            cameras.append(LoopedCamera(url, int(process.pid or 0), first, stream.fps, ours))
        yield cameras


def _serve(stream: LoopedStream, number: int, told: Connection) -> None:
    units, keys = stream.cuts()
    first = keys[number * len(keys) // BEGINNINGS % len(keys)]

    def play(_: int) -> Iterator[Unit]:
        told.send(monotonic())
        while True:
            yield from units[first:]
            yield from units[:first]

    with RtspCamera(play, pace_s=1 / stream.fps) as camera:
        told.send((camera.url, first))
        signal.pause()
