"""Scores and thresholds as tables that a person reads, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, TypeAlias

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from edge_reid.matching.gallery_thresholds import GalleryThresholds
from trainer.scoring.evaluate import Report
from trainer.scoring.openset import FPIRS, OpenSet
from trainer.scoring.verification import FARS
from trainer.thresholds.comparisons import LOOKALIKES_BEYOND
from trainer.thresholds.missed_people import TARGET_FPIR
from trainer.thresholds.threshold_crossval import CrossvalOutcome
from trainer.thresholds.threshold_table import Measured, Quantile
from trainer.thresholds.threshold_table import table as supported

Scores: TypeAlias = tuple[Report, dict[float, float], Sequence[OpenSet]]
"""Of one data set: ranking, TAR at each FAR, open-set trials."""

_PEOPLE = 10
"""Enrolled, whose thresholds are shown by their templates."""
_NO_SUCH_DATA_SET = 100_000
"""People: no use in asking for so many."""


def as_dict(report: Report, accepted: dict[float, float], trials: Sequence[OpenSet]) -> Any:
    """One data set's scores, as `--json` prints them."""
    return report.as_dict() | {
        "tar_at_far": {f"{far:g}": rate for far, rate in accepted.items()},
        "open_set": [asdict(trial) for trial in trials],
    }


def show(console: Console, title: str, scores: Sequence[Scores]) -> None:
    """Print ranking and verification, a row for each data set, then the open-set trials."""
    _say(console, title)
    console.print(_ranking_table(scores))
    console.print(_verification_table(scores))
    for report, _, trials in scores:
        _say(console, f"{report.split.name}: {report.remarks()}")
        if trials:
            console.print(_open_set_table(report.split.name, trials))
            for line in sorted({line for trial in trials for line in trial.refused}):
                _say(console, f"  – {line}")


def _ranking_table(scores: Sequence[Scores]) -> Table:
    """A row for each data set and, under several, their mean: each weighs the same."""
    table = Table()
    table.add_column("Market-1501 protocol, %", overflow="fold")
    measures = list(scores[0][0].scores())
    for name in (*measures, "queries", "skipped"):
        table.add_column(name, justify="right", no_wrap=True)
    for report, _, _ in scores:
        values = [_number(report.scores()[name]) for name in measures]
        counts = report.ranking.queries, len(report.ranking.skipped)
        table.add_row(escape(report.split.name), *values, *map(str, counts))
    if len(scores) > 1:
        means = [np.mean([report.scores()[name] for report, _, _ in scores]) for name in measures]
        table.add_section()
        table.add_row("mean", *(_number(float(mean)) for mean in means))
    return table


def _verification_table(scores: Sequence[Scores]) -> Table:
    table = Table()
    table.add_column("TAR, %, at a FAR of", overflow="fold")
    for far in FARS:
        table.add_column(f"{100 * far:g} %", justify="right", no_wrap=True)
    for report, accepted, _ in scores:
        table.add_row(escape(report.split.name), *(_number(accepted.get(far)) for far in FARS))
    return table


def _number(share: float | None) -> str:
    """A share in [0, 1] in per cent."""
    return "–" if share is None else f"{100 * share:.2f}"


def show_calibration(console: Console, title: str, measured: Measured) -> None:
    """Print quantiles with their intervals, what was refused, and the forecast."""
    _say(
        console,
        f"{title} on {', '.join(measured.data)}: {measured.people} people, "
        f"{measured.impostor_comparisons:,} impostor and {measured.genuine_comparisons:,} genuine "
        "comparisons of a track with a template",
    )
    if not measured.cameras_known:
        _say(
            console,
            "warning: no camera ids: the halves of each person's pictures stand for two cameras. "
            "Pictures of one camera and one moment look alike: expect more missed people than "
            "forecast, and take folders per camera (IDENTITY/CAMERA/*.jpg) if you can",
            style="yellow",
        )
    console.print(_quantile_table("impostors reach", "of pairs", measured.impostor))
    _say_refused(console, measured.impostor, "pairs of different people that look so alike")
    console.print(_quantile_table("the same person stays below", "of people", measured.genuine))
    _say_refused(console, measured.genuine, "people so unlike themselves")
    console.print(_forecast_table(measured))
    if not all(forecast.measured for forecast in measured.forecasts):
        _say(
            console,
            "*: beyond what these data show; the threshold goes on along the steepest slope, so "
            "that it errs towards unknown",
        )
    if measured.by_templates:
        _say(console, _several_templates(measured))


