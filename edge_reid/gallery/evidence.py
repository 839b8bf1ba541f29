"""To whom a template belongs that looks like two people: what the other templates say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge_reid.matching.neighbours import Neighbours, Rows


@dataclass(frozen=True, slots=True)
class Evidence:
    """How many templates look like a disputed one, so that it would be named after theirs."""

    own: int
    """Of its own identity."""
    other: int
    """Of the identity of its nearest neighbour elsewhere."""

    @property
    def is_own(self) -> bool:
        """Whether its own identity has more of them: the other's are the ones to look at."""
        return self.own > self.other

    @property
    def is_others(self) -> bool:
        """Whether most templates of this look, with itself, are filed under the other identity."""
        return self.other > self.own + 1


def evidence_of(near: Neighbours, row: int, threshold: float) -> Evidence:
    """For a template with a neighbour of another identity; they look alike from `threshold` on."""
    other = int(near.person[near.other_row[row]])
    return Evidence(
        own=_alike(near, row, near.siblings(row), threshold),
        other=_alike(near, row, near.compared_of(other), threshold),
    )


def has_rest(near: Neighbours, row: int, threshold: float) -> bool:
    """Whether its identity is sure without a template: another one is nobody else's.

    When all of somebody's templates look more like another identity, either may be misfiled, and
    without the template less would be left of whom it may belong to.
    """
    rest = near.siblings(row)
    rest = rest[~near.apart[rest]]
    return any(_is_sure(near, each, rest, threshold) for each in rest)


def _is_sure(near: Neighbours, row: int, family: Rows, threshold: float) -> bool:
    others = near.similarities(row, family[family != row])
    own = float(others.max(initial=near.NONE))
    return bool(near.other[row] < max(threshold, own))


def _alike(near: Neighbours, row: int, others: Rows, threshold: float) -> int:
    return int(np.count_nonzero(near.similarities(row, others) >= threshold))
