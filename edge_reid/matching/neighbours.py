"""Of every template of a gallery: the nearest one of its own person, and of anybody else."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge_reid.core.progress import Progress, no_progress
from edge_reid.core.types import Vectors

CHUNK_BYTES = 64 << 20
"""Similarities held at a time."""
NOBODY = -1
Rows = NDArray[np.intp]
Similarities = NDArray[np.float32]


class Neighbours:
    """The nearest of every template, kept up to date while some are dropped and people are joined.

    `own`, `other` (N,) are similarities, `own_row`, `other_row` (N,) the rows of `vectors` they
    are to. Where there is no neighbour, the similarity is -2 and the row `NOBODY`.

    >>> three = np.array([[1, 0], [0.8, 0.6], [0, 1]], np.float32)
    >>> near = Neighbours(three, person=np.array([0, 0, 1]))
    >>> near.own.round(1), near.other_row
    (array([ 0.8,  0.8, -2. ], dtype=float32), array([2, 2, 1]))

    Args:
        vectors: (N, D) unit rows, the templates.
        person: (N,) intp, whose each is, numbered from 0.
        apart: (N,) bool, templates that are compared with those of their own person alone.
        progress: called with the number of templates done, and N.
    """

    NONE = -2.0

    def __init__(
        self,
        vectors: Vectors,
        person: NDArray[np.intp],
        *,
        apart: NDArray[np.bool_] | None = None,
        progress: Progress = no_progress,
    ) -> None:
        count = len(vectors)
        self.person = person.copy()
        self.in_use = np.ones(count, bool)
        self.own, self.other = np.full((2, count), self.NONE, np.float32)
        self.own_row, self.other_row = np.full((2, count), NOBODY, np.intp)
        self.apart = np.zeros(count, bool) if apart is None else apart
        self._vectors = vectors
        self._chunk = max(1, CHUNK_BYTES // (4 * max(1, count)))
        order = np.argsort(person, kind="stable")
        ends = np.flatnonzero(np.diff(person[order], append=-1)) + 1
        starts = [0, *ends[:-1]]
        self._rows = {int(person[order[a]]): order[a:b] for a, b in zip(starts, ends, strict=True)}
        self._look_at_all(progress)

    def rows(self, person: int) -> Rows:
        """Rows of a person's templates that are in use."""
        rows: Rows = self._rows[person]
        return np.compress(self.in_use[rows], rows)

    def between(self, one: int, two: int) -> Similarities:
        """(n, m) similarities between the templates of two people, without those kept apart."""
        some, others = self.compared_of(one), self.compared_of(two)
        between: Similarities = self._vectors[some] @ self._vectors[others].T
        return between

    def siblings(self, row: int) -> Rows:
        """Rows of the other templates of the same person that are in use."""
        rows = self.rows(int(self.person[row]))
        return np.compress(rows != row, rows)

    def similarities(self, row: int, others: Rows) -> Similarities:
        """(n,) similarities of one template to those in the rows `others`."""
        similarities: Similarities = self._vectors[others] @ self._vectors[row]
        return similarities

    def compared_of(self, person: int) -> Rows:
        """Rows of a person's templates in use that are compared with other people's."""
        rows = self.rows(person)
        return np.compress(~self.apart[rows], rows)

    def join(self, groups: Sequence[Sequence[int]]) -> None:
        """Count the people of each group as one from now on, as the first of them."""
        for group in groups:
            rows = np.concatenate([self._rows.pop(person) for person in group])
            self._rows[group[0]] = rows
            self.person[rows] = group[0]
        if groups:
            self._look(np.concatenate([self.rows(group[0]) for group in groups]))

    def drop(self, row: int) -> None:
        """Take a template out of use, and look again for those it was nearest to."""
        self.in_use[row] = False
        concerned = (self.own_row == row) | (self.other_row == row)
        self._look(np.flatnonzero(concerned & self.in_use))

    def _look_at_all(self, progress: Progress) -> None:
        """Compare every pair once: a chunk of rows with itself and all rows after it."""
        count = len(self._vectors)
        for start in range(0, count, self._chunk):
            chunk = np.arange(start, min(start + self._chunk, count))
            near = self._vectors[chunk] @ self._vectors[start:].T
            for row, similarities in zip(chunk, near, strict=True):
                family = self._rows[int(self.person[row])]
                self._look_at_own(row, family, self._vectors[family] @ self._vectors[row])
                similarities[family[family >= start] - start] = self.NONE
            near[self.apart[chunk]], near[:, self.apart[start:]] = self.NONE, self.NONE
            rest = np.arange(start, count)
            self._improve(chunk, rest, near.T)
            self._improve(rest, chunk, near)
            progress(int(chunk[-1]) + 1, count)

    def _improve(self, rows: Rows, others: Rows, near: Similarities) -> None:
        """Note for which rows one of the others is the nearest so far.

        Args:
            rows: (n,) templates to update.
            others: (m,) templates that they have just been compared with.
            near: (m, n) similarities.
        """
        nearest = near.max(axis=0)
        better = np.flatnonzero(nearest > self.other[rows])
        self.other[rows[better]] = nearest[better]
        self.other_row[rows[better]] = others[near[:, better].argmax(axis=0)]

    def _look(self, rows: Rows) -> None:
        nobodys = np.flatnonzero(~self.in_use | self.apart)
        for start in range(0, len(rows), self._chunk):
            chunk = rows[start : start + self._chunk]
            near = self._vectors[chunk] @ self._vectors.T
            for row, similarities in zip(chunk, near, strict=True):
                family = self.rows(int(self.person[row]))
                self._look_at_own(row, family, similarities[family])
                similarities[self._rows[int(self.person[row])]] = self.NONE
            near[self.apart[chunk]], near[:, nobodys] = self.NONE, self.NONE
            self.other[chunk], self.other_row[chunk] = near.max(axis=1), near.argmax(axis=1)
            self.other_row[chunk[self.other[chunk] == self.NONE]] = NOBODY

    def _look_at_own(self, row: int, family: Rows, similarities: Similarities) -> None:
        """Note the nearest of the same person."""
        others = np.where(family == row, self.NONE, similarities)
        nearest = int(others.argmax())
        self.own[row] = others[nearest]
        self.own_row[row] = family[nearest] if others[nearest] > self.NONE else NOBODY
