"""The pairing of boxes, against trying every possibility."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_reid.core.geometry import Box, iou
from edge_reid.vision.assign import pair_by_likelihood, pair_by_overlap

near = st.integers(0, 60)
boxes = st.lists(
    st.builds(
        lambda x, y, w, h: Box(x, y, x + w, y + h),
        near,
        near,
        st.integers(5, 50),
        st.integers(5, 90),
    ),
    max_size=4,
)


def likeness(a: Box, b: Box, min_iou: float) -> float:
    """IoU times the IoU of the vertical extents; 0 for a pair that is not allowed."""
    if max(a.height, b.height) >= 1.8 * min(a.height, b.height):
        return 0.0
    shared = max(0.0, min(a.y2, b.y2) - max(a.y1, b.y1))
    return iou(a, b) * shared / (a.height + b.height - shared) if iou(a, b) >= min_iou else 0.0


def best_total(rows: list[Box], columns: list[Box], min_iou: float) -> float:
    """By trying every pairing."""
    if len(rows) > len(columns):
        rows, columns = columns, rows
    return max(
        sum(likeness(row, column, min_iou) for row, column in zip(rows, order, strict=False))
        for order in permutations(columns)
    )


@settings(deadline=None)
@given(boxes, boxes, st.sampled_from([0.1, 0.3, 0.5]))
def test_no_other_pairing_is_better(rows: list[Box], columns: list[Box], min_iou: float) -> None:
    pairs = pair_by_overlap(rows, columns, min_iou=min_iou)
    total = sum(likeness(rows[row], columns[column], min_iou) for row, column in pairs)
    assert total == pytest.approx(best_total(rows, columns, min_iou), abs=1e-5)
    assert len({row for row, _ in pairs}) == len({column for _, column in pairs}) == len(pairs)
    assert all(iou(rows[row], columns[column]) >= min_iou for row, column in pairs)


def test_of_two_people_who_cross_the_farther_one_is_the_smaller_one() -> None:
    """Both predictions overlap the detection equally; only one is as tall."""
    near_person, far_person = Box(0, 0, 40, 100), Box(0, 0, 50, 80)
    detection = Box(0, 0, 40, 100 * 0.8)
    assert iou(near_person, detection) == pytest.approx(iou(far_person, detection))
    assert pair_by_overlap([near_person, far_person], [detection], min_iou=0.1) == ((1, 0),)


def test_a_box_of_half_the_height_is_of_somebody_else() -> None:
    tracked = Box(0, 0, 40, 100)
    assert pair_by_overlap([tracked], [Box(0, 0, 40, 60)], min_iou=0.1) == ((0, 0),)
    assert pair_by_overlap([tracked], [Box(0, 0, 40, 52)], min_iou=0.1) == ()


def test_of_two_predictions_the_one_that_is_trusted_less_stands_back() -> None:
    surer, nearer = Box(0, 0, 40, 100), Box(4, 0, 44, 100)
    detection = [Box(5, 0, 45, 100)]
    assert pair_by_overlap([surer, nearer], detection, min_iou=0.1) == ((1, 0),)
    weighed = pair_by_overlap([surer, nearer], detection, min_iou=0.1, trust=[1.0, 0.5])
    assert weighed == ((0, 0),)


def test_nobody_pairs_with_nobody() -> None:
    assert pair_by_overlap([], [Box(0, 0, 1, 1)], min_iou=0.1) == ()
    assert pair_by_overlap([Box(0, 0, 1, 1)], [], min_iou=0.1) == ()


def by_looks(
    ratios: list[list[float]], evidence: list[list[float]], *, can_tell: bool = True
) -> tuple[tuple[tuple[int, int], ...], set[int], set[tuple[int, int]]]:
    """(pairs, rows that were decided, pairs that were asked about)."""
    asked = set[tuple[int, int]]()

    def told(row: int, column: int) -> float:
        asked.add((row, column))
        return evidence[row][column]

    given = np.array(ratios)
    decided = pair_by_likelihood(given, np.full(given.shape, can_tell), told)
    return decided.pairs, set(decided.rows), asked


def test_looks_are_asked_only_where_they_may_change_who_is_who() -> None:
    ratios = [[8.0, 5.0, -99.0], [4.0, 7.0, -99.0], [-5.0, -99.0, 9.0]]
    pairs, rows, asked = by_looks(ratios, [[0.0] * 3] * 3)
    assert pairs == ((0, 0), (1, 1), (2, 2))
    assert rows == {0, 1, 2}
    assert asked == {(0, 0), (0, 1), (1, 0), (1, 1)}


def test_of_two_people_who_are_near_each_other_looks_tell_who_is_who() -> None:
    ratios = [[8.0, 6.0], [6.0, 8.0]]
    assert by_looks(ratios, [[-3.0, 3.0], [3.0, -3.0]])[0] == ((0, 1), (1, 0))


def test_who_looks_like_nobody_that_they_may_be_is_left_alone_and_so_are_the_tracks() -> None:
    pairs, rows, _ = by_looks([[3.0], [2.0]], [[-5.0], [-5.0]])
    assert pairs == ()
    assert rows == {0, 1}


def test_more_is_not_believed_of_looks_than_was_measured() -> None:
    assert by_looks([[7.0], [5.0]], [[-50.0], [-50.0]])[0] == ((0, 0),)


def test_where_looks_cannot_tell_nothing_is_decided_and_nothing_asked() -> None:
    assert by_looks([[8.0, 6.0], [6.0, 8.0]], [[1.0] * 2] * 2, can_tell=False) == ((), set(), set())


def test_who_may_be_mistaken_for_somebody_whose_looks_are_known_is_decided_with_them() -> None:
    ratios = np.array([[8.0, 6.0, -99.0], [6.0, 8.0, -99.0], [-99.0, -99.0, 8.0]])
    can_tell = np.zeros(ratios.shape, np.bool_)
    can_tell[0] = True
    can_tell[0, 2] = False
    decided = pair_by_likelihood(ratios, can_tell, lambda *_: 0.0)
    assert decided.pairs == ((0, 0), (1, 1))
    assert decided.rows == {0, 1}


def test_who_is_most_contested_is_asked_about_first() -> None:
    clear, close = [[9.0, 5.0], [5.0, 9.0]], [[8.0, 7.5], [6.0, 8.0]]
    ratios = np.full((4, 4), -99.0)
    ratios[:2, :2], ratios[2:, 2:] = clear, close
    asked = list[int]()

    def told(_: int, column: int) -> float:
        asked.append(column)
        return 0.0

    pair_by_likelihood(ratios, np.full(ratios.shape, True), told)
    assert asked == [2, 2, 3, 3, 0, 0, 1, 1]


def test_where_no_time_is_left_to_ask_places_decide_as_if_nobody_could_tell() -> None:
    ratios = np.full((4, 4), -99.0)
    ratios[:2, :2], ratios[2:, 2:] = [[9.0, 5.0], [5.0, 9.0]], [[8.0, 7.5], [6.0, 8.0]]

    def told(row: int, column: int) -> float | None:
        if column < 2:
            return None
        return -4.0 if row == column else 4.0

    decided = pair_by_likelihood(ratios, np.full(ratios.shape, True), told)
    assert decided.rows == {2, 3}
    assert decided.pairs == ((2, 3), (3, 2))


def test_nobody_is_decided_where_there_is_nobody() -> None:
    empty = np.zeros((0, 2))
    assert pair_by_likelihood(empty, empty > 0, lambda *_: 0.0).rows == frozenset()
