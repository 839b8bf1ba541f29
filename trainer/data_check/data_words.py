"""The trainer's side of `edge-reid data`. Needs no TensorFlow: the device's own runtime embeds."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from edge_reid.core.bundled_models import EMBEDDING, shipped_model
from edge_reid.core.errors import TrainingError
from edge_reid.core.files import write_whole
from edge_reid.vision.embed import Embedder
from trainer.data_check.data_report import DataReport, check_data
from trainer.data_check.data_sheets import write_sheets
from trainer.data_check.scan import in_words

REPORT = "report.json"
_MOST_NAMED = 5


def check(sources: list[Path], *, out: Path | None, as_json: bool, model: Path | None) -> bool:
    """Print what is in a data set and what is wrong with it; returns whether it is fit to use.

    Raises:
        TrainingError: the data cannot be used at all, or `out` cannot be written.
        ConfigError: a CSV has mistakes; all of them are listed.
        ModelError: the model cannot be used.
    """
    if out is not None:
        _make(out)
    embedder = Embedder(model or shipped_model(EMBEDDING), threads=os.cpu_count() or 1)
    report = check_data(sources, embedder)
    console = Console(soft_wrap=True, highlight=False)
    drawn = _write(report, out) if out is not None else "--out FOLDER draws the pictures in doubt"
    if as_json:
        console.print_json(json.dumps(report.as_dict()))
    else:
        _print(report, console)
        console.print(drawn, markup=False)
    return not report.failures()


def _make(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainingError(
            f"--out {out}: expected a folder that can be made, got {error.strerror}; "
            "give another one"
        ) from error


def _write(report: DataReport, out: Path) -> str:
    """Write everything; returns what was written, in words."""
    text = json.dumps(report.as_dict(), indent=2, ensure_ascii=False)
    try:
        write_whole(out / REPORT, f"{text}\n".encode())
        pages = write_sheets(report, out)
    except OSError as error:
        raise TrainingError(
            f"--out {out}: cannot be written: {error.strerror}; make room there, or give another "
            "folder"
        ) from error
    return f"{out}/: {REPORT}, {', '.join(page.name for page in pages)}"


def _print(report: DataReport, console: Console) -> None:
    data = report.seen.data
    cameras = "cameras not known" if report.without_camera else f"{_cameras(report)} cameras"
    title = f"{len(data.identities):,} identities, {len(data):,} readable pictures, {cameras}"
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("")
    for name in ("least", "median", "most"):
        table.add_column(name, justify="right")
    for name, span in report.spans().items():
        table.add_row(name, *(f"{value:g}" for value in span))
    console.print(table)
    for found in findings(report):
        console.print(f"{found.count:>7,}  {found.what}{_named(found.examples)}", markup=False)
    for line in report.failures():
        console.print(f"[bold red]WRONG[/]  {escape(line)}")
    for line in report.advice():
        console.print(f"[yellow]to do[/]  {escape(line)}")
    if not report.failures():
        done = "fit to train on" + (", better after that" if report.advice() else "")
        console.print(f"[green]fine[/]   {done}")


def _cameras(report: DataReport) -> int:
    return len(set(report.seen.data.cameras.tolist()))


@dataclass(frozen=True, slots=True)
class DataFinding:
    """Something that the check looks for, how often it found it, and where."""

    count: int
    what: str
    examples: Sequence[str]


def findings(report: DataReport) -> list[DataFinding]:
    """One `DataFinding` for everything that the check looks for, found or not."""
    paths, names = report.seen.data.paths, report.seen.data.identities
    return [
        _all("unreadable files", [in_words(file.path) for file in report.seen.unreadable]),
        _all("files and folders not used", [in_words(path) for path in report.unused]),
        _all("identities with a single picture", report.lonely),
        DataFinding(report.duplicates.copies, "files that are exact copies within an identity", ()),
        _repeats(report),
        _all(
            "times the same picture under two identities",
            [
                f"{in_words(paths[pair.first])} = {in_words(paths[pair.second])}"
                for pair in report.duplicates.shared
            ],
        ),
        _all(
            "pairs of identities that look like one person",
            [
                f"{names[pair.first]} ~ {names[pair.second]} ({pair.similarity:.2f})"
                for pair in report.alike
            ],
        ),
        _all(
            "identities that may hold two people",
            [
                f"{names[doubt.identity]} ({len(doubt.parts[0])} + {len(doubt.parts[1])} pictures)"
                for doubt in report.mixed
            ],
        ),
        _all(
            "pictures unlike the rest of their identity",
            [
                in_words(paths[stray.row])
                + ("" if stray.resembles is None else f" (more like {names[stray.resembles]})")
                for stray in report.strays
            ],
        ),
    ]


def _all(what: str, examples: Sequence[str]) -> DataFinding:
    return DataFinding(len(examples), what, examples)


def _repeats(report: DataReport) -> DataFinding:
    """Near duplicates, named by the identities that have most of them."""
    repeated = np.array([np.sum(~report.duplicates.distinct[rows]) for rows in report.people])
    most_first = [at for at in np.argsort(-repeated, kind="stable") if repeated[at]]
    names = report.seen.data.identities
    return DataFinding(
        int(repeated.sum()),
        "pictures nearly the same as another of their identity",
        [f"{names[at]} ({repeated[at]} of {len(report.people[at])})" for at in most_first],
    )


def _named(examples: Sequence[str]) -> str:
    if not examples:
        return ""
    return ": " + ", ".join(examples[:_MOST_NAMED]) + (" …" if len(examples) > _MOST_NAMED else "")
