"""Do calibrated thresholds keep their promise? `python tests/bench/calibration.py MODEL DATA`.

Two checks with the people of a data set that the model was not trained on:

* thresholds and forecasts from half of the people, tried on the other half (`cross_check`);
* how often the upper end of the 95 % interval of an impostor quantile, fitted to a few of the
  people, reaches the quantile of all of them, by how many pairs of people lay beyond it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from trainer.scoring.evaluate import embed_with_file, read_split
from trainer.thresholds.score_tables import show_check
from trainer.thresholds.threshold_crossval import cross_check
from trainer.thresholds.threshold_table import Embedded, calibrate

SIZES = (1, 5, 10, 25, 50, 100)
PAIRS = ((1, 4), (5, 9), (10, 19), (20, 49), (50, 10**9))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--people", type=int, nargs="+", default=[30, 100])
    parser.add_argument("--draws", type=int, default=20)
    options = parser.parse_args()
    split = read_split(options.data)
    part = Embedded(split.name, split.data, embed_with_file(options.model, split.data.paths))
    console = Console()
    show_check(console, part.name, cross_check(part, SIZES))

    table = Table(title="interval reaches the quantile of all people", title_justify="left")
    table.add_column("people drawn", justify="right")
    for low, high in PAIRS:
        table.add_column(f"{low} – {high} pairs" if high < 10**9 else f"{low} and more")
    for people in options.people:
        table.add_row(str(people), *coverage(part, people, options.draws))
    console.print(table)


def coverage(part: Embedded, people: int, draws: int) -> list[str]:
    labels = np.unique(part.data.labels[part.data.labels >= 0])
    truth = [each.similarity for each in calibrate([part], replicates=1).impostor]
    found: list[tuple[int, bool]] = []
    for draw in range(draws):
        chosen = np.random.default_rng(draw).permutation(labels)[:people]
        rows = np.flatnonzero(np.isin(part.data.labels, chosen))
        drawn = Embedded("drawn", part.data.take(rows), part.crops.take(rows))
        fitted = calibrate([drawn], replicates=100).impostor
        found += [
            (each.lookalikes, each.high >= true) for each, true in zip(fitted, truth, strict=True)
        ]
    return [share([held for pairs, held in found if low <= pairs <= high]) for low, high in PAIRS]


def share(held: list[bool]) -> str:
    return f"{100 * np.mean(held):.0f} % of {len(held)}" if held else "–"


if __name__ == "__main__":
    main()