def _several_templates(measured: Measured) -> str:
    """The threshold of ten people, by how many templates each has."""
    single = supported(measured.impostor)
    several = {one.templates: one.impostor_quantiles for one in measured.by_templates}
    thresholds = GalleryThresholds(single, several)
    each = (
        f"{thresholds.threshold(TARGET_FPIR, [templates] * _PEOPLE):.3f} with {templates}"
        for templates in several
    )
    return (
        f"{_PEOPLE} people of several templates, FPIR {100 * TARGET_FPIR:g} %: threshold "
        f"{', '.join(each)}; a person counts as one comparison"
    )


def show_check(console: Console, name: str, outcomes: Sequence[CrossvalOutcome]) -> None:
    """Print what thresholds from one half of the people promise, and meet on the other half."""
    table = Table(
        title=f"{escape(name)}: thresholds from half of the people, tried on the others",
        title_justify="left",
    )
    titles = ("enrolled", "FPIR promised", "FPIR met", "FNIR forecast", "FNIR met")
    for title in titles:
        table.add_column(title, justify="right")
    for outcome in outcomes:
        mark = "" if outcome.measured else " *"
        table.add_row(
            str(outcome.people),
            f"{100 * outcome.target_fpir:g} %{mark}",
            f"{100 * outcome.fpir:.2f} ± {100 * outcome.fpir_spread:.2f} %",
            _percent(outcome.fnir_forecast),
            f"{100 * outcome.fnir:.1f} ± {100 * outcome.fnir_spread:.1f} %",
        )
    console.print(table)


def _open_set_table(name: str, trials: Sequence[OpenSet]) -> Table:
    first = trials[0]
    table = Table(
        title=f"{escape(name)}, open set: {first.identities} people enrolled, {first.draws} draws "
        "(mean ± standard deviation)",
        title_justify="left",
    )
    for title in ("probe", "templates", "enrolled / never"):
        table.add_column(title)
    for fpir in FPIRS:
        table.add_column(f"FNIR, FPIR {100 * fpir:g} %", justify="right")
    for trial in trials:
        found = {point.fpir: point for point in trial.points}
        cells = [
            f"{100 * found[fpir].fnir:.1f} ± {100 * found[fpir].fnir_spread:.1f} %"
            if fpir in found
            else "–"
            for fpir in FPIRS
        ]
        shots = (
            "1" if trial.setup.shots == 1 else f"up to {trial.setup.shots}, {trial.setup.fusion}"
        )
        table.add_row(trial.setup.probe, shots, f"{trial.mated:,} / {trial.impostors:,}", *cells)
    return table


def _quantile_table(title: str, counted: str, found: Sequence[Quantile]) -> Table:
    table = Table()
    for name in ("in", title, "95 % interval", counted):
        table.add_column(name, justify="right")
    for quantile in found:
        if quantile.is_supported:
            table.add_row(
                f"{100 * quantile.p:g} %",
                f"{quantile.similarity:.3f}",
                f"{quantile.low:.3f} – {quantile.high:.3f}",
                f"{quantile.lookalikes:,}",
            )
    return table


def _say_refused(console: Console, found: Sequence[Quantile], what: str) -> None:
    first = next((quantile for quantile in found if not quantile.is_supported), None)
    if first is None:
        return
    line = (
        f"  refused: {100 * first.p:g} % and less: {LOOKALIKES_BEYOND} {what} must lie beyond, "
        f"{first.lookalikes} do; about {first.people_needed:,} people are needed for that"
    )
    if found[-1].people_needed < _NO_SUCH_DATA_SET:
        line += f", {found[-1].people_needed:,} for {100 * found[-1].p:g} %"
    _say(console, line)


def _forecast_table(measured: Measured) -> Table:
    table = Table(
        title="forecast: threshold and missed people at one template each", title_justify="left"
    )
    table.add_column("enrolled", justify="right")
    targets = sorted({forecast.target_fpir for forecast in measured.forecasts}, reverse=True)
    for fpir in targets:
        table.add_column(f"FPIR {100 * fpir:g} %", justify="right")
        table.add_column("FNIR", justify="right")
        table.add_column("95 %", justify="right")
    for people in sorted({forecast.people for forecast in measured.forecasts}):
        cells: list[str] = []
        for fpir in targets:
            (forecast,) = (
                f for f in measured.forecasts if (f.people, f.target_fpir) == (people, fpir)
            )
            mark = "" if forecast.measured else " *"
            cells.append(f"{forecast.threshold:.3f}{mark}")
            low, high = 100 * forecast.fnir_low, 100 * forecast.fnir_high
            cells += [f"{100 * forecast.fnir:.0f} %", f"{low:.0f} – {high:.0f}"]
        table.add_row(f"{people:,}", *cells)
    return table


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.2f} %"


def _say(console: Console, line: str, style: str | None = None) -> None:
    """Print a line as it is: no markup, no line breaks."""
    console.print(line, style=style, markup=False, highlight=False, soft_wrap=True)
