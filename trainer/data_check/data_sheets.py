"""A data set to look at: a sheet of its identities, and one of what the check doubts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from trainer.data.datasets import IntArray
from trainer.data_check.contact_sheet import DOUBT, STRIPS_A_PAGE, WRONG, Group, Strip, write_pages
from trainer.data_check.data_report import DataReport

IDENTITIES, DOUBTS = "identities", "doubts"
_MOST_PAGES = 10
_A_SIDE = 5
"""Pictures of each side of a doubt."""
_SPREAD = 8
_DIGITS = re.compile(r"(\d+)")


def write_sheets(report: DataReport, folder: Path) -> list[Path]:
    """Write `identities_NN.png` and, if there are doubts, `doubts_NN.png`; at most ten of each.

    Pages of an earlier check are removed first.
    """
    for old in (*folder.glob(f"{IDENTITIES}_??.png"), *folder.glob(f"{DOUBTS}_??.png")):
        old.unlink()
    most = _MOST_PAGES * STRIPS_A_PAGE
    doubts = list(doubt_strips(report))
    names = report.seen.data.identities
    people = [at for at, rows in enumerate(report.people) if len(rows)]
    people.sort(key=lambda at: _natural(names[at]))
    shown = [people[i] for i in _spread_over(len(people), most)]
    strips = [identity_strip(report, at) for at in shown]
    return [
        *write_pages(
            doubts[:most], f"{_of(doubts[:most], doubts)} doubts about labels", folder, DOUBTS
        ),
        *write_pages(strips, f"{_of(shown, people)} identities", folder, IDENTITIES),
    ]


def identity_strip(report: DataReport, identity: int) -> Strip:
    """The first and the last picture, and some from the best to the worst."""
    rows = report.people[identity]
    by_quality = rows[np.argsort(-report.seen.qualities[rows], kind="stable")]
    between = by_quality[_spread_over(len(rows), _SPREAD)]
    ends = rows[[0, -1]] if len(rows) > 1 else rows[:1]
    groups = (_group(report, "first, last", ends), _group(report, "best to worst", between))
    doubted = identity in {at for pair in report.alike for at in (pair.first, pair.second)} | {
        mixed.identity for mixed in report.mixed
    }
    extra = {"colour": DOUBT} if doubted else {}
    return Strip(report.seen.data.identities[identity], _counts(report, rows), groups, **extra)


def doubt_strips(report: DataReport) -> Iterator[Strip]:
    """Strips of what is surely wrong, then of what should be looked at, the worst first."""
    names, labels = report.seen.data.identities, report.seen.data.labels
    for times, (first, second) in _same_pictures(report):
        sides = [
            _group(report, report.identity_of(row), _with_first(report, row))
            for row in (first, second)
        ]
        notes = "under two identities", f"{times} such picture{'' if times == 1 else 's'}"
        yield Strip("SAME PICTURE", notes, tuple(sides), WRONG)
    for pair in report.alike:
        sides = [_some(report, names[at], report.people[at]) for at in (pair.first, pair.second)]
        yield Strip("one person?", (f"alike {pair.similarity:.2f}",), tuple(sides), DOUBT)
    for mixed in report.mixed:
        sides = [_some(report, f"{len(part)} pictures", part) for part in mixed.parts]
        notes = (names[mixed.identity], f"alike {mixed.similarity:.2f}")
        yield Strip("two people?", notes, tuple(sides), DOUBT)
    for stray in report.strays:
        own = report.people[int(labels[stray.row])]
        groups = [
            _group(report, "this", np.array([stray.row])),
            _some(report, "the others", own[own != stray.row], 4),
        ]
        if stray.resembles is not None:
            other = report.people[stray.resembles]
            groups.append(_some(report, f"like {names[stray.resembles]}", other, 4))
        notes = (report.identity_of(stray.row), f"alike {stray.similarity:.2f}")
        yield Strip("somebody else?", notes, tuple(groups), DOUBT)


def _same_pictures(report: DataReport) -> Iterator[tuple[int, tuple[int, int]]]:
    """Pairs of identities that share pictures: how many, and the rows of the first one."""
    labels = report.seen.data.labels
    rows = [(shared.first, shared.second) for shared in report.duplicates.shared]
    people = [tuple(sorted((int(labels[a]), int(labels[b])))) for a, b in rows]
    for pair, times in Counter(people).items():
        yield times, rows[people.index(pair)]


def _with_first(report: DataReport, row: int) -> IntArray:
    """The picture, then others of its identity."""
    own = report.people[int(report.seen.data.labels[row])]
    others = own[own != row]
    return np.array([row, *others[_spread_over(len(others), _A_SIDE - 1)]], np.int64)


def _some(report: DataReport, caption: str, rows: IntArray, count: int = _A_SIDE) -> Group:
    return _group(report, caption, rows[_spread_over(len(rows), count)])


def _group(report: DataReport, caption: str, rows: IntArray) -> Group:
    return Group(caption, tuple(report.seen.data.paths[row] for row in rows))


def _counts(report: DataReport, rows: IntArray) -> tuple[str, ...]:
    distinct = int(report.duplicates.distinct[rows].sum())
    notes = [f"{len(rows)} picture{'' if len(rows) == 1 else 's'}"]
    if distinct < len(rows):
        notes.append(f"{distinct} distinct")
    if report.seen.data.has_cameras:
        cameras = len(np.unique(report.seen.data.cameras[rows]))
        notes.append(f"{cameras} camera{'' if cameras == 1 else 's'}")
    return tuple(notes)


def _natural(name: str) -> list[tuple[int, str]]:
    """A key that sorts 9 before 10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in _DIGITS.split(name)]


def _spread_over(length: int, count: int) -> IntArray:
    """At most `count` indices below `length`, evenly spaced, both ends among them."""
    return np.unique(np.linspace(0, length - 1, min(count, length)).round().astype(np.int64))


def _of(shown: Sequence[object], there: Sequence[object]) -> str:
    return f"{len(there)}" if len(shown) == len(there) else f"{len(shown)} of {len(there)}"
