"""The experiment as one picture: every trial a dot, the paper's figure a line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from trainer.experiment.draws import Cut
from trainer.experiment.outcomes import PAPER_ACCURACY, TrialOutcome, summarise

_COLOURS = {"softmax": "#b4552d", "refined softmax": "#8a6d1f", "nearest template": "#1f6f8b"}
_CUT_TITLES: dict[Cut, str] = {
    "camera": "Tested under cameras not trained on",
    "sequence": "Tested on each person's last pictures",
    "random": "Random split, copies on both sides",
}
_BIN = 0.02
"""Accuracies nearer than this share a row of dots."""


def draw_accuracies(outcomes: Sequence[TrialOutcome], file: Path) -> None:
    """Write the distribution of accuracies by method and cut as PNG."""
    cuts = list(dict.fromkeys(outcome.cut for outcome in outcomes))
    figure = Figure(figsize=(4.6 * len(cuts), 4.4), layout="constrained")
    axes: Sequence[Axes] = figure.subplots(1, len(cuts), sharey=True, squeeze=False)[0]
    for axis, cut in zip(axes, cuts, strict=True):
        _draw_cut(axis, [outcome for outcome in outcomes if outcome.cut == cut])
        axis.set_title(_CUT_TITLES[cut], loc="left", fontsize=11)
    axes[0].set_ylabel("identification accuracy / %")
    axes[0].text(
        -0.45,
        100 * PAPER_ACCURACY - 0.6,
        f"paper: {100 * PAPER_ACCURACY:.2f} %",
        va="top",
        fontsize=8,
        color="#555555",
    )
    figure.savefig(file, dpi=150)


def _draw_cut(axis: Axes, outcomes: Sequence[TrialOutcome]) -> None:
    summaries = summarise(outcomes)
    axis.axhline(100 * PAPER_ACCURACY, color="#555555", linewidth=1, linestyle=(0, (4, 3)))
    for column, summary in enumerate(summaries):
        accuracies = [o.accuracy for o in outcomes if o.method == summary.method]
        x, y = _spread(np.array(accuracies))
        colour = _COLOURS[summary.method]
        axis.scatter(column + x, 100 * y, s=14, color=colour, alpha=0.65, linewidths=0)
        axis.hlines(100 * summary.mean, column - 0.4, column + 0.4, color=colour, linewidth=2)
    labels = [f"{s.method}\nmean {100 * s.mean:.1f}, worst {100 * s.worst:.1f}" for s in summaries]
    axis.set_xticks(range(len(labels)), labels)
    axis.set_xlim(-0.5, len(labels) - 0.5)
    axis.grid(axis="y", color="#dddddd", linewidth=0.6)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)


def _spread(
    accuracies: np.ndarray[tuple[int], np.dtype[np.float64]],
) -> tuple[
    np.ndarray[tuple[int], np.dtype[np.float64]], np.ndarray[tuple[int], np.dtype[np.float64]]
]:
    """Dots side by side where they would cover each other: offsets in ±0.4, and accuracies."""
    ordered = np.sort(accuracies)
    offsets = np.zeros(len(ordered))
    rows = np.floor(ordered / _BIN)
    for row in np.unique(rows):
        here = np.flatnonzero(rows == row)
        width = min(0.4, 0.02 * len(here))
        offsets[here] = np.linspace(-width, width, len(here)) if len(here) > 1 else 0.0
    return offsets, ordered
