"""The contact sheet: each hit's crop beside the enrolled template it was matched to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from edge_reid.core.types import Image

PICTURE_PX = (192, 96)
"""(height, width) of a person on the sheet."""
CARD_PX = (248, 420)
COLUMNS = 3
INK, FAINT, PAPER, GOOD = (33, 33, 33), (120, 120, 120), (255, 255, 255), (0, 128, 96)


@dataclass(frozen=True, slots=True, eq=False)
class Match:
    """A hit, with the two pictures that it rests on."""

    identity: str
    moment: str
    """As on a wall clock."""
    track_id: int
    similarity: float
    threshold: float
    margin: float | None
    template: Image
    crop: Image


def write_sheet(matches: Sequence[Match], path: Path) -> None:
    """Draw all matches in rows of `COLUMNS` and write them as PNG."""
    cards = [_card(match) for match in matches]
    missing = -len(cards) % COLUMNS
    cards += [np.full((*CARD_PX, 3), PAPER, np.uint8)] * missing
    rows = [np.hstack(cards[start : start + COLUMNS]) for start in range(0, len(cards), COLUMNS)]
    sheet = np.vstack(rows) if rows else np.full((*CARD_PX, 3), PAPER, np.uint8)
    cv2.imwrite(str(path), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))


def _card(match: Match) -> Image:
    card = np.full((*CARD_PX, 3), PAPER, np.uint8)
    _place(card, match.template, left=12)
    _place(card, match.crop, left=120)
    _write(card, "enrolled", 12, 20, FAINT)
    _write(card, "seen", 120, 20, FAINT)
    margin = "-" if match.margin is None else f"{match.margin:.3f}"
    lines = (
        (match.identity, INK, 0.7),
        (f"similarity {match.similarity:.3f}", GOOD, 0.45),
        (f"threshold  {match.threshold:.3f}", FAINT, 0.45),
        (f"margin     {margin}", FAINT, 0.45),
        (f"track #{match.track_id}", FAINT, 0.45),
        (match.moment, FAINT, 0.45),
    )
    for number, (text, colour, scale) in enumerate(lines):
        _write(card, text, 230, 52 + 28 * number, colour, scale=scale)
    _bar(card, match)
    return card


def _place(card: Image, picture: Image, left: int) -> None:
    height, width = PICTURE_PX
    card[32 : 32 + height, left : left + width] = cv2.resize(
        picture, (width, height), interpolation=cv2.INTER_CUBIC
    )


def _bar(card: Image, match: Match) -> None:
    """Similarity from 0 to 1, with the threshold as a line through it."""
    left, top, width = 230, 212, 170
    cv2.rectangle(card, (left, top), (left + width, top + 10), (225, 225, 225), -1)
    cv2.rectangle(card, (left, top), (left + round(width * match.similarity), top + 10), GOOD, -1)
    at = left + round(width * match.threshold)
    cv2.line(card, (at, top - 5), (at, top + 15), INK, 2)


def _write(
    card: Image, text: str, x: int, y: int, colour: tuple[int, int, int], *, scale: float = 0.45
) -> None:
    cv2.putText(card, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, scale, colour, 1, cv2.LINE_AA)
