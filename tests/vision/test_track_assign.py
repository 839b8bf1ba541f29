"""The pairing of boxes, against trying every possibility."""

from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_reid.core.geometry import Box, iou
from edge_reid.vision.assign import pair_by_overlap

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
