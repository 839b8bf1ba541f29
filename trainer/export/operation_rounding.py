"""A network of operations as an int8 file: convolutions of integers, norms and gates in float.

Norms and gates look at a crop as a whole.  Those are few values and stay float; so do the two norms
of whole maps, whose range differs from crop to crop.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import keras
import tensorflow as tf

from trainer.export.quant_ranges import SHARE_WITHIN, ImageBatch, channel_peaks, map_ranges
from trainer.export.quantize import converter_of
from trainer.network.backend import hushed
from trainer.network.fake_quant import Ranges
from trainer.network.operation_network import build_network, layer_name
from trainer.network.operations import Operation, equalisable, equalised, rounded_operations

_NORMS_WITHIN = 0.98
"""Share of crops that the limits behind a norm hold whole: what stands out of a crop is what it is
known by. On 0287 it keeps the worst crop at a cosine of 0.992 instead of 0.982."""


def with_limits(
    operations: Sequence[Operation], crops: ImageBatch
) -> tuple[tuple[Operation, ...], Ranges]:
    """The same with channels made alike, and the limits of what is rounded.

    Args:
        operations: of a network of one picture.
        crops: (N, H, W, 3) RGB uint8 of people.
    """
    names = equalisable(operations)
    network = build_network(operations)
    maps = [network.get_layer(layer_name(name)).output for name in names]
    peaks = dict(zip(names, channel_peaks(network, maps, crops), strict=True))
    alike = equalised(operations, peaks)
    rounded = set(rounded_operations(alike))
    norms = {each.name for each in alike if each.kind == "MVN"}
    network = build_network(alike)
    return alike, {
        **_limits(network, rounded - norms, crops, SHARE_WITHIN),
        **_limits(network, rounded & norms, crops, _NORMS_WITHIN),
    }


def _limits(
    network: keras.Model, operations: Iterable[str], crops: ImageBatch, within: float
) -> Ranges:
    names = {layer_name(operation): operation for operation in operations}
    found = map_ranges(network, list(names), crops, within=within)
    return {names[layer]: limits for layer, limits in found.items()}


def to_rounded_file(operations: Sequence[Operation], ranges: Ranges) -> bytes:
    """A TFLite file: (1, H, W, 3) RGB uint8 → (1, D) float32."""
    network = build_network(operations, batch=1, ranges=ranges)
    converter = converter_of(lambda image: network(tf.cast(image, tf.float32)), network, tf.uint8)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    with hushed():
        return bytes(converter.convert())
