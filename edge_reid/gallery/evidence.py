"""How many other templates support each of two owners of a template that looks like both."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge_reid.matching.neighbours import Neighbours, Rows


@dataclass(frozen=True, slots=True)
class Evidence:
    """Numbers of templates that are similar to a disputed one."""

    own: int
    """Of its own identity."""
    other: int
    """Of the identity of its nearest neighbour elsewhere."""

    @property
    def is_own(self) -> bool:
        """Whether its own identity has more of them; then the other's templates are in doubt."""
        return self.own > self.other

    @property
    def is_others(self) -> bool:
        """Whether most of the similar templates, itself included, are the other identity's."""
        return self.other > self.own + 1


def evidence_of(near: Neighbours, row: int, threshold: float) -> Evidence:
    """The evidence for a template that has a neighbour of another identity.

    Args:
        near: all templates with their neighbours.
        row: the disputed template.
        threshold: least similarity of templates that count as similar.
    """
    other = int(near.person[near.other_row[row]])
    return Evidence(
        own=_alike(near, row, near.siblings(row), threshold),
        other=_alike(near, row, near.compared_of(other), threshold),
    )


def has_rest(near: Neighbours, row: int, threshold: float) -> bool:
    """Whether its identity has another template that is surely its own.

    If all templates of somebody look more like another identity, either identity may be misfiled,
    and disabling one could remove the true owner's.
    """
    rest = near.siblings(row)
    rest = rest[~near.apart[rest]]
    return any(_is_sure(near, other, rest, threshold) for other in rest)


def _is_sure(near: Neighbours, row: int, family: Rows, threshold: float) -> bool:
    others = near.similarities(row, family[family != row])
    own = float(others.max(initial=near.NONE))
    return bool(near.other[row] < max(threshold, own))


def _alike(near: Neighbours, row: int, others: Rows, threshold: float) -> int:
    return int(np.count_nonzero(near.similarities(row, others) >= threshold))
