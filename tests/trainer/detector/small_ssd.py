"""A MobileNetV2-SSD with random weights and thin blocks, built as the converted one is."""

from __future__ import annotations

import numpy as np

from trainer.conversion.openvino_ir import IrConvolution, Range
from trainer.conversion.ssd import BLOCKS, FINE_BLOCK, PIXELS, RELU6, SsdWeights

ANCHORS = 2
"""Of a cell."""
_STEM = 16
_BIAS = -2.0
"""Of scores, which lie about 0.12 at first."""
_FED, _LINEAR = (0.0, RELU6), (-8.0, 8.0)
"""Ranges of maps after a ReLU6, and after none."""


def small_weights(seed: int = 0) -> SsdWeights:
    """Those of all convolutions; expansions do not widen."""
    make = _Maker(np.random.default_rng(seed))
    backbone = [make.dense(3, _STEM, 3, PIXELS, _FED, stride=2)]
    channels = _STEM
    for wide, stride in BLOCKS:
        backbone += [
            make.dense(channels, channels, 1, _LINEAR, _FED),
            make.depthwise(channels, _FED, stride),
            make.dense(channels, wide, 1, _FED, _LINEAR),
        ]
        channels = wide
    levels = BLOCKS[FINE_BLOCK][0], channels
    boxes, scores = (
        tuple((make.depthwise(wide, _LINEAR), make.head(wide, of, bias)) for wide in levels)
        for of, bias in ((4 * ANCHORS, 0.0), (ANCHORS, _BIAS))
    )
    return SsdWeights(tuple(backbone), boxes, scores)


class _Maker:
    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def dense(
        self,
        inputs: int,
        outputs: int,
        side: int,
        fed: tuple[float, float],
        gives: tuple[float, float],
        stride: int = 1,
    ) -> IrConvolution:
        spread = 1.5 / np.sqrt(inputs * side * side) / max(1.0, fed[1] / RELU6)
        kernel = self._rng.normal(0, spread, (side, side, inputs, outputs)).astype(np.float32)
        bias = np.zeros(outputs, np.float32)
        ranges = _range(fed), _range(gives)
        return IrConvolution(kernel, bias, stride, False, *ranges)

    def depthwise(self, channels: int, fed: tuple[float, float], stride: int = 1) -> IrConvolution:
        kernel = self._rng.normal(0, 0.4, (3, 3, channels, 1)).astype(np.float32)
        bias = np.full(channels, 0.1, np.float32)
        return IrConvolution(kernel, bias, stride, True, _range(fed), _range(_FED))

    def head(self, inputs: int, outputs: int, bias: float) -> IrConvolution:
        kernel = self._rng.normal(0, 0.01, (1, 1, inputs, outputs)).astype(np.float32)
        biases = np.full(outputs, bias, np.float32)
        return IrConvolution(kernel, biases, 1, False, _range(_FED), None)


def _range(limits: tuple[float, float]) -> Range:
    low, high = (np.full(1, limit, np.float32) for limit in limits)
    return low, high
