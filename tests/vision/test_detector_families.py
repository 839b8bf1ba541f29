"""Raw detector outputs to boxes, recomputed cell by cell."""

import math

import numpy as np
import pytest

from edge_reid.vision.detectors.grid import cells_of
from edge_reid.vision.detectors.nanodet_family import nanodet_boxes
from edge_reid.vision.detectors.yolox_family import yolox_boxes
from edge_reid.vision.suppression import suppress


def test_cells_come_stride_by_stride_and_row_by_row() -> None:
    cells = cells_of(32, 48, (8, 16))

    assert len(cells) == 4 * 6 + 2 * 3
    assert cells.columns_rows[:7].tolist() == [
        [0, 0],
        [1, 0],
        [2, 0],
        [3, 0],
        [4, 0],
        [5, 0],
        [0, 1],
    ]
    assert cells.columns_rows[24:].tolist() == [[0, 0], [1, 0], [2, 0], [0, 1], [1, 1], [2, 1]]
    assert cells.strides.ravel().tolist() == [8] * 24 + [16] * 6


def test_an_odd_side_has_one_cell_more() -> None:
    assert len(cells_of(20, 16, (8,))) == 3 * 2


def test_nanodet_reads_distances_as_expectations() -> None:
    cells = cells_of(32, 32, (8, 16))
    raw = np.random.default_rng(1).normal(0, 3, (len(cells), 44)).astype(np.float32)

    boxes = nanodet_boxes(raw, cells)

    for row, ((column, line), (stride,)) in enumerate(
        zip(cells.columns_rows, cells.strides, strict=True)
    ):
        sides = []
        for bins in raw[row].reshape(4, 11).tolist():
            total = sum(math.exp(value) for value in bins)
            sides.append(stride * sum(i * math.exp(v) / total for i, v in enumerate(bins)))
        x, y = (column + 0.5) * stride, (line + 0.5) * stride
        expected = x - sides[0], y - sides[1], x + sides[2], y + sides[3]
        assert boxes[row] == pytest.approx(expected, abs=1e-3)


def test_nanodet_survives_large_values() -> None:
    raw = np.zeros((1, 44), np.float32)
    raw[0, [3, 14, 25, 36]] = 1000  # all certain: 3 strides to every side
    cells = cells_of(8, 8, (8,))
    assert nanodet_boxes(raw, cells).tolist() == [[4 - 24, 4 - 24, 4 + 24, 4 + 24]]


def test_yolox_reads_offsets_and_log_sizes() -> None:
    cells = cells_of(16, 16, (8,)).take(np.array([3]))  # column 1, row 1
    raw = np.float32([[0.25, -0.5, math.log(2), math.log(4)]])
    x, y, width, height = (1 + 0.25) * 8, (1 - 0.5) * 8, 2 * 8, 4 * 8
    expected = x - width / 2, y - height / 2, x + width / 2, y + height / 2
    assert yolox_boxes(raw, cells)[0] == pytest.approx(expected)


@pytest.mark.parametrize("decode", [nanodet_boxes, yolox_boxes])
def test_no_cells_give_no_boxes(decode: object) -> None:
    cells = cells_of(16, 16, (8,)).take(np.array([], np.intp))
    values = 44 if decode is nanodet_boxes else 4
    assert decode(np.empty((0, values), np.float32), cells).shape == (0, 4)


def test_suppression_keeps_the_best_of_each_heap() -> None:
    rng = np.random.default_rng(2)
    corners = rng.random((200, 2)) * 100
    boxes = np.hstack((corners, corners + 5 + rng.random((200, 2)) * 40)).astype(np.float32)
    scores = rng.random(200).astype(np.float32)

    kept = suppress(boxes, scores, 0.5)

    expected: list[int] = []
    for candidate in np.argsort(-scores):
        if all(overlap(boxes[candidate], boxes[better]) <= 0.5 for better in expected):
            expected.append(int(candidate))
    assert kept.tolist() == expected
    assert 1 < len(kept) < 200


def test_of_equals_the_first_stays() -> None:
    boxes = np.float32([[0, 0, 10, 10], [0, 0, 10, 10], [50, 50, 60, 60]])
    assert suppress(boxes, np.float32([0.5, 0.5, 0.5]), 0.5).tolist() == [0, 2]


def test_nothing_suppressed_is_nothing() -> None:
    assert suppress(np.empty((0, 4), np.float32), np.empty(0, np.float32), 0.5).tolist() == []


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    shared = float(np.prod(np.clip(sides, 0, None)))
    return shared / (float(np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2])) - shared)
