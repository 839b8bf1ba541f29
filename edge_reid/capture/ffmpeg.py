"""The FFmpeg inside of OpenCV: its limits, its options, and what its decoders complain about.

OpenCV hands out pictures and says nothing of how they came about. FFmpeg itself is asked, in the
libraries that OpenCV has loaded. Where they are not found (an OpenCV built otherwise), decoders
are not heard, and `is_heard` says so.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import re
import sys
import threading
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import cv2

from edge_reid.core.config import SourceSettings

MAX_BLOCK_BYTES = 20 << 20
"""Of memory in one piece: a plane of 20 megapixels, or a picture compressed. Without a limit FFmpeg
takes what a stream declares: 2 GB for one header."""
_OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
_DEAF = "4.11."
"""Does not read what the options say: if there are any, it prefers TCP, and else it takes UDP."""
_ERROR, _INFO = 16, 32
_LINE_BYTES = 256
_NO_DECODER = re.compile(
    rb"\[(rtsp|rtp|sdp|tcp|udp|tls|http|https|swscaler|mov|mpjpeg|file|AVFormatContext|AVIOContext)"
)
_DAMAGE = re.compile(rb"concealing|RTP: missed")
_PACKETS_BEFORE_KEY = re.compile(rb"non-existing PPS|PPS id out of range|no frame!|decode_slice_h")
"""Said of what comes before the first key picture: nothing is damaged."""
_TRIES = {"OPENCV_FFMPEG_READ_ATTEMPTS", "OPENCV_FFMPEG_DECODE_ATTEMPTS"}

_Callback = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)


_FORMATS = (
    *("rtsp", "mpjpeg", "mjpeg", "mpegts", "flv", "h264", "hevc", "asf"),
    *("mov", "mp4", "matroska", "webm", "avi", "m4v", "mpeg"),
)
"""That name no other file or host. Playlists (HLS, DASH, concat, SDP) do."""
_PROTOCOLS = ("file", "rtsp", "rtp", "tcp", "udp", "http")


def options_for(settings: SourceSettings) -> dict[str, str]:
    """What FFmpeg is told of a live source; nothing of it is left to a default of OpenCV's, which
    differ: 4.10 asks cameras for TCP, 4.11 for UDP, 4.12 for TCP again.
    """
    options: dict[str, str] = {"rtsp_transport": settings.rtsp_transport}
    is_guarded = urlsplit(settings.uri).scheme.lower() in {"rtsp", "rtsps", "http", "https"}
    if is_guarded and not settings.allow_redirects:
        options["format_whitelist"] = ",".join(_FORMATS)
        options["protocol_whitelist"] = ",".join(_PROTOCOLS)
    return options


def ask_for(options: Mapping[str, str]) -> None:
    """Open streams with these options of FFmpeg from now on, whatever OpenCV's own defaults are.

    What somebody set in the environment wins.
    """
    ours = "|".join(f"{name};{value}" for name, value in options.items())
    os.environ[_OPTIONS] = f"{ours}|{given}" if (given := _given()) else ours
    if cv2.__version__.startswith(_DEAF) and options.get("rtsp_transport") == "udp" and not given:
        del os.environ[_OPTIONS]
    for name in _TRIES:  # a decoder may wait for its first key picture for as long as it takes
        os.environ.setdefault(name, str(1 << 20))


@cache
def _given() -> str:
    return os.environ.get(_OPTIONS, "")


class Decoders:
    """What decoders have complained about so far, in this process."""

    def __init__(self) -> None:
        self.errors = 0
        self.refused = 0
        """Blocks of memory that were larger than they may be."""
        self.is_heard = False
        self._library: ctypes.CDLL | None = None
        self._ear: Any = None
        self._listeners = 0
        self._lock = threading.Lock()

    def listen(self) -> None:
        """Bound what FFmpeg may allocate at once, and hear its decoders, until as many `rest`."""
        with self._lock:
            self._listeners += 1
            if self._ear is None:
                self._ear = self._make_ear()
            if self._library is not None:
                self._library.av_log_set_callback(self._ear)

    def rest(self) -> None:
        """Leave FFmpeg's log to itself when nobody listens any more.

        Whoever closes a capture with Python's lock held, as its destructor does, waits for
        decoders; and one that speaks up to us meanwhile waits for that lock: for ever.
        """
        with self._lock:
            self._listeners -= 1
            if self._listeners == 0 and self._library is not None:
                self._library.av_log_set_callback(self._library.av_log_default_callback)

    def _make_ear(self) -> Any:
        if (library := _libavutil()) is None:
            return ()
        library.av_max_alloc(ctypes.c_size_t(MAX_BLOCK_BYTES))
        cv2.VideoCapture().open(os.devnull, cv2.CAP_FFMPEG)  # OpenCV sets its own ear once
        # a decoder that speaks up while Python ends would take the process with it
        atexit.register(library.av_log_set_callback, library.av_log_default_callback)
        self._library, self.is_heard = library, True
        return _Callback(self._hearer(library.av_log_format_line2))

    def _hearer(self, render: Any) -> Callable[[int | None, int, bytes | None, int | None], None]:
        def hear(who: int | None, level: int, words: bytes | None, values: int | None) -> None:
            if level > _INFO or words is None or (level > _ERROR and not _DAMAGE.search(words)):
                return
            line = ctypes.create_string_buffer(_LINE_BYTES)
            render(
                ctypes.c_void_p(who),
                ctypes.c_int(level),
                ctypes.c_char_p(words),
                ctypes.c_void_p(values),
                line,
                ctypes.c_int(_LINE_BYTES),
                ctypes.byref(ctypes.c_int(1)),
            )
            self.errors += is_damage(line.value)
            self.refused += b"get_buffer() failed" in line.value

        return hear


DECODERS = Decoders()
"""Of this process: FFmpeg has one log."""


def is_damage(line: bytes) -> bool:
    """Whether a line of FFmpeg's log, of level error or about lost data, tells of a picture that
    could not be decoded whole.
    """
    if _DAMAGE.search(line):
        return True
    return not (_NO_DECODER.match(line) or _PACKETS_BEFORE_KEY.search(line))


def _libavutil() -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL(str(path)) if (path := _loaded("libavutil")) else None
    except OSError:
        return None


def _loaded(name: str) -> Path | None:
    """The library of this name that is in use here."""
    if sys.platform == "linux":
        lines = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
        paths = (line.split(maxsplit=5)[-1] for line in lines if name in line)
    else:
        home = Path(cv2.__file__).parent
        paths = (str(path) for path in home.glob(f".dylibs/{name}*"))
    return next((Path(path) for path in paths), None)
