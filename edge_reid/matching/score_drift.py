"""Are impostors at a camera as alike to whoever is enrolled as those the model was measured on?

What is compared: the best similarities of tracks that were decided unknown, as a histogram, and the
distribution that the manifest's impostor quantiles give for this gallery, of those below the
threshold. Similarities of a camera are taken to be those of the manifest, all moved by the same.

How sure it is: the share of n tracks that reach a similarity is off by more than

    sqrt(log(2 / alpha) / (2 n))

at any similarity in at most a share alpha of cases (Dvoretzky, Kiefer & Wolfowitz, Annals of
Mathematical Statistics 27, 1956, with the constant of Massart, Annals of Probability 18, 1990). It
holds for tracks that know nothing of each other: somebody who walks by a hundred times is not that.
To this comes the manifest's own interval of each quantile. The shift is the one of least distance
(Wolfowitz, Annals of Mathematical Statistics 28, 1957).

Who is enrolled and not recognised is among the unknown as well. How many that may be is taken from
the tracks that were recognised and from the model's genuine quantiles. By so much the interval is
widened; where they may be all of them, nothing is said.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edge_reid.core.errors import ModelError
from edge_reid.core.manifest import EmbeddingManifest
from edge_reid.matching.gallery_thresholds import GalleryThresholds

SCORE_BOUNDS = tuple(step / 100 for step in range(101))
"""Upper ends of the classes of best similarities."""
MOST_SHIFT = 0.3
"""Of the similarities of a camera: more is another model, or no picture of people."""

_Shares: TypeAlias = NDArray[np.float64]
_MOST_NAMED = 0.5
"""Where more impostors than this would get a name, too little is seen of them to judge."""
_STEP = 0.01
_STEPS = round(MOST_SHIFT / _STEP)
_GRID = np.array(SCORE_BOUNDS)
_WIDE = np.arange(-MOST_SHIFT, 1.0 + MOST_SHIFT + _STEP / 2, _STEP)
"""Similarities, and what they may be moved by."""

DriftState: TypeAlias = Literal["none", "higher", "lower"]
"""What the similarities of unknown people have done. `none`: they are within the interval.
`higher`: they are more alike to those enrolled, so that more of them are named than was promised.
`lower`: less, so that the threshold is stricter than it has to be."""


@dataclass(frozen=True, slots=True)
class DriftVerdict:
    """What so many tracks show."""

    state: DriftState
    tracks: int
    """Decided unknown, that it rests on."""
    shift: float
    """Similarity by which impostors are more alike than measured; 0 without a drift."""
    fpir: float
    """Estimated false-positive identification rate at the threshold in force."""


@dataclass(frozen=True, slots=True)
class DriftReport:
    """What is to be said of it."""

    verdict: DriftVerdict
    threshold_advised: float | None
    """That would keep the accepted rate; None while there is no drift, or one is fixed."""
    adapts: bool
    """Whether the threshold is moved."""


@dataclass(frozen=True, slots=True)
class UnknownScores:
    """Tracks that were decided by one threshold over one gallery."""

    counts: tuple[int, ...]
    """Of those decided unknown, by the classes of `SCORE_BOUNDS` and one above."""
    known: int
    """Tracks that got a name meanwhile."""

    @property
    def tracks(self) -> int:
        """Decided unknown."""
        return sum(self.counts)

    @property
    def reaching(self) -> _Shares:
        """(101,) share of those decided unknown that lie above each bound."""
        above = self.tracks - np.cumsum(self.counts)[:-1]
        return np.asarray(above / max(1, self.tracks), np.float64)


class ExpectedScores:
    """What the manifest of a model says of unknown people before one gallery.

    Args:
        manifest: of the embedding model.
        templates_each: how many each person enrolled has.
        threshold: in force; whoever reaches it is not decided unknown.

    Raises:
        ModelError: the manifest gives no thresholds.
    """

    def __init__(
        self, manifest: EmbeddingManifest, templates_each: Sequence[int], threshold: float
    ) -> None:
        tables = GalleryThresholds.of(manifest)
        low, high = _interval(manifest, tables)
        self._threshold = threshold
        self._templates_each = templates_each
        self._missed = missed_share(manifest, threshold)
        self._all = self._curve(tables)
        self._low, self._high = self._curve(low), self._curve(high)
        self._first = first = max(table[0][1] for table in (high.single, *high.several.values()))
        is_rare = self.fpir(0.0) <= _MOST_NAMED
        self._is_known = (first <= _GRID) & (threshold > _GRID) & is_rare

    def judge(
        self, scores: UnknownScores, alpha: float, before: DriftVerdict | None = None
    ) -> DriftVerdict:
        """Whether these tracks are others than expected.

        Args:
            scores: decided by this threshold and gallery.
            alpha: accepted share of verdicts that find a drift where there is none.
            before: on other tracks of the same camera. It stays until these contradict it, or as
                many find a drift, whose shift they know better.
        """
        has_left = self._contradicts(scores, alpha, 0.0)
        if before and not self._contradicts(scores, alpha, before.shift):
            is_still_so = bool(before.shift) and not has_left
            if is_still_so or scores.tracks < before.tracks:
                return before
        shift = self._nearest_shift(scores) if has_left else 0.0
        state: DriftState = "higher" if shift > 0 else "lower" if shift < 0 else "none"
        return DriftVerdict(state, scores.tracks, shift, self.fpir(shift))

    def fpir(self, shift: float) -> float:
        """Share of impostors that get a name at the threshold, when all are so much more alike."""
        return float(np.clip(np.interp(self._threshold - shift, _WIDE, self._all), 0.0, 1.0))

    def _contradicts(self, scores: UnknownScores, alpha: float, shift: float) -> bool:
        """Whether scores are outside of the interval around what a shift would give."""
        margin = math.sqrt(math.log(2.0 / alpha) / (2.0 * max(1, scores.tracks)))
        seen, missed, steps = scores.reaching, self._missed_of(scores), round(shift / _STEP)
        above = seen - margin > missed + (1.0 - missed) * self._at_most(self._high, steps)
        below = seen + margin < (1.0 - missed) * self._below(self._low, steps)
        return bool((above | below)[self._is_known].any())

    def _missed_of(self, scores: UnknownScores) -> float:
        """Most of the unknown that may be people enrolled who were not recognised, as a share."""
        if not scores.known:
            return 0.0
        missed = scores.known * self._missed / max(1e-9, 1.0 - self._missed)
        return min(1.0, missed / max(1, scores.tracks))

    def _nearest_shift(self, scores: UnknownScores) -> float:
        """Of those that are as near as any, the smallest."""
        seen, missed = scores.reaching, self._missed_of(scores)
        distances = {}
        for steps in sorted(range(-_STEPS, _STEPS + 1), key=abs):
            most = missed + (1.0 - missed) * self._at_most(self._all, steps)
            least = (1.0 - missed) * self._below(self._all, steps)
            off = np.maximum(seen - most, least - seen)
            distances[steps * _STEP] = max(0.0, float(off[self._is_known].max()))
        return min(distances, key=lambda shift: round(distances[shift], 4))

    def _curve(self, tables: GalleryThresholds) -> _Shares:
        """Share of impostors that reach each similarity of `_WIDE`."""
        return np.array([tables.fpir(float(at), self._templates_each) for at in _WIDE])

    def _at_most(self, curve: _Shares, steps: int) -> _Shares:
        """As `_below`; all, where that comes from similarities that were not measured."""
        is_known = _GRID - steps * _STEP >= self._first
        return np.where(is_known, self._below(curve, steps), 1.0)

    def _below(self, curve: _Shares, steps: int) -> _Shares:
        """(101,) share that lies above each bound, of impostors below the threshold, moved."""
        reaching = np.interp(_GRID - steps * _STEP, _WIDE, curve)
        named = float(np.interp(self._threshold - steps * _STEP, _WIDE, curve))
        return np.asarray(np.clip((reaching - named) / max(1e-9, 1.0 - named), 0.0, 1.0))


def can_be_expected(manifest: EmbeddingManifest) -> bool:
    """Whether a manifest says how alike impostors are; one without is of use to a fixed threshold.

    The tables of a model are checked when a threshold is taken from them, and here.
    """
    tables = GalleryThresholds.of(manifest)
    try:
        tables.fpir(0.5, (1, *tables.several))
    except ModelError:
        return False
    return True


def missed_share(manifest: EmbeddingManifest, threshold: float) -> float:
    """Most of the tracks of enrolled people that may stay below a threshold, in [0, 1].

    From the model's genuine quantiles and, above them, from the upper ends of its forecasts; 1
    beyond what was measured.
    """
    measured = sorted((similarity, p) for p, similarity in manifest.genuine_quantiles)
    top = measured[-1][0] if measured else -1.0
    forecasts = manifest.calibration.forecasts if manifest.calibration else ()
    more = sorted((each.threshold, each.fnir_high) for each in forecasts if each.threshold > top)
    points = [*measured, *more]
    if not points or threshold > points[-1][0]:
        return 1.0
    shares = np.maximum.accumulate([share for _, share in points])
    return float(np.interp(threshold, [at for at, _ in points], shares))


def _interval(
    manifest: EmbeddingManifest, tables: GalleryThresholds
) -> tuple[GalleryThresholds, GalleryThresholds]:
    """The tables at both ends of their interval; twice themselves where none was measured."""
    measured = dict(manifest.impostor_quantiles)
    intervals = manifest.calibration.impostor_intervals if manifest.calibration else ()
    ends = [(p, low, high) for p, low, high in intervals if p in measured]
    if not ends:
        return tables, tables
    return (
        tables.moved({p: low - measured[p] for p, low, _ in ends}),
        tables.moved({p: high - measured[p] for p, _, high in ends}),
    )
