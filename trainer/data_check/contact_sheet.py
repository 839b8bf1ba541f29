"""Pages of small pictures with words beside them, as PNG files. Drawn by OpenCV alone."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from edge_reid.core.files import write_whole
from edge_reid.core.types import Image
from edge_reid.vision.photo import read_photo

Colour = tuple[int, int, int]
"""RGB."""
CALM: Colour = (150, 165, 185)
DOUBT: Colour = (230, 150, 20)
WRONG: Colour = (205, 45, 45)

_PAPER: Colour = (250, 250, 248)
_CARD: Colour = (255, 255, 255)
_MOUNT: Colour = (236, 238, 241)
_INK: Colour = (30, 34, 40)
_FAINT: Colour = (112, 120, 130)

_THUMB_WIDTH_PX, _THUMB_HEIGHT_PX = 56, 112
_GAP_PX, _GROUP_GAP_PX, _MARGIN_PX = 4, 16, 16
_WORDS_PX, _HEAD_PX = 168, 56
_CAPTION_PX = 20
_MOST_THUMBS = 10
_COLUMNS, _ROWS = 2, 14
_WORDS_LEFT_PX = 14
_WORDS_WIDTH_PX = _WORDS_PX - _WORDS_LEFT_PX - 8
_FONT = cv2.FONT_HERSHEY_DUPLEX
_LINE_PX = 18

STRIPS_A_PAGE = _COLUMNS * _ROWS
_STRIP_HEIGHT_PX = _THUMB_HEIGHT_PX + _CAPTION_PX + 2 * _GAP_PX
_STRIP_WIDTH_PX = _WORDS_PX + _MOST_THUMBS * (_THUMB_WIDTH_PX + _GAP_PX) + 2 * _GROUP_GAP_PX


@dataclass(frozen=True, slots=True)
class Group:
    """Pictures that belong together, under a caption."""

    caption: str
    paths: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Strip:
    """A row of pictures: who or what, and at most ten pictures in at most three groups."""

    title: str
    notes: tuple[str, ...]
    groups: tuple[Group, ...]
    colour: Colour = CALM


def write_pages(strips: Sequence[Strip], heading: str, folder: Path, name: str) -> list[Path]:
    """Draw the strips onto pages `FOLDER/NAME_01.png`, `_02.png` …; returns where they are."""
    pages = []
    count = -(-len(strips) // STRIPS_A_PAGE)
    for number in range(count):
        some = strips[number * STRIPS_A_PAGE : (number + 1) * STRIPS_A_PAGE]
        page = _draw_page(some, f"{heading}   page {number + 1} of {count}")
        path = folder / f"{name}_{number + 1:02d}.png"
        _, png = cv2.imencode(".png", cv2.cvtColor(page, cv2.COLOR_RGB2BGR))
        write_whole(path, png.tobytes())
        pages.append(path)
    return pages


def _draw_page(strips: Sequence[Strip], heading: str) -> Image:
    """A page, filled column by column."""
    rows = min(_ROWS, len(strips))
    columns = -(-len(strips) // rows)
    width = _MARGIN_PX + columns * (_STRIP_WIDTH_PX + _MARGIN_PX)
    height = _HEAD_PX + rows * (_STRIP_HEIGHT_PX + _MARGIN_PX // 2) + _MARGIN_PX // 2
    page = np.full((height, width, 3), _PAPER, np.uint8)
    _write(page, heading, (_MARGIN_PX, 35), 0.65, _INK)
    for index, strip in enumerate(strips):
        left = _MARGIN_PX + index // rows * (_STRIP_WIDTH_PX + _MARGIN_PX)
        top = _HEAD_PX + index % rows * (_STRIP_HEIGHT_PX + _MARGIN_PX // 2)
        _draw_strip(page[top : top + _STRIP_HEIGHT_PX, left : left + _STRIP_WIDTH_PX], strip)
    return page


def _draw_strip(canvas: Image, strip: Strip) -> None:
    canvas[:] = _CARD
    canvas[:, :5] = strip.colour
    _write(canvas, _shortened(strip.title, 0.48), (_WORDS_LEFT_PX, 24), 0.48, _INK)
    for line, note in enumerate(strip.notes):
        at = _WORDS_LEFT_PX, 48 + line * _LINE_PX
        _write(canvas, _shortened(note, 0.4), at, 0.4, _FAINT)
    x = _WORDS_PX
    for group in strip.groups:
        _write(canvas, group.caption, (x, 15), 0.36, _FAINT)
        for path in group.paths:
            canvas[_CAPTION_PX : _CAPTION_PX + _THUMB_HEIGHT_PX, x : x + _THUMB_WIDTH_PX] = (
                _thumbnail(path)
            )
            x += _THUMB_WIDTH_PX + _GAP_PX
        x += _GROUP_GAP_PX - _GAP_PX


def _thumbnail(path: Path) -> Image:
    """The whole picture, scaled to fit and centred on a mount."""
    image = read_photo(path).image
    scale = min(_THUMB_WIDTH_PX / image.shape[1], _THUMB_HEIGHT_PX / image.shape[0])
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    small = cv2.resize(image, size, interpolation=method)
    mount = np.full((_THUMB_HEIGHT_PX, _THUMB_WIDTH_PX, 3), _MOUNT, np.uint8)
    top, left = (_THUMB_HEIGHT_PX - size[1]) // 2, (_THUMB_WIDTH_PX - size[0]) // 2
    mount[top : top + size[1], left : left + size[0]] = small
    return mount


def _write(canvas: Image, text: str, at: tuple[int, int], scale: float, colour: Colour) -> None:
    cv2.putText(canvas, _ascii(text), at, _FONT, scale, colour, 1, cv2.LINE_AA)


def _ascii(text: str) -> str:
    """Text in the letters that OpenCV has: no accents, question marks for other scripts."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return plain.encode("ascii", "replace").decode()


def _shortened(text: str, scale: float) -> str:
    """Text cut in its middle to fit beside the pictures."""
    whole = _ascii(text)
    for letters in range(len(whole), 1, -1):
        end = letters // 2
        shown = whole if letters == len(whole) else f"{whole[: letters - end]}..{whole[-end:]}"
        if cv2.getTextSize(shown, _FONT, scale, 1)[0][0] <= _WORDS_WIDTH_PX:
            return shown
    return ".."
