"""Image files as RGB arrays, read so that no file surprises the rest of the program."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge_reid.core.errors import PhotoError
from edge_reid.core.opencv import quiet_opencv
from edge_reid.core.types import Image
from edge_reid.vision.picture_header import declared_size_px, is_complete, is_jpeg, other_kind

PHOTO_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
"""How image files end, in lower case."""
UNREAD_SUFFIXES = frozenset({".avif", ".gif", ".heic", ".heif", ".jp2", ".jxl"})
"""How images end that `read_photo` names, and refuses."""

MAX_BYTES = 64 << 20
MAX_PIXELS = 100_000_000
"""Decoded, that is 300 MB: as much as a small device can spare."""

_BACKDROP = 114
"""Grey level behind transparent pixels; that of the detectors' letterbox."""
_STRIPE_PX = 64
"""Rows that are laid on it at once."""

_REMEDIES = {
    "HEIC": "save it as JPEG (heif-convert IN.heic OUT.jpg), or let the phone take JPEGs (iPhone: "
    "Settings, Camera, Formats, Most Compatible)",
    "video": "give a picture; `edge-reid run --source` takes videos",
}


@dataclass(frozen=True, slots=True, eq=False)
class Photo:
    """An image file, decoded."""

    path: Path
    image: Image
    """RGB uint8 (H, W, 3), upright."""
    sha256: str
    """Hex, of the file's bytes."""


def read_photo(path: Path) -> Photo:
    """Decode a JPEG, PNG, BMP, TIFF or WebP: grey and CMYK as RGB, 16 bit as 8, transparent pixels
    on grey, turned upright by its EXIF orientation (which OpenCV ignores in WebP). Other kinds are
    refused: how much memory they take would be known only once it is taken.

    Raises:
        PhotoError: it cannot be read, is not an image, is cut short, or is larger than
            `MAX_BYTES` or `MAX_PIXELS`.
    """
    return decode_photo(path, _read(path))


def decode_photo(path: Path, data: bytes, *, most_pixels: int | None = None) -> Photo:
    """The same of bytes that are in memory, such as an upload's.

    Args:
        path: what messages call it.
        data: of the file.
        most_pixels: None: `MAX_PIXELS`.

    Raises:
        PhotoError: they are not an image, are cut short, or are larger than `MAX_BYTES` or
            `most_pixels`.
    """
    most = MAX_PIXELS if most_pixels is None else most_pixels
    if len(data) > MAX_BYTES:
        raise _too_large(path, len(data))
    if not data:
        raise PhotoError(f"photo {path}: expected an image, the file is empty; copy it again")
    if not is_complete(data):
        raise PhotoError(
            f"photo {path}: expected a whole image, the file is cut short; copy it again"
        )
    size = declared_size_px(data)
    if size is None:
        raise _undecodable(path, other_kind(data))
    _check_pixels(path, *size, most)
    return Photo(path, _decode(path, data, most), hashlib.sha256(data).hexdigest())


def _read(path: Path) -> bytes:
    try:
        size_bytes = path.stat().st_size
        if size_bytes > MAX_BYTES:
            raise _too_large(path, size_bytes)
        return path.read_bytes()
    except OSError as error:
        raise PhotoError(f"photo {path}: cannot be read: {error.strerror}") from error


def _too_large(path: Path, size_bytes: int) -> PhotoError:
    return PhotoError(
        f"photo {path}: expected at most {MAX_BYTES >> 20} MiB, got {size_bytes >> 20}; "
        "save it smaller"
    )


def _check_pixels(path: Path, width: int, height: int, most: int) -> None:
    if width * height > most:
        raise PhotoError(
            f"photo {path}: expected at most {most // 1_000_000} megapixels, "
            f"got {width} × {height}; save it smaller"
        )


def _decode(path: Path, data: bytes, most_pixels: int) -> Image:
    picture = _imdecode(data, cv2.IMREAD_COLOR)
    if picture is None:
        raise _undecodable(path)
    _check_pixels(path, picture.shape[1], picture.shape[0], most_pixels)
    if not is_jpeg(data):  # which has no transparency
        picture = _on_backdrop(picture, _imdecode(data, cv2.IMREAD_UNCHANGED))
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)


def _undecodable(path: Path, kind: str | None = None) -> PhotoError:
    got = f"got {kind}, which is not read here" if kind else "this cannot be decoded"
    remedy = _REMEDIES.get(kind or "", "save it as one")
    return PhotoError(f"photo {path}: expected a JPEG, PNG, BMP, TIFF or WebP, {got}; {remedy}")


def _imdecode(data: bytes, flags: int) -> Any:
    """A BGR array, or None if the bytes are no image."""
    quiet_opencv()
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        return None


def _on_backdrop(picture: Any, stored: Any) -> Any:
    """`picture` over grey where `stored`, the same with its alpha channel, is transparent."""
    has_alpha = stored is not None and stored.ndim == 3 and stored.shape[2] == 4  # noqa: PLR2004
    if not has_alpha or stored.shape[:2] != picture.shape[:2]:
        return picture
    for top in range(0, len(picture), _STRIPE_PX):  # whole, it would take gigabytes
        rows = slice(top, top + _STRIPE_PX)
        alpha = stored[rows, :, 3:].astype(np.float32) / np.iinfo(stored.dtype).max
        picture[rows] = np.rint(alpha * picture[rows] + (1 - alpha) * _BACKDROP)
    return picture
