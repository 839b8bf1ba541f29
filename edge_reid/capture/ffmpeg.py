"""FFmpeg as PyAV brings it: its options, its limit of memory, what its decoders complain about."""

from __future__ import annotations

import ctypes
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from edge_reid.capture.camera_order import CameraOrder
from edge_reid.capture.frame_slots import MAX_PIXELS

MAX_BLOCK_BYTES = 20 << 20
"""Of memory in one piece: a plane of 20 megapixels, or a picture compressed. Without a limit FFmpeg
takes what a stream declares: 2 GB for one header."""
_ERROR = 16
_NO_DECODER = re.compile(
    r"(rtsp|rtp|sdp|tcp|udp|tls|http|https|swscaler|sws|mov|mpjpeg|file|AVFormatContext|AVIOContext)"
)
_DAMAGE = re.compile(r"concealing|RTP: missed")
_PACKETS_BEFORE_KEY = re.compile(r"non-existing PPS|PPS id out of range|no frame!|decode_slice_h")
"""Said of what comes before the first key picture: nothing is damaged."""
_REFUSAL = re.compile(r"get_buffer\(\) failed|exceeds specified max pixel|is invalid$")

_FORMATS = (
    *("rtsp", "mpjpeg", "mjpeg", "mpegts", "flv", "h264", "hevc", "asf"),
    *("mov", "mp4", "matroska", "webm", "avi", "m4v", "mpeg"),
)
"""That name no other file or host. Playlists (HLS, DASH, concat, SDP) do."""
_PROTOCOLS = ("file", "rtsp", "rtp", "tcp", "udp", "http")


def options_for(order: CameraOrder) -> dict[str, str]:
    """What FFmpeg is told of a live source; nothing of it is left to a default."""
    options = {"max_pixels": str(MAX_PIXELS), "fpsprobesize": "0", "analyzeduration": "1000000"}
    scheme = urlsplit(order.uri).scheme.lower()
    if scheme in {"rtsp", "rtsps"}:
        options["rtsp_transport"] = order.rtsp_transport
        options["allowed_media_types"] = "video"  # times of several would be set by each other
    if scheme in {"rtsp", "rtsps", "http", "https"} and not order.allow_redirects:
        options["format_whitelist"] = ",".join(_FORMATS)
        options["protocol_whitelist"] = ",".join(_PROTOCOLS)
    return options


def errors_of(lines: Sequence[tuple[int, str, str]]) -> int:
    """How many lines of FFmpeg's log (level, who, text) tell of damage."""
    heard = (line for line in lines if line[0] <= _ERROR or _DAMAGE.search(line[2]))
    return sum(is_damage(who, text) for _, who, text in heard)


def is_damage(who: str, text: str) -> bool:
    """Whether a line of FFmpeg's log, of level error or about lost data, tells of a picture that
    could not be decoded whole.
    """
    if _DAMAGE.search(text):
        return True
    return not (_NO_DECODER.match(who) or _PACKETS_BEFORE_KEY.search(text))


def is_refusal(text: str) -> bool:
    """Whether a line tells of a picture that is larger than it may be."""
    return bool(_REFUSAL.search(text.rstrip()))


def limit_memory() -> None:
    """Bound what FFmpeg may allocate at once; where its library is not found, the limit of the
    whole process is left.
    """
    with suppress(OSError, StopIteration, AttributeError):
        path = next(_libraries("libavutil"))
        ctypes.CDLL(str(path)).av_max_alloc(ctypes.c_size_t(MAX_BLOCK_BYTES))


def _libraries(name: str) -> Iterator[Path]:
    """Of this name, in use here."""
    if sys.platform == "linux":
        lines = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
        yield from (Path(line.split(maxsplit=5)[-1]) for line in lines if name in line)
        return
    import av  # noqa: PLC0415

    yield from (Path(av.__file__).parent / ".dylibs").glob(f"{name}*")
