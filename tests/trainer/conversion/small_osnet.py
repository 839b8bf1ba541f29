"""An IR with everything that person-reidentification-retail-0287 has, once and small."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import openvino
from openvino import opset8

HEIGHT, WIDTH, CHANNELS, GROUPS, DIMENSION = 32, 16, 8, 4, 12


class SmallOsnet:
    """Builds the network from drawn weights: BGR (1, 3, 32, 16) → (1, 12)."""

    def __init__(self, seed: int = 5, *, turns_to_rgb: bool = True) -> None:
        self._rng = np.random.default_rng(seed)
        self._turns_to_rgb = turns_to_rgb

    def write(self, path: Path) -> Path:
        picture = opset8.parameter([1, 3, HEIGHT, WIDTH], np.float32, name="picture")
        x = self._stem(self._as_rgb(picture))
        x = self._block(x)
        x = opset8.avg_pool(x, [2, 2], [0, 0], [0, 0], [2, 2], False, "floor", "explicit")
        model = openvino.Model([self._embedding(x)], [picture], "small")
        openvino.save_model(model, path, compress_to_fp16=True)
        return path

    def _as_rgb(self, x: Any) -> Any:
        order = [2, 1, 0] if self._turns_to_rgb else [1, 0, 2]
        x = opset8.gather(x, constant(np.int64(order)), constant(np.int64(1)))
        mean, scale = np.float32([124, 116, 104]), 1 / np.float32([58, 57, 57])
        x = opset8.multiply(opset8.subtract(x, by_channel(mean)), by_channel(scale))
        return self._affine(self._norm(x), 3)

    def _stem(self, x: Any) -> Any:
        x = opset8.convolution(x, self._kernel(CHANNELS, 3, 7, 7), [2, 2], [3, 3], [3, 3], [1, 1])
        x = opset8.relu(self._affine(self._norm(x), CHANNELS))
        return opset8.max_pool(x, [2, 2], [1, 1], [1, 1], [1, 1], [3, 3]).output(0)

    def _block(self, x: Any) -> Any:
        narrow = self._light(opset8.relu(self._conv(x)))
        squeezed = opset8.relu(self._conv(mean(narrow), 2))
        one = opset8.multiply(narrow, opset8.sigmoid(self._conv(squeezed, CHANNELS, 2)))
        wide = self._light(self._light(opset8.relu(self._conv(x))))
        two = opset8.multiply(wide, self._group_gate(wide))
        return opset8.relu(opset8.add(self._conv(opset8.add(one, two)), x))

    def _group_gate(self, x: Any) -> Any:
        shape = constant(np.int64([1, GROUPS, -1]))
        means = mean(x)
        groups = opset8.reshape(means, shape, False)
        spread = opset8.mvn(groups, constant(np.int64([2])), True, 1e-5, "INSIDE_SQRT")
        again = opset8.reshape(spread, opset8.shape_of(means), False)
        return opset8.sigmoid(self._affine(again, CHANNELS))

    def _embedding(self, x: Any) -> Any:
        height, width = HEIGHT // 8, WIDTH // 8
        kernel = self._kernel(CHANNELS, 1, 1, height, width)
        x = opset8.group_convolution(x, kernel, [1, 1], [0, 0], [0, 0], [1, 1])
        x = opset8.add(x, by_channel(self._drawn(CHANNELS)))
        x = opset8.reshape(x, constant(np.int64([0, -1])), True)
        x = opset8.matmul(x, constant(self._drawn(DIMENSION, CHANNELS)), False, True)
        x = opset8.multiply(
            opset8.reshape(x, constant(np.int64([1, DIMENSION, 1])), False),
            constant(self._drawn(1, DIMENSION, 1)),
        )
        x = opset8.add(x, constant(self._drawn(1, DIMENSION, 1)))
        x = opset8.prelu(x, constant(np.float32([[0.25]])))
        return opset8.reshape(x, constant(np.int64([1, DIMENSION])), False)

    def _light(self, x: Any) -> Any:
        """A linear 1×1 convolution and a depthwise one."""
        x = opset8.convolution(
            x, self._kernel(CHANNELS, CHANNELS, 1, 1), [1, 1], [0, 0], [0, 0], [1, 1]
        )
        kernel = self._kernel(CHANNELS, 1, 1, 3, 3)
        x = opset8.group_convolution(x, kernel, [1, 1], [1, 1], [1, 1], [1, 1])
        return opset8.relu(opset8.add(x, by_channel(self._drawn(CHANNELS))))

    def _conv(self, x: Any, outputs: int = CHANNELS, inputs: int = CHANNELS) -> Any:
        kernel = self._kernel(outputs, inputs, 1, 1)
        x = opset8.convolution(x, kernel, [1, 1], [0, 0], [0, 0], [1, 1])
        return opset8.add(x, by_channel(self._drawn(outputs)))

    def _norm(self, x: Any) -> Any:
        return opset8.mvn(x, constant(np.int64([2, 3])), True, 1e-5, "INSIDE_SQRT")

    def _affine(self, x: Any, channels: int) -> Any:
        x = opset8.multiply(x, by_channel(1 + self._drawn(channels)))
        return opset8.add(x, by_channel(self._drawn(channels)))

    def _kernel(self, *shape: int) -> Any:
        fan_in = int(np.prod(shape[1:]))
        return constant(self._rng.normal(0, (2 / fan_in) ** 0.5, shape).astype(np.float32))

    def _drawn(self, *shape: int) -> np.ndarray:
        return self._rng.normal(0, 0.3, shape).astype(np.float32)


def constant(values: Any) -> Any:
    return opset8.constant(np.asarray(values))


def by_channel(values: np.ndarray) -> Any:
    return constant(values.reshape(1, -1, 1, 1).astype(np.float32))


def mean(x: Any) -> Any:
    return opset8.reduce_mean(x, constant(np.int64([2, 3])), True)
