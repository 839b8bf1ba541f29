"""Ranked lists with pictures: the queries that went worst, and some that went best."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from trainer.data.decoded_crops import read_image
from trainer.scoring.evaluate import Report
from trainer.scoring.ranking_metrics import NOBODY

_LENGTH = 10
_WORST, _BEST = 6, 3
_HEIGHT_PX, _WIDTH_PX = 128, 64
_JPEG_QUALITY = 72


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture in a list.

    Attributes:
        uri: the picture as a small JPEG, `data:`.
        name: of its file.
        identity: whom it shows.
        right: whether that is the query's person; None for the query itself.
        similarity: to the query; 1 for the query itself.
    """

    uri: str
    name: str
    identity: str
    right: bool | None
    similarity: float


@dataclass(frozen=True, slots=True)
class RankedList:
    """A query, its average precision, and the head of its ranked gallery."""

    query: Shown
    average_precision: float
    found: tuple[Shown, ...]


@dataclass(frozen=True, slots=True)
class Lists:
    """The ranked lists of one subject on one data set."""

    worst: tuple[RankedList, ...]
    best: tuple[RankedList, ...]


def ranked_lists(report: Report) -> Lists:
    """The worst queries by average precision; of the best, those with the most matches.

    At most one list a person, so that one hard case does not fill the page; and no query is in
    both.
    """
    precision = report.ranking.average_precisions
    valid = np.flatnonzero(~np.isnan(precision))
    labels = report.query.labels
    matches = np.array([np.sum(report.gallery.labels == label) for label in labels])
    by_worst = valid[np.argsort(precision[valid], kind="stable")]
    by_best = valid[np.lexsort((-matches[valid], -precision[valid]))]
    worst = _one_a_person(by_worst.tolist(), labels.tolist())[:_WORST]
    best = [q for q in _one_a_person(by_best.tolist(), labels.tolist()) if q not in worst][:_BEST]
    return Lists(
        tuple(_list(report, query) for query in worst),
        tuple(_list(report, query) for query in best),
    )


def _one_a_person(queries: list[int], labels: list[int]) -> list[int]:
    first: dict[int, int] = {}
    for query in queries:
        first.setdefault(labels[query], query)
    return list(first.values())


def _list(report: Report, query: int) -> RankedList:
    split = report.split
    row = int(split.query[query])
    head = [int(g) for g in report.ranking.ranked[query, :_LENGTH] if g != NOBODY]
    found = [_shown(report, int(split.gallery[g]), row) for g in head]
    return RankedList(
        _shown(report, row, None),
        float(report.ranking.average_precisions[query]),
        tuple(found),
    )


def _shown(report: Report, row: int, query: int | None) -> Shown:
    data, points = report.split.data, report.embeddings
    label = int(data.labels[row])
    return Shown(
        thumbnail(data.paths[row]),
        data.paths[row].name,
        data.name_of(label),
        None if query is None else bool(label == data.labels[query]),
        1.0 if query is None else float(points[row] @ points[query]),
    )


def thumbnail(path: Path) -> str:
    """A picture, stretched to the usual shape of a crop, as the `data:` address of a JPEG."""
    image = cv2.resize(read_image(path), (_WIDTH_PX, _HEIGHT_PX), interpolation=cv2.INTER_AREA)
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.tobytes()).decode()
