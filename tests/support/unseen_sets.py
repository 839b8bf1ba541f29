"""Sets of people whom a model never saw, and what can be tried with them in open-set trials."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from support.crop_cache import cached_crops
from support.open_set_trials import (
    Comparison,
    Draws,
    Enrolments,
    bootstrap_copies,
    draw,
    enrolments,
    may_enrol,
)

from edge_reid.core.types import Vectors
from trainer.data.datasets import read_source
from trainer.scoring.evaluate import read_split
from trainer.scoring.ranking_metrics import People
from trainer.scoring.track_means import mean_tracks, two_views

SIZES = (1, 10, 100)
"""People enrolled."""
SHOTS = (1, 5)
"""Templates of each, at most."""
_GALLERIES = {1: 0, 10: 400, 100: 100}
"""Drawn for the figures, by people enrolled; of one person all are tried."""
_REDRAWN = {1: 0, 10: 60, 100: 20}
"""Drawn for each replicate of the bootstrap."""
SEED = 0


@dataclass(frozen=True, slots=True, eq=False)
class UnseenSet:
    """A data set: its people, numbered from 0; `sizes` are those of the sets it is made of."""

    name: str
    people: People
    sizes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Case:
    """So many people enrolled, with so many templates each at most."""

    enrolled: int
    shots: int


def unseen_set(model: Path, data: Path) -> UnseenSet:
    """The people of a set as the model sees them; without cameras two halves stand for two."""
    split = read_split(data)
    crops = cached_crops(model, split.data.paths)
    known = np.flatnonzero(split.data.labels >= 0)
    _, labels = np.unique(split.data.labels[known], return_inverse=True)
    cameras = split.data.cameras[known] if split.data.has_cameras else two_views(labels)
    chosen = crops.take(known)
    name = data.resolve().parent.name if data.suffix == ".csv" else data.resolve().name
    people = People(chosen.rows, labels, cameras, chosen.qualities)
    return UnseenSet(name, people, (int(labels.max()) + 1,))


def together(sets: Sequence[UnseenSet]) -> UnseenSet:
    """All people of all sets."""
    sizes = tuple(size for unseen in sets for size in unseen.sizes)
    starts = np.cumsum([0, *sizes[:-1]])
    people = People(
        np.concatenate([unseen.people.embeddings for unseen in sets]),
        np.concatenate([p.people.labels + start for p, start in zip(sets, starts, strict=True)]),
        np.concatenate([unseen.people.cameras for unseen in sets]),
        np.concatenate([unseen.people.qualities for unseen in sets]),
    )
    return UnseenSet("together", people, sizes)


def cohort_of(model: Path, data: Path) -> Vectors:
    """One track of each person."""
    source = read_source(data)
    crops = cached_crops(model, source.paths)
    cameras = np.zeros_like(source.labels)
    return mean_tracks(People(crops.rows, source.labels, cameras, crops.qualities)).embeddings


def cases(unseen: UnseenSet) -> Iterator[tuple[Case, Enrolments]]:
    """What can be tried with the people of a set."""
    for shots in SHOTS:
        enrolled = enrolments(unseen.people, shots, SEED)
        for count in SIZES:
            if may_enrol(unseen.people, enrolled, count):
                yield Case(count, shots), enrolled


def galleries(unseen: UnseenSet, enrolled: Enrolments, case: Case, replicate: int | None) -> Draws:
    """Drawn from the people there are, or from those of a replicate of the bootstrap."""
    rng = np.random.default_rng([SEED, case.enrolled, 0 if replicate is None else 1 + replicate])
    if replicate is None:
        everybody = np.ones(sum(unseen.sizes))
        return draw(enrolled, everybody, case.enrolled, _GALLERIES[case.enrolled], rng)
    copies = bootstrap_copies(unseen.sizes, rng)
    return draw(enrolled, copies, case.enrolled, _REDRAWN[case.enrolled], rng)


def comparisons(case: Case, enrolled: Enrolments, way: Comparison) -> int:
    """That a probe makes: with every template, or with every person."""
    return round(case.enrolled * (1 if way.per_person else enrolled.shots))
