"""Training through int8 rounding, so that the exported file loses less.

The forward pass sees every activation map as int8 will: 256 steps over the map's range.  Backward
the rounding counts as the identity (straight-through; Jacob et al., "Quantization and Training of
Neural Networks for Efficient Integer-Arithmetic-Only Inference", CVPR 2018, section 3).  Weights
are left as they are: per channel, they cost a tenth of what activations do.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

_STEPS = 255.0
_ROUNDED = ("_relu", "_add", "_project_bn", "pool", "embedding_conv")
"""Ends of the names of layers whose output becomes an int8 tensor in the file."""


@keras.saving.register_keras_serializable("edge_reid")
class Int8Rounding(layers.Layer):  # type: ignore[misc]
    """Round to 256 steps between the batch's smallest and largest value; any shape, unchanged."""

    def call(self, x: keras.KerasTensor) -> keras.KerasTensor:
        low, high = ops.minimum(ops.min(x), 0.0), ops.maximum(ops.max(x), 0.0)
        step = ops.maximum(high - low, 1e-6) / _STEPS
        return x + ops.stop_gradient(ops.round(x / step) * step - x)


def rounded(model: keras.Model) -> keras.Model:
    """The same network, sharing all its layers, with rounding after every one that int8 rounds."""

    def call(layer: keras.Layer, *inputs: Any, **options: Any) -> Any:
        output = layer(*inputs, **options)
        return Int8Rounding()(output) if layer.name.endswith(_ROUNDED) else output

    return keras.models.clone_model(model, clone_function=lambda layer: layer, call_function=call)
