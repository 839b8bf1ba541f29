"""What int8 needs before anything is trained: crops, ranges of maps, and channels made alike.

The converter's own calibration takes the least and largest value it sees.  A network may answer a
rare pattern with activations thirty times as large as any other (white tiles in 7 % of the CUHK03
crops do that), and a range that holds these leaves everybody else a few steps.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TypeAlias

import keras
import numpy as np
import numpy.typing as npt
from keras import layers

from trainer.network.bn_folding import FloatArray
from trainer.network.fake_quant import Ranges, rounded_maps

ImageBatch: TypeAlias = npt.NDArray[np.uint8]
IntArray: TypeAlias = npt.NDArray[np.int64]

SHARE_WITHIN = 0.9
"""Share of crops that a range holds whole; the others saturate in some map.  On the shipped network
0.9 keeps closer to float than 1, 0.7 or 0.5 (cosine 0.9971 against 0.9957, 0.9969, 0.9965)."""
_BATCH = 8
_WIDEST = 1000.0
"""A channel is made wider by at most this: dead ones have no peak to divide by."""


def stratified(
    labels: IntArray, count: int, seed: int, cameras: IntArray | None = None
) -> IntArray:
    """Indices of about `count` pictures, spread over people, and of each over their cameras.

    Everybody's first picture comes before anybody's second, and a person's second is under
    another camera than the first where there is one.
    """
    order = np.random.default_rng(seed).permutation(len(labels))
    views = np.zeros_like(labels) if cameras is None else cameras
    nth_of_view = _turns(np.stack([labels, views], axis=1)[order])
    # Within a person: first one picture of each camera, then the second ones.
    by_turn = order[np.argsort(nth_of_view, kind="stable")]
    nth_of_person = _turns(labels[by_turn][:, None])
    return np.sort(by_turn[np.argsort(nth_of_person, kind="stable")][:count])


def _turns(keys: IntArray) -> IntArray:
    """How often each row (N, K) has come before."""
    seen: Counter[tuple[int, ...]] = Counter()
    turns = np.empty(len(keys), np.int64)
    for index, key in enumerate(map(tuple, keys.tolist())):
        turns[index] = seen[key]
        seen[key] += 1
    return turns


def activation_ranges(folded: keras.Model, crops: ImageBatch) -> Ranges:
    """Limits of every rounded map of a folded network: (N, H, W, 3) RGB uint8 crops set them."""
    return map_ranges(folded, rounded_maps(folded), crops)


def map_ranges(
    network: keras.Model, names: Sequence[str], crops: ImageBatch, *, within: float = SHARE_WITHIN
) -> Ranges:
    """Limits of the outputs of some layers, which hold this share of the crops whole."""
    maps = [network.get_layer(name).output for name in names]
    extremes = [
        [
            (values.min(axis=_but_first(values)), values.max(axis=_but_first(values)))
            for values in batch
        ]
        for batch in _outputs(network, maps, crops)
    ]
    ranges: dict[str, tuple[float, float]] = {}
    for index, name in enumerate(names):
        low, high = (np.concatenate([b[index][side] for b in extremes]) for side in (0, 1))
        ranges[name] = (
            min(0.0, float(np.quantile(low, 1.0 - within))),
            max(0.0, float(np.quantile(high, within))),
        )
    return ranges


def equalise(folded: keras.Model, crops: ImageBatch) -> None:
    """Make all channels between a ReLU and a depthwise convolution use the whole range, in place.

    Scaling a channel up there and its depthwise kernel down changes nothing in float (but what
    exceeds the peaks of these crops meets a ReLU6 sooner), costs int8 nothing either (both kernels
    have a scale per channel), and a channel whose peak is a twentieth of the map's gets 256 steps
    instead of 13 (Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias
    Correction", ICCV 2019, for the one case that is free).
    """
    pairs = list(_relu_pairs(folded))
    if not pairs:
        return
    peaks = channel_peaks(folded, [relu.output for _, relu, _ in pairs], crops)
    for (before, relu, depthwise), peak in zip(pairs, peaks, strict=True):
        target = relu.max_value or float(peak.max())
        scale = np.clip(target / np.maximum(peak, 1e-9), 1.0, _WIDEST).astype(np.float32)
        kernel, bias = before.get_weights()
        along = scale[:, None] if isinstance(before, layers.DepthwiseConv2D) else scale
        before.set_weights([kernel * along, bias * scale])
        kernel, bias = depthwise.get_weights()
        depthwise.set_weights([kernel / scale[:, None], bias])


def _relu_pairs(
    folded: keras.Model,
) -> Iterator[tuple[keras.Layer, keras.Layer, keras.Layer]]:
    """Each (convolution, its ReLU, the depthwise convolution that alone reads it)."""
    for relu in folded.layers:
        if isinstance(relu, layers.ReLU):
            readers = [layer for layer in folded.layers if _reads(layer, relu)]
            if len(readers) == 1 and isinstance(readers[0], layers.DepthwiseConv2D):
                (before,) = (layer for layer in folded.layers if _reads(relu, layer))
                yield before, relu, readers[0]


def _reads(reader: keras.Layer, layer: keras.Layer) -> bool:
    inputs = reader.input if isinstance(reader.input, list) else [reader.input]
    return any(tensor is layer.output for tensor in inputs)


def channel_peaks(
    network: keras.Model, maps: Sequence[keras.KerasTensor], crops: ImageBatch
) -> list[FloatArray]:
    """The largest magnitude (C,) of each channel of some maps (B, H, W, C)."""
    peaks = [np.zeros(tensor.shape[-1], np.float32) for tensor in maps]
    for batch in _outputs(network, maps, crops):
        for peak, values in zip(peaks, batch, strict=True):
            np.maximum(peak, np.abs(values).max(axis=(0, 1, 2)), out=peak)
    return peaks


def _outputs(
    network: keras.Model, maps: Sequence[keras.KerasTensor], crops: ImageBatch
) -> Iterator[list[FloatArray]]:
    watched = keras.Model(network.input, {str(index): tensor for index, tensor in enumerate(maps)})
    for start in range(0, len(crops), _BATCH):
        batch = crops[start : start + _BATCH].astype(np.float32)
        found = watched.predict_on_batch(batch)
        yield [keras.ops.convert_to_numpy(found[str(index)]) for index in range(len(maps))]


def _but_first(values: FloatArray) -> tuple[int, ...]:
    return tuple(range(1, values.ndim))
