"""The numbers of a report: what the data are, scores, and what thresholds mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edge_reid.core.errors import TrainingError
from edge_reid.vision.photo import read_photo
from trainer.data.datasets import PersonData
from trainer.report.subjects import ReportSubject
from trainer.scoring.evaluate import Report, Split
from trainer.scoring.openset import FPIRS, Setup, open_set
from trainer.thresholds.similarities import decision_similarities

_MEASURED = 200
"""Pictures whose size is looked up: a data set is rarely of many sizes."""


@dataclass(frozen=True, slots=True)
class DataSummary:
    """A data set in numbers; `sizes` and `per_person` are (smallest, median, largest)."""

    name: str
    identities: int
    images: int
    distractors: int
    cameras: int | None
    per_person: tuple[int, int, int]
    heights_px: tuple[int, int, int]
    widths_px: tuple[int, int, int]
    queries: int
    gallery: int


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """Scores of a subject on a data set: (name, share in [0, 1]) each."""

    subject: str
    scores: tuple[tuple[str, float], ...]
    open_set: str


@dataclass(frozen=True, slots=True)
class ThresholdRow:
    """What one threshold does to the comparisons of one data set, as shares in [0, 1]."""

    subject: str
    data: str
    templates: int
    similarity: float
    measured: bool
    genuine_below: float
    impostor_reaching: float


def summarise_data(split: Split) -> DataSummary:
    """A data set in numbers."""
    data = split.data
    queried = np.unique(data.labels[split.query])
    counts = np.array([np.sum(data.labels == label) for label in queried[queried >= 0]])
    heights, widths = zip(*_sizes(data), strict=True)
    return DataSummary(
        split.name,
        identities=len(counts),
        images=len(data),
        distractors=split.distractors,
        cameras=len(np.unique(data.cameras)) if data.has_cameras else None,
        per_person=_spread(counts.tolist()),
        heights_px=_spread(heights),
        widths_px=_spread(widths),
        queries=len(split.query),
        gallery=split.ranked,
    )


def score_row(subject: ReportSubject, report: Report) -> ScoreRow:
    """All scores that the data can show."""
    rates = {f"TAR@{far:g}": tar for far, tar in report.accept_rates().items()}
    scores = report.scores() | rates
    return ScoreRow(subject.name, tuple(scores.items()), _open_set(report))


def _open_set(report: Report) -> str:
    """FNIR at FPIR in words, or why it cannot be given."""
    try:
        made = open_set(report.split.known_people(report.crops), Setup())
    except TrainingError as error:
        return f"open set: {error}"
    shown = [
        f"FNIR {100 * p.fnir:.1f} ± {100 * p.fnir_spread:.1f} % at FPIR {100 * p.fpir:g} %"
        for p in made.points
    ]
    if made.refused:
        measured = {point.fpir for point in made.points}
        rates = " and ".join(f"{100 * fpir:g} %" for fpir in FPIRS if fpir not in measured)
        shown.append(f"too few impostors to show FPIR {rates}")
    people = f"{made.identities} people enrolled by one picture, {made.impostors} tracks of others"
    return f"open set ({people}): {'; '.join(shown)}"


def threshold_rows(subject: ReportSubject, fpir: float) -> tuple[ThresholdRow, ...]:
    """What each threshold does on each data set."""
    rows = []
    for report in subject.reports:
        impostor, genuine = decision_similarities(report.split.data, report.crops)
        rows += [
            ThresholdRow(
                subject.name,
                report.split.name,
                threshold.templates,
                threshold.similarity,
                threshold.measured,
                float(np.mean(genuine < threshold.similarity)) if len(genuine) else float("nan"),
                float(np.mean(impostor >= threshold.similarity)) if len(impostor) else float("nan"),
            )
            for threshold in subject.thresholds(fpir)
        ]
    return tuple(rows)


def _sizes(data: PersonData) -> list[tuple[int, int]]:
    """(height, width) of some pictures, evenly picked."""
    picked = np.linspace(0, len(data) - 1, min(_MEASURED, len(data))).round().astype(int)
    shapes = [read_photo(data.paths[i]).image.shape for i in picked.tolist()]
    return [(height, width) for height, width, _ in shapes]


def _spread(values: Sequence[int]) -> tuple[int, int, int]:
    return min(values), round(float(np.median(values))), max(values)
