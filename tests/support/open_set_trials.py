"""Open-set trials in which every way of comparing sees the same people, templates and probes.

A person under one camera is looked up (`mean_tracks`), among templates of one crop each of the
other cameras; see `trainer.scoring.openset` for the protocol and its terms. Here an enrolment is
drawn before it is compared, so that ways of comparing differ by nothing else, and people can be
drawn anew for an interval.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from support.score_norm import plain

from edge_reid.core.types import Vectors
from edge_reid.matching.fusion import fuse
from trainer.scoring.ranking_metrics import FloatArray, IntArray, People
from trainer.scoring.track_means import mean_tracks

DoubleArray: TypeAlias = npt.NDArray[np.float64]
Fusion: TypeAlias = Literal["nearest", "mean", "weighted mean", "nearest and mean", "larger"]
"""Similarity to the nearest template, to the mean of all (unweighted, or by quality as the crops of
a track), half and half to the nearest and to the weighted mean, or to the nearest or the unweighted
mean, whichever is larger."""
Scores: TypeAlias = Callable[[Vectors, Vectors], Vectors]

_PICKS = 4
"""Draws of templates for each person and camera."""
_KEPT = 0.1
"""Of the impostors' comparisons, where people are drawn anew."""
_LEFT = 20
"""People who must be left to be impostors."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A way of comparing a track with a person.

    Attributes:
        score: of unit rows with unit rows, (P, T) in [-1, 1]; larger is more alike.
        fusion: how several templates of a person count.
        exponent: of the qualities that weigh the crops of a track; 1 is the device's.
        per_person: thresholds come from comparisons with a person, who has so many templates,
            rather than from comparisons with one template, of which so many are made.
    """

    name: str
    score: Scores = plain
    fusion: Fusion = "nearest"
    exponent: float = 1.0
    per_person: bool = False


DEVICE = Comparison("similarity, as the device compares templates")
DEVICE_FUSED = Comparison("as the device compares people", fusion="larger", per_person=True)


@dataclass(frozen=True, slots=True, eq=False)
class Enrolments:
    """M ways to enrol somebody: whose templates, and which camera is left to see them.

    Attributes:
        labels: (M,) int64, who.
        tracks: (M,) int64, the track that is the probe of it.
        templates: M arrays of rows, the crops enrolled.
    """

    labels: IntArray
    tracks: IntArray
    templates: tuple[IntArray, ...]

    @property
    def shots(self) -> float:
        """Templates of a person, on average."""
        return float(np.mean([len(rows) for rows in self.templates]))


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """Every track compared with every enrolment: (T, M) float32, and whose they are."""

    similarity: FloatArray
    track_labels: IntArray
    enrolments: Enrolments


