"""What taking a camera's mean out of embeddings would bring, which no agent does yet.

    PYTHONPATH=tests python tests/bench/camera_means.py pku_reid/labels.csv cuhk03_val --models M…

DATA are labelled sets with cameras.  Half of each set's people, drawn anew for every try, show
what each camera's embeddings have in common (its mean, every person once); the others are looked
up across cameras with it taken out of query and gallery, and as they are.  Of few people the mean
is believed less, n / (n + 5).  A device would learn it from whoever passes, without names.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from support.unseen_sets import unseen_set

from edge_reid.matching.vectors import unit_rows
from trainer.scoring.ranking_metrics import FloatArray, IntArray, People, rank_gallery

_SEEN = (0, 5, 10, 20, 50)
"""People whom each camera has seen; 0: embeddings as they are."""
_TRIES = 20
_BELIEVED_HALF = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, nargs="+", help="labelled sets with cameras")
    parser.add_argument("--models", type=Path, nargs="+", required=True, help=".tflite files")
    options = parser.parse_args()
    for model in options.models:
        table = Table(title=f"{model.stem}: rank-1 / mAP in %", title_justify="left")
        for name in ("set", "people", *(f"{count} seen" for count in _SEEN)):
            table.add_column(name, justify="right")
        for place in options.data:
            table.add_row(*row(model, place))
        Console().print(table)


def row(model: Path, place: Path) -> tuple[str, ...]:
    """Scores of one set, the mean of all tries."""
    unseen = unseen_set(model, place)
    scores = [mean_scores(unseen.people, seen) for seen in _SEEN]
    people = sum(unseen.sizes)
    shown = (f"{rank1:.1f} / {precision:.1f}" for rank1, precision in scores)
    return (unseen.name, str(people), *shown)


def mean_scores(everybody: People, seen: int) -> tuple[float, float]:
    """Rank-1 and mAP in percent; the same people are drawn for every number of people seen."""
    rng = np.random.default_rng(1)
    tries = [scored(everybody, rng, seen) for _ in range(_TRIES)]
    rank1, precision = np.mean(tries, axis=0) * 100
    return float(rank1), float(precision)


def scored(everybody: People, rng: np.random.Generator, seen: int) -> tuple[float, float]:
    names = rng.permutation(np.unique(everybody.labels))
    passing, asked = names[: len(names) // 2], names[len(names) // 2 :]
    shown = np.isin(everybody.labels, asked)
    rows, cameras = everybody.embeddings[shown], everybody.cameras[shown]
    reference = everybody.embeddings.mean(axis=0)
    for camera in np.unique(cameras) if seen else ():
        means = person_means(everybody, camera, passing)[:seen]
        if len(means):
            believed = len(means) / (len(means) + _BELIEVED_HALF)
            rows[cameras == camera] -= believed * (means.mean(axis=0) - reference)
    people = replace(everybody.take(shown), embeddings=unit_rows(rows))
    ranking = rank_gallery(people, people)
    return ranking.rank(1), ranking.mean_average_precision


def person_means(everybody: People, camera: int, names: IntArray | Sequence[int]) -> FloatArray:
    """(P, D) mean embeddings, of each of `names` whom the camera has seen."""
    there = everybody.cameras == camera
    return np.array(
        [
            everybody.embeddings[there & (everybody.labels == name)].mean(axis=0)
            for name in names
            if np.any(there & (everybody.labels == name))
        ]
    )


if __name__ == "__main__":
    main()
