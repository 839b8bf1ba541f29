"""Everything of a report put together as one HTML file that needs nothing beside it."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from edge_reid import __version__
from trainer.report import plots
from trainer.report.lists import Lists, ranked_lists
from trainer.report.people_map import draw_map
from trainer.report.style import DARK, Plot, house_style
from trainer.report.subjects import ReportSubject
from trainer.report.tables import (
    DataSummary,
    ScoreRow,
    ThresholdRow,
    score_row,
    summarise_data,
    threshold_rows,
)

_TEMPLATE = "page.html.j2"


@dataclass(frozen=True, slots=True, eq=False)
class DataPart:
    """What the page says about one data set."""

    summary: DataSummary
    protocol: str
    scores: tuple[ScoreRow, ...]
    best: dict[str, float]
    """The highest value of each score, to be set in bold."""
    lists: tuple[tuple[str, Lists], ...]
    """(subject, lists); empty without pictures."""


@dataclass(frozen=True, slots=True, eq=False)
class Page:
    """Everything that the template prints."""

    title: str
    subjects: tuple[ReportSubject, ...]
    data: tuple[DataPart, ...]
    thresholds: tuple[ThresholdRow, ...]
    fpir: float
    ranking: Plot
    verification: tuple[Plot, Plot]
    similarities: Plot
    agreement: Plot | None
    training: tuple[tuple[Plot, tuple[str, ...]], ...]
    """A plot of each run, and what of its curves could not be read."""
    embedding_map: Plot
    pictures: bool
    remarks: tuple[str, ...]


def make_page(
    subjects: Sequence[ReportSubject],
    *,
    fpir: float,
    pictures: bool,
    folder: Path,
    remarks: Sequence[str] = (),
) -> Page:
    """Draw and count everything; PNGs of the figures go into `folder`."""
    with house_style():
        return Page(
            title=" and ".join(subject.name for subject in subjects),
            subjects=tuple(subjects),
            data=tuple(_data_part(subjects, i, pictures) for i in range(len(subjects[0].reports))),
            thresholds=tuple(row for s in subjects for row in threshold_rows(s, fpir)),
            fpir=fpir,
            ranking=plots.draw_cmc(subjects, folder),
            verification=plots.draw_roc_det(subjects, folder),
            similarities=plots.draw_histograms(subjects, fpir, folder),
            agreement=plots.draw_agreement(subjects, folder) if len(subjects) > 1 else None,
            training=tuple(_training(subjects, folder)),
            embedding_map=draw_map(subjects, folder),
            pictures=pictures,
            remarks=tuple(remarks),
        )


def render(page: Page) -> str:
    """The page as HTML; every name in it is escaped."""
    environment = Environment(
        loader=PackageLoader("trainer.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = _percent
    return environment.get_template(_TEMPLATE).render(
        page=page,
        colours=list(DARK.items()),
        version=__version__,
        made=dt.datetime.now(dt.timezone.utc).strftime("%d %B %Y, %H:%M UTC"),
    )


def _data_part(subjects: Sequence[ReportSubject], index: int, pictures: bool) -> DataPart:
    reports = [subject.reports[index] for subject in subjects]
    rows = [score_row(s, r) for s, r in zip(subjects, reports, strict=True)]
    scores = [dict(row.scores) for row in rows]
    return DataPart(
        summarise_data(reports[0].split),
        reports[0].remarks(),
        tuple(rows),
        {name: max(row[name] for row in scores) for name in scores[0]},
        tuple((s.name, ranked_lists(r)) for s, r in zip(subjects, reports, strict=True))
        if pictures
        else (),
    )


def _training(
    subjects: Sequence[ReportSubject], folder: Path
) -> list[tuple[Plot, tuple[str, ...]]]:
    drawn = []
    for number, subject in enumerate(subjects, 1):
        curves = subject.curves
        if curves is not None and (curves.losses or curves.validation):
            name = f"training-{number}"
            drawn.append((plots.draw_training(subject, curves, name, folder), curves.remarks))
    return drawn


def _percent(share: float, digits: int = 1) -> str:
    return "–" if math.isnan(share) else f"{100 * share:.{digits}f}"
