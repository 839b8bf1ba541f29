import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_reid.core.geometry import Box, intersection_matrix, iou, iou_matrix

side = st.floats(0, 1000, width=32)
boxes = st.builds(lambda x, y, w, h: Box(x, y, x + w, y + h), side, side, side, side)


def test_half_overlapping_boxes_share_a_third_of_their_union():
    assert iou(Box(0, 0, 2, 2), Box(1, 0, 3, 2)) == pytest.approx(1 / 3)


def test_boxes_that_only_touch_do_not_overlap():
    assert iou(Box(0, 0, 1, 1), Box(1, 0, 2, 1)) == 0


def test_a_box_without_area_overlaps_nothing_not_even_itself():
    assert iou(Box(3, 3, 3, 9), Box(3, 3, 3, 9)) == 0


@given(boxes, boxes)
def test_iou_is_symmetric_and_between_0_and_1(a: Box, b: Box):
    assert iou(a, b) == iou(b, a)
    assert 0 <= iou(a, b) <= 1.0001


@given(st.lists(boxes, min_size=1, max_size=5), st.lists(boxes, min_size=1, max_size=5))
def test_the_matrix_holds_what_pairs_give_one_by_one(first: list[Box], second: list[Box]):
    rows = np.stack([box.to_array() for box in first])
    columns = np.stack([box.to_array() for box in second])
    one_by_one = [[iou(a, b) for b in second] for a in first]
    np.testing.assert_allclose(iou_matrix(rows, columns), one_by_one)


def test_intersection_is_in_square_pixels():
    a, b = Box(0, 0, 10, 10).to_array()[None], Box(5, 6, 20, 20).to_array()[None]
    assert intersection_matrix(a, b)[0, 0] == 5 * 4


def test_clipping_keeps_the_part_inside_the_frame():
    assert Box(-5, -5, 50, 20).clipped(width_px=40, height_px=30) == Box(0, 0, 40, 20)
    assert Box(50, 0, 60, 10).clipped(width_px=40, height_px=30).area == 0


def test_centre_form_and_corner_form_are_the_same_box():
    assert Box.from_centre(10, 20, 4, 6) == Box(8, 17, 12, 23)
    assert Box(8, 17, 12, 23).centre == (10, 20)
    assert Box.from_array(Box(8, 17, 12, 23).to_array()) == Box(8, 17, 12, 23)
