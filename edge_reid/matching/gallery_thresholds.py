"""The threshold of a gallery whose people have one template or several."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from edge_reid.core.manifest import EmbeddingManifest
from edge_reid.matching.threshold import is_measured, share_reaching, threshold_for

Table: TypeAlias = tuple[tuple[float, float], ...]
"""As `Quantiles`, and hashable."""

_PRECISION = 1e-9
"""Of a threshold that is searched for: less than any similarity shows."""


@dataclass(frozen=True, slots=True)
class GalleryThresholds:
    """How alike impostors are to somebody enrolled, as measured for a model.

    A person of several templates is one comparison, with a table of its own: two photos of a
    person look alike, so that as comparisons of their own, which `threshold_for` takes for
    independent, they would count for more than they are. Where no such table was measured,
    every template is a comparison.

    >>> thresholds = GalleryThresholds(((0.1, 0.3), (0.01, 0.5)), {2: ((0.1, 0.35), (0.01, 0.55))})
    >>> round(thresholds.threshold(0.01, templates_each=[1]), 3)
    0.5
    >>> round(thresholds.threshold(0.01, templates_each=[2]), 3)
    0.55
    """

    single: Table
    """Of people with one template each: the manifest's `impostor_quantiles`."""
    several: Mapping[int, Table] = field(default_factory=dict)
    """Of people with so many, if measured: rising numbers from 2 on."""

    @classmethod
    def of(cls, manifest: EmbeddingManifest) -> GalleryThresholds:
        """Those of a model."""
        tables = manifest.impostor_quantiles_by_templates
        return cls(
            manifest.impostor_quantiles,
            {table.templates: table.impostor_quantiles for table in tables},
        )

    @property
    def fuse(self) -> bool:
        """Whether they are of people, compared by an `Index` that fuses their templates."""
        return bool(self.several)

    def threshold(self, target_fpir: float, templates_each: Sequence[int]) -> float:
        """The similarity at which an impostor is taken for somebody at the accepted rate.

        Args:
            target_fpir: accepted false-positive identification rate, in (0, 1).
            templates_each: how many each person enrolled has; nobody counts as one person.

        Raises:
            ModelError: a table is none.
        """
        people = self._people(templates_each)
        if len(people) == 1:
            ((table, count),) = people.items()
            return threshold_for(table, target_fpir, count)
        return _threshold_of_mixed(people, target_fpir)

    def fpir(self, threshold: float, templates_each: Sequence[int]) -> float:
        """The share of impostors that reach a similarity to somebody: `threshold` the other way.

        >>> round(GalleryThresholds(((0.1, 0.3), (0.01, 0.5))).fpir(0.5, [1, 1]), 4)
        0.0199

        Below the first similarity of the tables it is that of the first.

        Raises:
            ModelError: a table is none.
        """
        return _fpir_at(self._people(templates_each), threshold)

    def moved(self, by: Mapping[float, float]) -> GalleryThresholds:
        """Tables with other similarities.

        Args:
            by: what is added to the similarity of each p; those between are interpolated in p.
        """
        ps = sorted(by)

        def one(table: Table) -> Table:
            raised = [s + float(np.interp(p, ps, [by[p] for p in ps])) for p, s in table]
            rising = np.clip(np.maximum.accumulate(raised), -1.0, 1.0)
            return tuple((p, float(s)) for (p, _), s in zip(table, rising, strict=True))

        return GalleryThresholds(one(self.single), {n: one(t) for n, t in self.several.items()})

    def is_measured(self, target_fpir: float, templates_each: Sequence[int]) -> bool:
        """Whether `threshold` stays within the tables; False when it has to go on beyond one.

        Raises:
            ModelError: a table is none.
        """
        people = self._people(templates_each)
        if len(people) == 1:
            ((table, count),) = people.items()
            return is_measured(table, target_fpir, count)
        threshold = _threshold_of_mixed(people, target_fpir)
        return threshold <= min(table[-1][1] for table in people)

    def _people(self, templates_each: Sequence[int]) -> dict[Table, int]:
        """How many comparisons an impostor makes by each table; at least one table."""
        if not self.several:
            return {self.single: sum(templates_each)}
        people: Counter[Table] = Counter()
        for templates, persons in Counter(templates_each).items():
            size, count = self._counted_as(templates)
            people[self.single if size == 1 else self.several[size]] += count * persons
        return people or {self.single: 0}

    def _counted_as(self, templates: int) -> tuple[int, int]:
        """As how many templates, of how many people, those of one person count.

        Between two numbers that were measured as the larger; more than the largest as several
        people of that, which errs towards unknown.
        """
        if templates == 1:
            return 1, 1
        largest = max(self.several)
        size = min((size for size in self.several if size >= templates), default=largest)
        return size, math.ceil(templates / size)


def _threshold_of_mixed(people: Mapping[Table, int], target_fpir: float) -> float:
    """Where the product of all chances not to be taken for somebody is 1 - `target_fpir`."""
    high = 1.0
    if _fpir_at(people, high) > target_fpir:
        return high
    low = min(table[0][1] for table in people)
    if _fpir_at(people, low) <= target_fpir:
        return low
    while high - low > _PRECISION:
        middle = (low + high) / 2
        if _fpir_at(people, middle) <= target_fpir:
            high = middle
        else:
            low = middle
    return high


def _fpir_at(people: Mapping[Table, int], threshold: float) -> float:
    """FPIR of a threshold, comparisons taken as independent."""
    refused = 1.0
    for table, count in people.items():
        refused *= (1.0 - share_reaching(table, threshold)) ** count
    return 1.0 - refused
