"""Whether a file is a film as `VideoWriter` writes one: by container and codec, seen in its bytes.

What cameras, phones and editors write is another kind: H.264 and HEVC in MP4, VP9 and AV1 in WebM.
"""

from __future__ import annotations

import os
import struct
from typing import BinaryIO

_EBML = b"\x1a\x45\xdf\xa3"
"""What Matroska and WebM begin with."""
_HEAD_BYTES = 4096
"""WebM describes its tracks, and so its codec, within the first 500."""
_BOX_BYTES = 8
"""Of the size and the kind that every box of an MP4 begins with."""
_VP9_SYNC = b"\x49\x83\x42"
"""The second to fourth byte of a key frame of VP9, with which a film begins."""


def is_film(file: BinaryIO) -> bool:
    """Whether a file, open at its first byte, is VP8 in WebM or VP9 in MP4.

    A film whose writer was killed is one too, and one without a picture.
    """
    head = file.read(_HEAD_BYTES)
    if head.startswith(_EBML):
        return b"webm" in head and b"V_VP8" in head
    return head[4:8] == b"ftyp" and _is_vp9(file)


def _is_vp9(file: BinaryIO) -> bool:
    """Of an MP4: what its `moov` says, or whether it was cut off before that was written."""
    end = file.seek(0, os.SEEK_END)
    start = file.seek(0)
    while len(head := file.read(_BOX_BYTES)) == _BOX_BYTES:
        size, kind = struct.unpack(">I4s", head)
        if kind == b"mdat" and size == 0:  # filled in at the end, as `moov` is written
            first = file.read(1 + len(_VP9_SYNC))
            return not first or first[1:] == _VP9_SYNC
        if size == 1:
            size = struct.unpack(">Q", file.read(8).ljust(8, b"\0"))[0]
        start += size
        if size < _BOX_BYTES or start > end:
            return False
        if kind == b"moov":
            tracks = file.read(size)
            return b"vp09" in tracks or b"trak" not in tracks
        file.seek(start)
    return False
