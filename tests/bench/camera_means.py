"""What taking a camera's mean out of embeddings would bring, which no agent does.

    PYTHONPATH=tests python tests/bench/camera_means.py pku_reid/labels.csv cuhk03_val --models M…

DATA are labelled sets with cameras.  Half of each set's people, drawn anew for every try, show
what each camera's embeddings have in common (its mean, every person once); the others are looked
up across cameras with it taken out of query and gallery, and as they are.  Of few people the mean
is believed less, n / (n + 5).  A device would learn it from whoever passes, without names.

The second table is a device's: ten of the others are enrolled, and the threshold is that of the
model's manifest for an FPIR of 1 %.  The mean is taken out of probes alone, as where templates are
photos of no known camera, or out of templates, too.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from support.open_set_trials import DEVICE, DEVICE_FUSED, draw, enrolments, scored, tried
from support.unseen_sets import SHOTS, UnseenSet, unseen_set

from edge_reid.core.manifest import load_embedding_manifest
from edge_reid.matching.gallery_thresholds import GalleryThresholds
from edge_reid.matching.vectors import unit_rows
from trainer.scoring.ranking_metrics import FloatArray, IntArray, People, rank_gallery

_SEEN = (0, 5, 10, 20, 50)
"""People whom each camera has seen; 0: embeddings as they are."""
_TRIES = 20
_BELIEVED_HALF = 5
_SEEN_BY_A_DEVICE = 20
_ENROLLED = 10
_GALLERIES = 20
"""Drawn at every try."""
_FPIR = 0.01


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, nargs="+", help="labelled sets with cameras")
    parser.add_argument("--models", type=Path, nargs="+", required=True, help=".tflite files")
    options = parser.parse_args()
    for model in options.models:
        sets = [unseen_set(model, place) for place in options.data]
        Console().print(ranks(model, sets))
        Console().print(decisions(model, sets))


def ranks(model: Path, sets: Sequence[UnseenSet]) -> Table:
    """Rank-1 and mAP of each set, the mean of all tries."""
    table = Table(title=f"{model.stem}: rank-1 / mAP in %", title_justify="left")
    for name in ("set", "people", *(f"{count} seen" for count in _SEEN)):
        table.add_column(name, justify="right")
    for unseen in sets:
        scores = [mean_scores(unseen.people, seen) for seen in _SEEN]
        shown = (f"{rank1:.1f} / {precision:.1f}" for rank1, precision in scores)
        table.add_row(unseen.name, str(sum(unseen.sizes)), *shown)
    return table


def mean_scores(everybody: People, seen: int) -> tuple[float, float]:
    """Rank-1 and mAP in percent; the same people are drawn for every number of people seen."""
    rng = np.random.default_rng(1)
    tries = []
    for _ in range(_TRIES):
        asked, plain = without_means(everybody, rng, seen)
        people = replace(asked, embeddings=plain)
        ranking = rank_gallery(people, people)
        tries.append((ranking.rank(1), ranking.mean_average_precision))
    rank1, precision = np.mean(tries, axis=0) * 100
    return float(rank1), float(precision)


def decisions(model: Path, sets: Sequence[UnseenSet]) -> Table:
    """FPIR met and FNIR of each set and number of templates, the mean of all tries."""
    title = f"{model.stem}: FPIR met / FNIR in %, {_ENROLLED} enrolled, {_SEEN_BY_A_DEVICE} seen"
    table = Table(title=title, title_justify="left")
    for name in ("set", "templates", "as it is", "out of probes", "and of templates"):
        table.add_column(name, justify="right")
    thresholds = GalleryThresholds.of(load_embedding_manifest(model))
    for unseen in sets:
        for shots in SHOTS:
            rng = np.random.default_rng(1)
            tries = [list(decided(unseen.people, thresholds, shots, rng)) for _ in range(_TRIES)]
            found = np.mean(tries, axis=0) * 100
            shown = (f"{fpir:.2f} / {fnir:.1f}" for fpir, fnir in found)
            table.add_row(unseen.name, str(shots), *shown)
    return table


def decided(
    everybody: People, thresholds: GalleryThresholds, shots: int, rng: np.random.Generator
) -> Iterator[tuple[float, float]]:
    """FPIR met and FNIR as it is, with means out of probes, and out of both."""
    asked, plain = without_means(everybody, rng, _SEEN_BY_A_DEVICE)
    asked = replace(asked, labels=np.unique(asked.labels, return_inverse=True)[1])
    enrolled = enrolments(asked, shots)
    way = DEVICE_FUSED if thresholds.fuse else DEVICE
    galleries = draw(enrolled, np.ones(asked.labels.max() + 1), _ENROLLED, _GALLERIES, rng)
    threshold = thresholds.threshold(_FPIR, [round(enrolled.shots)] * _ENROLLED)
    for probes, templates in (
        (asked.embeddings, asked.embeddings),
        (plain, asked.embeddings),
        (plain, plain),
    ):
        made = scored(replace(asked, embeddings=probes), enrolled, way, templates)
        outcome = tried(made, galleries)
        yield outcome.fpir(threshold), outcome.fnir(threshold)


def without_means(
    everybody: People, rng: np.random.Generator, seen: int
) -> tuple[People, FloatArray]:
    """Half of the people as they are, and (N, D) unit rows of them less their cameras' means.

    The means are those of `seen` of the other half.
    """
    names = rng.permutation(np.unique(everybody.labels))
    passing, asked = names[: len(names) // 2], names[len(names) // 2 :]
    people = everybody.take(np.isin(everybody.labels, asked))
    rows = people.embeddings.copy()
    reference = everybody.embeddings.mean(axis=0)
    for camera in np.unique(people.cameras) if seen else ():
        means = person_means(everybody, camera, passing)[:seen]
        if len(means):
            believed = len(means) / (len(means) + _BELIEVED_HALF)
            rows[people.cameras == camera] -= believed * (means.mean(axis=0) - reference)
    return people, unit_rows(rows)


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
