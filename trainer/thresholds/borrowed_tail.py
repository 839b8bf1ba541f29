"""A fine-tune's threshold table: its own as far as people show it, then that of its start.

How alike impostors look depends on cameras and people, which the people held out show; how the
rarest of them go on from there was measured on far more people, and hardly changes by tuning.
"""

from __future__ import annotations

from collections.abc import Sequence

from edge_reid.core.manifest import PersonQuantiles
from edge_reid.matching.threshold import threshold_for
from trainer.thresholds.similarities import Quantiles

_ALONE = 1
"""Comparisons of which the accepted share is asked for."""


def with_tail(own: Quantiles, start: Quantiles) -> Quantiles:
    """A model's own table, continued by the other's rarer shares, moved to where its own ends.

    >>> with_tail(((0.5, 0.1), (0.1, 0.4)), start=((0.5, 0.2), (0.1, 0.3), (0.01, 0.5)))
    ((0.5, 0.1), (0.1, 0.4), (0.01, 0.6))

    Tried on four sets, with 12, 20 and 40 people as if held out and embeddings changed little or
    much, others were then taken for somebody in 0.3 to 1.5 times the share promised, from 1 in 100
    to 1 in 10,000, and in 3.1 times at most; by the other's table as it is, in 0.6 to 2.4 times,
    and 8.1 (`tests/bench/borrowed_tails.py`).

    Args:
        own: measured, at least one share.
        start: of the model it started from.
    """
    rarest, similarity = own[-1]
    shift = similarity - threshold_for(start, rarest, _ALONE)
    tail = ((p, min(s + shift, 1.0)) for p, s in start if p < rarest)
    return own + tuple((p, round(s, 9)) for p, s in tail)


def moved_alike(
    tables: Sequence[PersonQuantiles], before: Quantiles, after: Quantiles
) -> tuple[PersonQuantiles, ...]:
    """Tables of people of several templates, moved at each share as the one of single templates.

    Args:
        tables: of the model it started from.
        before: that model's table of single templates.
        after: the fine-tune's.
    """
    return tuple(
        PersonQuantiles(
            templates=one.templates,
            impostor_quantiles=_moved(one.impostor_quantiles, before, after),
        )
        for one in tables
    )


def _moved(table: Quantiles, before: Quantiles, after: Quantiles) -> Quantiles:
    moved: list[tuple[float, float]] = []
    highest = -1.0
    for p, similarity in table:
        shift = threshold_for(after, p, _ALONE) - threshold_for(before, p, _ALONE)
        highest = max(highest, min(similarity + shift, 1.0))
        moved.append((p, highest))
    return tuple(moved)
