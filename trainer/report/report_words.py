"""The trainer's side of `edge-reid report`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from rich.console import Console

from edge_reid.core.errors import TrainingError, UsageError
from edge_reid.core.files import check_replaceable, write_whole
from trainer.report.page import make_page, render
from trainer.report.subjects import distinct_names, read_subjects
from trainer.scoring.data_refs import recipe_at, split_of
from trainer.scoring.evaluate import Split

_TITLE_END = b" edge-reid report</title>"
"""In the page of every version."""
_HEAD_BYTES = 1 << 16
"""The title comes early, and may hold many names."""


def write_report(
    models: Sequence[Path],
    data: Sequence[Path],
    out: Path,
    *,
    fpir: float = 0.01,
    pictures: bool = True,
) -> None:
    """Score runs and models on the same people, and write the page and its PNGs.

    Raises:
        UsageError: nothing says what to score on, or `out` is no HTML file, or one that is no
            report.
        TrainingError: the data, a run, or its scores are not usable, or the page cannot be written.
    """
    if out.suffix not in {".html", ".htm"}:
        raise UsageError(f"report: expected --out NAME.html, got {out}")
    check_replaceable(out, f"--out {out}", "an older report", _is_report)
    if not 0 < fpir < 1:
        raise UsageError(f"report: expected --fpir between 0 and 1, got {fpir}")
    chosen, remarks = _data_of(models, data)
    splits = _distinctly_named([split_of(ref) for ref in chosen], chosen)
    subjects = read_subjects(models, splits)
    figures = out.with_name(f"{out.stem}_figures")
    try:
        figures.mkdir(parents=True, exist_ok=True)
        with Console(stderr=True).status("drawing"):
            page = make_page(
                subjects, fpir=fpir, pictures=pictures, folder=figures, remarks=remarks
            )
        write_whole(out.resolve(), render(page).encode())  # a link stays one
    except OSError as error:
        raise TrainingError(f"report {out}: cannot be written: {error.strerror}") from error
    size_mb = out.stat().st_size / 1e6
    Console().print(f"{out} ({size_mb:.1f} MB); figures in {figures}", highlight=False)


def _is_report(file: BinaryIO) -> bool:
    return _TITLE_END in file.read(_HEAD_BYTES)


def _distinctly_named(splits: Sequence[Split], refs: Sequence[Path]) -> list[Split]:
    """Data sets of one name, such as the held-out people of two runs, are given longer ones."""
    names = [split.name for split in splits]
    longer = distinct_names(refs)
    return [
        replace(split, name=f"{split.name} ({name})") if names.count(split.name) > 1 else split
        for split, name in zip(splits, longer, strict=True)
    ]


def _data_of(models: Sequence[Path], data: Sequence[Path]) -> tuple[Sequence[Path], list[str]]:
    """What to score on, and what a reader must know of it."""
    runs = [model for model in models if recipe_at(model)]
    if data:
        return data, []
    if not runs:
        raise UsageError("report: expected --data DIR to score on, or a run with people held out")
    remark = (
        f"Measured on the people that {runs[0].name} held out of its training. What the others "
        "were trained on may include them."
    )
    return runs[:1], [remark] if len(models) > 1 else []