@dataclass(frozen=True, slots=True, eq=False)
class Draws:
    """Galleries drawn: (G, n) enrolments of different people each, and (G,) what each weighs."""

    galleries: IntArray
    weights: DoubleArray
    copies: DoubleArray
    """(labels,) how often each person was drawn; a probe of theirs weighs so much."""


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What the probes of all draws gave.

    Attributes:
        own, rival, mated_weights, mated: (A,) of enrolled people; similarity to themselves and to
            the most alike of the others, -1 when there is none; who they are.
        impostor, impostor_weights, pairs: (B,) of all others, the most alike first; similarity to
            the most alike enrolled, and a number for the two people it compares.
    """

    own: FloatArray
    rival: FloatArray
    mated_weights: DoubleArray
    mated: IntArray
    impostor: FloatArray
    impostor_weights: DoubleArray
    pairs: IntArray
    impostor_total: float
    """Weight of all impostors, whether they are kept here or not."""

    def fpir(self, threshold: float) -> float:
        """Share of impostors taken for somebody."""
        return float(self.impostor_weights[self.impostor >= threshold].sum() / self.impostor_total)

    def fnir(self, threshold: float) -> float:
        """Share of probes of enrolled people that are not named rightly."""
        named = (self.own >= threshold) & (self.own > self.rival)
        return 1 - float(np.average(named, weights=self.mated_weights))

    def threshold_at(self, fpir: float) -> float:
        """The least threshold at which at most this share of impostors passes."""
        passed = np.cumsum(self.impostor_weights)
        first_refused = np.searchsorted(
            passed, fpir * self.impostor_total * (1 + 1e-9), side="right"
        )
        similarity = self.impostor[min(first_refused, len(passed) - 1)]
        return float(np.nextafter(similarity, np.float32(np.inf)))

    def pairs_at(self, threshold: float) -> int:
        """Different pairs of people that are taken for each other."""
        return len(np.unique(self.pairs[self.impostor >= threshold]))


class Reweighing:
    """What galleries of one person give when each person is there more than once, or not at all.

    Only the most alike of the impostors are kept, `_KEPT`: for rates far below that.
    """

    def __init__(self, outcome: Outcome, people: int) -> None:
        bins = np.bincount(outcome.pairs, outcome.impostor_weights, people * people)
        self._pair_weights = bins.reshape(people, people)
        kept = slice(0, math.ceil(_KEPT * len(outcome.impostor)))
        self._outcome = outcome
        self._impostor = outcome.impostor[kept]
        self._weights = outcome.impostor_weights[kept]
        self._pairs = outcome.pairs[kept]
        self._probes, self._enrolled = np.divmod(self._pairs, people)

    def __call__(self, copies: DoubleArray) -> Outcome:
        """The outcome when each person is there so many times, (people,)."""
        return replace(
            self._outcome,
            mated_weights=self._outcome.mated_weights * copies[self._outcome.mated],
            impostor=self._impostor,
            impostor_weights=self._weights * copies[self._probes] * copies[self._enrolled],
            pairs=self._pairs,
            impostor_total=float(copies @ self._pair_weights @ copies),
        )


def enrolments(people: People, shots: int, seed: int = 0) -> Enrolments:
    """Up to `shots` templates of other cameras, drawn for every person and camera."""
    rng = np.random.default_rng(seed)
    tracks = mean_tracks(people)
    chosen = [
        (who, track, rng.permutation(elsewhere)[:shots])
        for track, (who, camera) in enumerate(zip(tracks.labels, tracks.cameras, strict=True))
        if len(elsewhere := _elsewhere(people, who, camera))
        for _ in range(_PICKS)
    ]
    labels, numbers, templates = zip(*chosen, strict=True)
    return Enrolments(np.array(labels), np.array(numbers), templates)


def scored(
    people: People,
    enrolled: Enrolments,
    comparison: Comparison,
    templates: FloatArray | None = None,
) -> Scored:
    """Compare every track with every enrolment.

    Args:
        people: whose tracks are looked up.
        enrolled: rows of the same people.
        comparison: how.
        templates: (N, D) unit rows of the same crops where they are enrolled; None: the same.
    """
    crops_enrolled = people.embeddings if templates is None else templates
    weighted = People(
        people.embeddings, people.labels, people.cameras, people.qualities**comparison.exponent
    )
    tracks = mean_tracks(weighted)
    parts = []
    if comparison.fusion.startswith("nearest") or comparison.fusion == "larger":
        crops = comparison.score(tracks.embeddings, crops_enrolled)
        columns = [crops[:, rows].max(axis=1) for rows in enrolled.templates]
        parts.append(np.stack(columns, axis=1))
    if comparison.fusion != "nearest":
        unweighted = comparison.fusion in ("mean", "larger")
        qualities = np.ones_like(people.qualities) if unweighted else people.qualities
        fused = [fuse(crops_enrolled[rows], qualities[rows]) for rows in enrolled.templates]
        parts.append(comparison.score(tracks.embeddings, np.stack(fused)))
    if comparison.fusion == "larger":
        parts = [np.max(parts, axis=0)]
    similarity = np.mean(parts, axis=0, dtype=np.float32)
    return Scored(similarity, tracks.labels, enrolled)


def may_enrol(people: People, enrolled: Enrolments, count: int) -> bool:
    """Whether there are so many people, and enough others."""
    everybody = len(np.unique(people.labels))
    return count <= min(len(np.unique(enrolled.labels)), everybody - _LEFT)


def draw(
    enrolled: Enrolments, copies: DoubleArray, count: int, galleries: int, rng: np.random.Generator
) -> Draws:
    """Galleries of `count` people; of one person: every enrolment there is, each person's as one.

    Args:
        enrolled: to draw from.
        copies: (labels,) how often each person is there, from a bootstrap or all ones.
        count: people in a gallery.
        galleries: how many to draw.
        rng: of the draws.
    """
    options = np.bincount(enrolled.labels, minlength=len(copies))
    if count == 1:
        everyone = np.flatnonzero(copies[enrolled.labels] > 0)
        weights = (copies / np.maximum(options, 1))[enrolled.labels[everyone]]
        return Draws(everyone[:, None], weights, copies)
    first = np.cumsum(options) - options  # enrolments are in the order of their labels
    there = np.where(options > 0, copies, 0.0)
    fitting = min(count, int(np.count_nonzero(there)))
    chances = there / there.sum()
    who = np.stack([rng.choice(len(copies), fitting, False, chances) for _ in range(galleries)])
    chosen = first[who] + np.floor(rng.random(who.shape) * options[who]).astype(np.int64)
    return Draws(chosen, np.ones(galleries), copies)


def tried(made: Scored, draws: Draws) -> Outcome:
    """Look every probe up in every gallery drawn."""
    looked = [
        _looked_up(made, gallery, draws.copies, weight)
        for gallery, weight in zip(draws.galleries, draws.weights, strict=True)
    ]
    joined = [np.concatenate(parts) for parts in zip(*looked, strict=True)]
    order = np.argsort(-joined[4], kind="stable")
    own, rival, mated_weights, mated, *impostors = joined
    impostor, weights, pairs = (part[order] for part in impostors)
    return Outcome(own, rival, mated_weights, mated, impostor, weights, pairs, weights.sum())


def bootstrap_copies(people: Sequence[int], rng: np.random.Generator) -> DoubleArray:
    """How often each is drawn when the people of each set are drawn with replacement."""
    drawn = [np.bincount(rng.integers(0, size, size), minlength=size) for size in people]
    return np.concatenate(drawn).astype(np.float64)


def _elsewhere(people: People, who: int, camera: int) -> IntArray:
    return np.flatnonzero((people.labels == who) & (people.cameras != camera))


def _looked_up(
    made: Scored, gallery: IntArray, copies: DoubleArray, weight: float
) -> tuple[np.ndarray, ...]:
    names = made.enrolments.labels[gallery]
    similarity = made.similarity[:, gallery]
    rows = made.enrolments.tracks[gallery]
    numbers = np.arange(len(gallery))
    own = similarity[rows, numbers]
    others = similarity[rows]
    others[numbers, numbers] = -1.0
    is_enrolled = np.zeros(len(copies), bool)
    is_enrolled[names] = True
    probes = np.flatnonzero(~is_enrolled[made.track_labels] & (copies[made.track_labels] > 0))
    whose = made.track_labels[probes]
    nearest = similarity[probes].argmax(axis=1)
    return (
        own,
        others.max(axis=1),
        np.full(len(own), weight),
        names,
        similarity[probes, nearest],
        weight * copies[whose],
        whose * len(copies) + names[nearest],
    )
