"""Finds faults of a gallery: templates that do harm, and people who may be enrolled twice.

The gallery is not changed. All limits come from data: threshold and margin are those of the agent's
decision, the genuine similarities are in the model's manifest, the least quality in the settings.

A template is proposed to be disabled only if it resembles no other template of its identity, and
most templates that it resembles are the other identity's; or if operators have said more than once
that somebody named by it was another. Otherwise, and if one photo has two names, the operator must
decide.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timezone

import numpy as np
from numpy.typing import NDArray

from edge_reid.core.progress import Progress, no_progress
from edge_reid.core.types import Template
from edge_reid.gallery.complaints import Complaints
from edge_reid.gallery.evidence import Evidence, evidence_of, has_rest
from edge_reid.gallery.findings import Bars, Finding, Kind
from edge_reid.gallery.groups import Groups
from edge_reid.matching.mixture import find_mixture
from edge_reid.matching.neighbours import NOBODY, Neighbours, Rows

_TWO_PAIRS = 4
_CLEAR_COMPLAINTS = 2
"""One may be a slip, or somebody who looked just so that day."""


def examine(
    templates: Sequence[Template],
    bars: Bars,
    *,
    complaints: Sequence[Complaints] = (),
    progress: Progress = no_progress,
) -> tuple[Finding, ...]:
    """Faults of the templates in use, the gravest first.

    The last template of an identity is never proposed to be disabled. Templates of two identities
    that may be one person do not count against each other.

    Args:
        templates: stored templates, with their numbers.
        bars: the limits.
        complaints: of operators.
        progress: called while the N × N comparisons are made, in parts of bounded size.
    """
    if not templates:
        return ()
    return tuple(_Examination(templates, bars, progress).findings(complaints))


class _Examination:
    def __init__(self, templates: Sequence[Template], bars: Bars, progress: Progress) -> None:
        self._templates = templates
        self._bars = bars
        names = dict.fromkeys(template.identity for template in templates)
        self._names = tuple(names)
        numbers = {name: number for number, name in enumerate(names)}
        self._identity = np.array([numbers[template.identity] for template in templates], np.intp)
        self._left = np.bincount(self._identity)
        self._vectors = np.stack([template.vector for template in templates])
        self._twins = tuple(self._same_photos())
        self._is_asked = np.zeros(len(templates), bool)  # the operator must decide
        self._is_asked[[row for twins in self._twins for row in twins]] = True
        apart = self._is_asked.copy()
        self._near = Neighbours(self._vectors, self._identity, apart=apart, progress=progress)

    def findings(self, complaints: Sequence[Complaints]) -> Iterator[Finding]:
        yield from self._same_photo()
        yield from self._complained_of(complaints)
        yield from self._one_person()
        yield from self._taken_for_another()
        mixed = tuple(self._two_people())
        yield from mixed
        yield from self._outliers({finding.identity for finding in mixed})
        yield from self._poor()

    def _same_photos(self) -> Iterator[tuple[int, int]]:
        """Pairs of rows with one photo and similar vectors; two people in one scene are not
        similar.
        """
        rows_of: defaultdict[str, list[int]] = defaultdict(list)
        for row, template in enumerate(self._templates):
            rows_of[template.source_sha256].append(row)
        for rows in rows_of.values():
            for count, row in enumerate(rows[1:], start=1):
                alike = self._vectors[rows[:count]] @ self._vectors[row]
                if alike.max() >= self._bars.threshold:
                    yield rows[int(alike.argmax())], row

    def _same_photo(self) -> Iterator[Finding]:
        """One photo under two names. It supports neither, and takes part in no other comparison."""
        for one, two in self._twins:
            fewer, more = sorted((one, two), key=lambda row: self._left[self._identity[row]])
            names = self._names[self._identity[fewer]], self._names[self._identity[more]]
            reason = (
                f"one of the two names is wrong; {self._support_text(fewer)}, "
                f"{self._support_text(more)}"
            )
            yield Finding(
                Kind.SAME_PHOTO,
                names[0],
                (self._id(fewer),),
                names[1],
                reason,
                disable=False,
                other_template_ids=(self._id(more),),
            )

    def _complained_of(self, complaints: Sequence[Complaints]) -> Iterator[Finding]:
        rows = {template.template_id: row for row, template in enumerate(self._templates)}
        for complaint in complaints:
            row = rows.get(complaint.template_id)
            if row is None:  # disabled, or gone
                continue
            times = "once" if complaint.times == 1 else f"{complaint.times} times"
            last = datetime.fromtimestamp(complaint.last_utc_s, timezone.utc)
            reason = (
                f"operators said {times}, last on {last:%Y-%m-%d}, that somebody named by it was "
                f"another; similarity {complaint.similarity:.2f}, the agent names somebody from "
                f"{self._bars.threshold:.2f} on"
            )
            is_last = self._left[self._identity[row]] <= 1
            is_clear = complaint.times >= _CLEAR_COMPLAINTS and not is_last
            yield self._finding(Kind.COMPLAINED_OF, row, None, reason, disable=is_clear)
            if is_clear:
                self._drop(row)

    def _support_text(self, row: int) -> str:
        name, others = self._names[self._identity[row]], self._near.siblings(row)
        if not len(others):
            return f"{name} has no other template"
        alike = self._near.similarities(row, others) >= self._bars.threshold
        return f"{np.count_nonzero(alike)} of {len(others)} others of {name} look like it"

    def _one_person(self) -> Iterator[Finding]:
        """Pairs of identities, most templates of which would be taken for the other's.

        Two people who each have a photo of the other are no such pair: most of their templates are
        not similar.
        """
        near = self._near
        taken = np.flatnonzero(near.other >= self._bars.threshold)
        pairs = {
            tuple(sorted((int(near.person[row]), int(near.person[near.other_row[row]]))))
            for row in taken
        }
        groups = Groups(len(self._names))
        plausible = self._bars.genuine[1] if self._bars.genuine else self._bars.threshold
        for one, two in sorted(pairs):
            between = near.between(one, two)
            shares = [
                float((between.max(axis=axis) >= self._bars.threshold).mean()) for axis in (0, 1)
            ]
            if min(shares) > 1 / 2 and np.median(between) >= plausible:
                groups.unite(one, two)
                yield self._pair(one, two, between)
        near.join(groups.found())

    def _pair(self, one: int, two: int, between: NDArray[np.float32]) -> Finding:
        keep, give = (one, two) if self._left[one] >= self._left[two] else (two, one)
        reason = (
            f"most templates of either would be taken for the other: similarity "
            f"{np.median(between):.2f} in the middle, {between.max():.2f} at most; the agent "
            f"names somebody from {self._bars.threshold:.2f} on"
        )
        ids = tuple(self._id(row) for row in np.flatnonzero(self._identity == give))
        return Finding(
            Kind.ONE_PERSON, self._names[give], ids, self._names[keep], reason, disable=False
        )

    def _taken_for_another(self) -> Iterator[Finding]:
        """Misfiled templates, the worst first: without it others may be no fault."""
        near = self._near
        while (row := self._worst()) is not None:
            yield self._taken(row, self._evidence(row), disable=True)
            self._drop(row)
        is_lone = near.own_row == NOBODY
        is_taken = ~is_lone | (near.other >= self._bars.threshold)
        for row in map(int, np.flatnonzero(near.in_use & (near.other > near.own) & is_taken)):
            evidence = self._evidence(row)
            if not evidence.is_own:
                self._is_asked[row] = True
                yield self._taken(row, evidence, disable=False)

    def _worst(self) -> int | None:
        """The surely misfiled template that is ahead by most."""
        near = self._near
        lead = np.where(near.in_use & (near.own_row != NOBODY), near.other - near.own, -np.inf)
        is_safe = self._left[self._identity] <= 1  # the last one stays
        lead[is_safe | (near.other < self._bars.threshold)] = -np.inf
        candidates = np.flatnonzero(lead >= self._bars.margin)
        for row in map(int, candidates[np.argsort(-lead[candidates], kind="stable")]):
            if self._evidence(row).is_others and has_rest(near, row, self._bars.threshold):
                return row
        return None

    def _evidence(self, row: int) -> Evidence:
        return evidence_of(self._near, row, self._bars.threshold)

    def _taken(self, row: int, evidence: Evidence, *, disable: bool) -> Finding:
        near = self._near
        other = self._names[self._identity[near.other_row[row]]]
        own = (
            "it is the only one of its own"
            if near.own_row[row] == NOBODY
            else f"to the nearest of its own {near.own[row]:.2f}"
        )
        reason = (
            f"similarity to them {near.other[row]:.2f}, {own}; {evidence.other} of theirs look "
            f"like it, {evidence.own} others of its own; "
            f"the agent names somebody from {self._bars.threshold:.2f} on"
        )
        return self._finding(Kind.TAKEN_FOR_ANOTHER, row, other, reason, disable=disable)

    def _two_people(self) -> Iterator[Finding]:
        """Identities in two groups of two or more templates; `_outliers` finds single ones."""
        if self._bars.genuine is None:
            return
        share, bar = self._bars.genuine
        for identity, name in enumerate(self._names):
            rows = self._rows_of(identity)
            mixture = find_mixture(self._vectors[rows], bar) if len(rows) >= _TWO_PAIRS else None
            if mixture is None:
                continue
            larger, smaller = sorted(mixture.parts, key=len, reverse=True)
            reason = (
                f"its templates fall into groups of {len(larger)} and {len(smaller)} with a "
                f"similarity of {mixture.similarity:.2f} between them; of the comparisons of one "
                f"person {share:.0%} stay below {bar:.2f}"
            )
            ids = tuple(map(self._id, rows[smaller]))
            yield Finding(Kind.TWO_PEOPLE, name, ids, None, reason, disable=False)

    def _outliers(self, mixed: Collection[str]) -> Iterator[Finding]:
        if self._bars.genuine is None:
            return
        share, bar = self._bars.genuine
        near = self._near
        far = near.in_use & (near.own_row != NOBODY) & (near.own < bar)
        for identity in np.unique(self._identity[far]):
            if self._names[identity] in mixed:
                continue
            theirs = self._rows_of(int(identity))
            strays = theirs[far[theirs]]
            are_few = 2 * len(strays) < len(theirs)
            for row in map(int, strays[~self._is_asked[strays]]):
                reason = (
                    f"similarity to the nearest of its own {near.own[row]:.2f}; of the "
                    f"comparisons of one person {share:.0%} stay below {bar:.2f}"
                )
                yield self._finding(Kind.OUTLIER, row, None, reason, disable=are_few)
                if are_few:
                    self._drop(row)

    def _poor(self) -> Iterator[Finding]:
        qualities = np.array([template.quality for template in self._templates])
        is_poor = self._near.in_use & ~self._is_asked & (qualities < self._bars.quality)
        poor = np.flatnonzero(is_poor)
        for row in poor[np.argsort(qualities[poor], kind="stable")]:
            reason = (
                f"quality {qualities[row]:.2f}; of what is worse than {self._bars.quality:.2f} "
                "the agent makes no embedding"
            )
            is_needed = self._left[self._identity[row]] <= 1
            yield self._finding(Kind.POOR, int(row), None, reason, disable=not is_needed)
            self._left[self._identity[row]] -= not is_needed

    def _finding(
        self, kind: Kind, row: int, other: str | None, reason: str, *, disable: bool
    ) -> Finding:
        name = self._names[self._identity[row]]
        return Finding(kind, name, (self._id(row),), other, reason, disable)

    def _drop(self, row: int) -> None:
        self._left[self._identity[row]] -= 1
        self._near.drop(row)

    def _rows_of(self, identity: int) -> Rows:
        return np.flatnonzero((self._identity == identity) & self._near.in_use)

    def _id(self, row: int) -> int:
        template_id = self._templates[row].template_id
        if template_id is None:
            raise ValueError("expected templates that are stored, got one without a number")
        return template_id
