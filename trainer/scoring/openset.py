"""Open-set identification: is this somebody enrolled, and who? FNIR at a chosen FPIR.

As in ISO/IEC 19795-1:2021 (3.22 and 3.23) and NIST's one-to-many face tests (Grother, Ngan &
Hanaoka, NISTIR 8271), for the threshold T and rank 1:

* FPIR(T): share of probes of people who were never enrolled whose best similarity is at or above T.
* FNIR(T): share of probes of enrolled people whose right identity is not at rank 1 at or above T.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from edge_reid.core.errors import TrainingError
from edge_reid.matching.vectors import unit_mean
from trainer.scoring.ranking_metrics import FloatArray, IntArray, People
from trainer.scoring.track_means import mean_tracks

Fusion: TypeAlias = Literal["best", "mean"]
"""How several templates of an identity count: by the best of their similarities (as the device
does), or by the similarity to their mean."""
Probe: TypeAlias = Literal["crop", "track"]
"""What is looked up: one picture, or a track of a person under one camera (as the device does)."""

FPIRS = (0.01, 0.001)
FALSE_POSITIVES_BEHIND = 10
"""False positives that a rate must let one expect: ten make it known to a third (1 / √10)."""
ENROLLED_SHARE = 1 / 3
"""Of the people, by default: more never-enrolled ones make smaller rates measurable."""
DRAWS = 10
_CHUNK = 2048


@dataclass(frozen=True, slots=True)
class Setup:
    """How an open-set trial is made.

    Attributes:
        shots: templates per enrolled person at most; fewer where there are not so many pictures.
        fusion: how several templates of one person count.
        probe: what is looked up.
        enrolled: number of enrolled people; None: a third of them.
    """

    shots: int = 1
    fusion: Fusion = "best"
    probe: Probe = "track"
    enrolled: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """Similarities of one draw of who is enrolled.

    Attributes:
        own: (M,) float32, similarity of each mated probe to its own identity.
        rival: (M,) float32, its best similarity to any other identity; -inf when there is none.
        impostor: (U,) float32, best similarity of each never-enrolled probe to any identity.
        identities: number of people enrolled.
        templates: templates in the gallery.
    """

    own: FloatArray
    rival: FloatArray
    impostor: FloatArray
    identities: int
    templates: int

    def fpir(self, threshold: float) -> float:
        """Share of impostor probes taken for somebody, in [0, 1].

        >>> some = np.array([0.9, 0.4], np.float32)
        >>> trial = Trial(own=some, rival=np.array([0.1, 0.6]), impostor=np.array([0.5, 0.2]),
        ...               identities=2, templates=2)
        >>> trial.fpir(0.45), trial.fnir(0.45)  # 0.5 passes; of the enrolled, 0.4 is too low
        (0.5, 0.5)
        """
        return float(np.mean(self.impostor >= threshold))

    def fnir(self, threshold: float) -> float:
        """Share of mated probes not given their right identity, in [0, 1]; see `fpir`.

        A tie with a rival is a miss.
        """
        return float(1 - np.mean((self.own >= threshold) & (self.own > self.rival)))

    def threshold_at(self, fpir: float) -> float:
        """The smallest threshold whose FPIR is at most `fpir`.

        >>> impostor = np.linspace(0, 0.999, 1000, dtype=np.float32)
        >>> trial = Trial(impostor, impostor, impostor, identities=1, templates=1)
        >>> round(trial.threshold_at(0.01), 3)  # ten of a thousand may pass: 0.990 … 0.999
        0.989

        Raises:
            TrainingError: the never-enrolled probes are too few to show such a rate.
        """
        if len(self.impostor) < impostors_needed(fpir):
            raise TrainingError(_refusal(fpir, len(self.impostor)))
        accepted = math.floor(round(fpir * len(self.impostor), 6))
        first_refused = np.sort(self.impostor)[::-1][accepted]
        return float(np.nextafter(first_refused, np.float32(np.inf)))


def impostors_needed(fpir: float) -> int:
    """Probes of never-enrolled people without which a rate cannot be shown.

    >>> impostors_needed(0.01)
    1000
    """
    return math.ceil(round(FALSE_POSITIVES_BEHIND / fpir, 6))


def _refusal(fpir: float, found: int) -> str:
    return (
        f"FPIR {100 * fpir:g} %: expected at least {impostors_needed(fpir):,} probes of "
        f"never-enrolled people, got {found:,}; use more people or pictures, or a larger rate"
    )


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """FNIR where the FPIR is at most `fpir`: means over the draws, and the standard deviation."""

    fpir: float
    threshold: float
    fnir: float
    fnir_spread: float


@dataclass(frozen=True, slots=True)
class OpenSet:
    """The outcome of the trials of one setup.

    Attributes:
        identities, templates, mated, impostors: of the first draw: people enrolled, templates,
            and probes of people who are and who are not.
        points: at those of `FPIRS` that the probes can show.
        refused: why the others are not there.
    """

    setup: Setup
    draws: int
    identities: int
    templates: int
    mated: int
    impostors: int
    points: tuple[OperatingPoint, ...]
    refused: tuple[str, ...]


def setups(shots: Sequence[int]) -> list[Setup]:
    """Crops and tracks, looked up among so many templates per person, one after the other.

    >>> [(setup.shots, setup.fusion) for setup in setups([1, 5]) if setup.probe == "track"]
    [(1, 'best'), (5, 'best'), (5, 'mean')]
    """
    probes: tuple[Probe, ...] = ("crop", "track")
    return [
        Setup(shots=count, fusion=fusion, probe=probe)
        for probe in probes
        for count in shots
        for fusion in _fusions(count)
    ]


def _fusions(shots: int) -> tuple[Fusion, ...]:
    return ("best",) if shots == 1 else ("best", "mean")


def open_set(people: People, setup: Setup) -> OpenSet:
    """Draw trials and read FNIR off at `FPIRS`.

    Raises:
        TrainingError: as `open_set_trials`.
    """
    trials = open_set_trials(people, setup)
    first = trials[0]
    fewest = min(len(trial.impostor) for trial in trials)
    shown = [fpir for fpir in FPIRS if fewest >= impostors_needed(fpir)]
    return OpenSet(
        setup,
        len(trials),
        first.identities,
        first.templates,
        len(first.own),
        len(first.impostor),
        tuple(fnir_at_fpir(trials, fpir) for fpir in shown),
        tuple(_refusal(fpir, fewest) for fpir in FPIRS if fpir not in shown),
    )


def fnir_at_fpir(trials: Sequence[Trial], fpir: float) -> OperatingPoint:
    """FNIR at the smallest threshold that keeps the FPIR of each draw at or below `fpir`.

    >>> impostor = np.linspace(0, 0.999, 1000, dtype=np.float32)
    >>> own, rival = np.array([0.995, 0.5], np.float32), np.zeros(2, np.float32)
    >>> fnir_at_fpir([Trial(own, rival, impostor, identities=2, templates=2)], 0.01).fnir
    0.5

    Raises:
        TrainingError: the never-enrolled probes are too few to show such a rate.
    """
    thresholds = [trial.threshold_at(fpir) for trial in trials]
    misses = [trial.fnir(t) for trial, t in zip(trials, thresholds, strict=True)]
    return OperatingPoint(
        fpir, float(np.mean(thresholds)), float(np.mean(misses)), float(np.std(misses))
    )


def open_set_trials(
    people: People, setup: Setup, *, draws: int = DRAWS, seed: int = 0
) -> list[Trial]:
    """Draw who is enrolled, several times over; the same seed gives the same draws.

    Each enrolled person is watched by one camera, drawn at random: its pictures are the probes,
    and templates are drawn from those of the other cameras. Who was seen by one camera only is
    never enrolled. Setups that enrol as many people enrol the same ones.

    Args:
        people: unit embeddings; negative labels (junk, distractors) take no part. Where cameras
            are not known give `track_means.two_views` instead.
        setup: templates and probes.
        draws: how often.
        seed: of all draws.

    Raises:
        TrainingError: too few people can be enrolled, or nobody is left who is not.
    """
    people = people.take(people.labels >= 0)
    probes = mean_tracks(people) if setup.probe == "track" else people
    everybody, candidates = np.unique(people.labels), _seen_twice(people)
    count = round(ENROLLED_SHARE * len(everybody)) if setup.enrolled is None else setup.enrolled
    if not 0 < count <= min(len(candidates), len(everybody) - 1):
        raise TrainingError(
            f"open set: expected more than {max(count, 1)} people, {max(count, 1)} of them seen by "
            f"two cameras, got {len(everybody)} and {len(candidates)}; add people, or enrol fewer"
        )
    trials: list[Trial] = []
    for draw in range(draws):
        rng = np.random.default_rng([seed, draw])
        enrolled = rng.permutation(candidates)[:count]
        trials.append(_trial(people, probes, enrolled, setup, rng))
    return trials


def _seen_twice(people: People) -> IntArray:
    """Labels of the people seen by two cameras or more, rising.

    >>> once, twice = np.array([1, 2, 2]), np.array([1, 1, 2])
    >>> _seen_twice(People(np.eye(3, dtype=np.float32), once, twice, np.ones(3))).tolist()
    [2]
    """
    views = np.unique(np.stack([people.labels, people.cameras]), axis=1)
    labels, cameras = np.unique(views[0], return_counts=True)
    return np.asarray(labels[cameras > 1], np.int64)


def _trial(
    people: People, probes: People, enrolled: IntArray, setup: Setup, rng: np.random.Generator
) -> Trial:
    watching = [rng.choice(np.unique(people.cameras[people.labels == who])) for who in enrolled]
    templates: list[IntArray] = []
    mated = np.full(len(probes.labels), -1)
    for number, (who, camera) in enumerate(zip(enrolled, watching, strict=True)):
        elsewhere = np.flatnonzero((people.labels == who) & (people.cameras != camera))
        templates.append(rng.permutation(elsewhere)[: setup.shots])
        mated[(probes.labels == who) & (probes.cameras == camera)] = number
    impostor = ~np.isin(probes.labels, enrolled)
    gallery = _Gallery.of(people.embeddings, templates, setup.fusion)
    own, rival = gallery.own_and_rival(probes.embeddings[mated >= 0], mated[mated >= 0])
    best = gallery.best(probes.embeddings[impostor])
    return Trial(own, rival, best, len(enrolled), sum(map(len, templates)))


@dataclass(frozen=True, slots=True, eq=False)
class _Gallery:
    """Templates (T, D), those of an identity side by side, beginning at `starts` (N,)."""

    vectors: FloatArray
    starts: IntArray

    @classmethod
    def of(cls, embeddings: FloatArray, templates: Sequence[IntArray], fusion: Fusion) -> _Gallery:
        if fusion == "mean":
            means = np.stack([unit_mean(embeddings[rows]) for rows in templates])
            return cls(means, np.arange(len(templates)))
        sizes = [len(rows) for rows in templates]
        return cls(embeddings[np.concatenate(templates)], np.cumsum([0, *sizes[:-1]]))

    def best(self, probes: FloatArray) -> FloatArray:
        """Best similarity of each probe to any identity."""
        return _joined(part.max(axis=1) for part in self._similarities(probes))

    def own_and_rival(self, probes: FloatArray, who: IntArray) -> tuple[FloatArray, FloatArray]:
        """Similarity of each probe to its own identity, and to the best of the others."""
        similarity = _joined(self._similarities(probes))
        rows = np.arange(len(who))
        own = similarity[rows, who]
        similarity[rows, who] = -np.inf
        return own, similarity.max(axis=1)

    def _similarities(self, probes: FloatArray) -> Iterator[FloatArray]:
        """(n, N) similarities to identities, some probes at a time."""
        for start in range(0, len(probes), _CHUNK):
            part = probes[start : start + _CHUNK] @ self.vectors.T
            yield np.maximum.reduceat(part, self.starts, axis=1)


def _joined(parts: Iterable[FloatArray]) -> FloatArray:
    return np.concatenate(list(parts))
