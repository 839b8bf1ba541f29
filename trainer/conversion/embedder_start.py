r"""Start weights for an embedder, from the MobileNetV2 inside a person detector.

    python -m trainer.conversion.embedder_start person-detection-0201.xml --crops PEOPLE \
        --out start.npz

person-detection-0201 (Apache-2.0) has the backbone that our embedder has, up to the last 1×1
convolutions, and has learnt people. For whoever may use neither our checkpoint nor ImageNet's
pictures, this is a start under clear terms.

Its BatchNorms are folded into the kernels. Training needs them back: each gets the mean and the
variance that its channels have on some crops, and the scale and shift that undo them, so that the
network computes what it did.  Its first block has a convolution more than ours; that and the stem
become one, as near as one comes.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from edge_reid.core.errors import EdgeReidError, TrainingError
from edge_reid.vision.photo import PHOTO_SUFFIXES
from trainer.conversion.openvino_ir import IrConvolution, read_convolutions
from trainer.conversion.ssd import CONVOLUTIONS, FINE_BLOCK, RELU6
from trainer.data.decoded_crops import load_crops
from trainer.files.progress_bars import bar
from trainer.network.backbone import EPSILON, BackboneConfig, build_backbone
from trainer.network.heads import add_embedding
from trainer.network.model import save_weights

_SIZE_PX = (128, 64)
"""Height and width of the crops that statistics are taken of; weights fit any size."""
_DIMENSION = 256
_MOST_CROPS = 512
_LAST_BACKBONE = 54


def start_weights(detector: Path, crops: npt.NDArray[np.uint8]) -> keras.Model:
    """An embedder with the detector's backbone; the last two convolutions are drawn at random.

    Args:
        detector: person-detection-0201's `.xml`, its `.bin` beside it.
        crops: (N, H, W, 3) RGB uint8 of people, for the statistics.

    Raises:
        TrainingError: it is another network.
    """
    stem, expansion, *others = _backbone_of(detector)
    found = iter([merged_convolution(stem, expansion, crops), *others])
    height_px, width_px = crops.shape[1:3]
    backbone = build_backbone(BackboneConfig(), height_px, width_px)
    for name in bar(list(_convolutions(backbone)), "statistics"):
        convolution = next(found, None)
        if convolution is not None:
            kernel = convolution.kernel
            backbone.get_layer(f"{name}_conv").set_weights([kernel])
        restore_norm(backbone, name, crops, None if convolution is None else convolution.bias)
    return add_embedding(backbone, _DIMENSION)


def _backbone_of(detector: Path) -> Sequence[IrConvolution]:
    """Stem, then expansion, depthwise and projection of each block; for RGB of -1..1."""
    found = read_convolutions(detector)
    if len(found) != CONVOLUTIONS:
        raise TrainingError(
            f"{detector}: expected the {CONVOLUTIONS} convolutions of a MobileNetV2-SSD, got "
            f"{len(found)}; give person-detection-0201, FP16-INT8"
        )
    fine_end = 1 + 3 * (FINE_BLOCK + 1)
    return [_for_our_pixels(found[0]), *found[1:fine_end], *found[fine_end + 2 : _LAST_BACKBONE]]


def _for_our_pixels(stem: IrConvolution) -> IrConvolution:
    """It takes BGR of 0..1, we give RGB of u = 2x - 1: x = u/2 + 1/2, and the half is constant.

    (At the border zero padding is mid-grey instead of black.)
    """
    kernel = stem.kernel[:, :, ::-1] / 2
    return replace(stem, kernel=kernel, bias=stem.bias + kernel.sum(axis=(0, 1, 2)))


def merged_convolution(
    stem: IrConvolution, expansion: IrConvolution, crops: npt.NDArray[np.uint8]
) -> IrConvolution:
    """The one 3×3 convolution that comes nearest to two, by least squares on some crops.

    The detector's first block widens 32 maps to 32, a convolution that ours does not have.
    """
    pixels = crops[::8].astype(np.float32) / 127.5 - 1
    patches = np.asarray(ops.image.extract_patches(pixels, 3, strides=2, padding="same"))
    seen = patches.reshape(-1, patches.shape[-1])
    first = seen @ stem.kernel.reshape(seen.shape[1], -1) + stem.bias
    second = np.clip(first, 0, RELU6) @ expansion.kernel[0, 0] + expansion.bias
    inputs = np.column_stack([seen, np.ones(len(seen), np.float32)])
    fitted, *_ = np.linalg.lstsq(inputs, second, rcond=None)
    return replace(stem, kernel=fitted[:-1].reshape(stem.kernel.shape), bias=fitted[-1])


def _convolutions(backbone: keras.Model) -> Iterator[str]:
    for layer in backbone.layers:
        if layer.name.endswith("_conv"):
            yield layer.name.removesuffix("_conv")


def restore_norm(
    backbone: keras.Model,
    name: str,
    crops: npt.NDArray[np.uint8],
    bias: npt.NDArray[np.float32] | None,
) -> None:
    """Set a BatchNorm so that it gives convolution + bias, or unit variance where bias is None."""
    upto = keras.Model(backbone.input, backbone.get_layer(f"{name}_conv").output)
    maps = np.concatenate([np.asarray(upto(part)) for part in np.array_split(crops, 8)])
    mean, variance = maps.mean(axis=(0, 1, 2)), maps.var(axis=(0, 1, 2))
    scale, shift = np.ones_like(mean), np.zeros_like(mean)
    if bias is not None:
        scale, shift = np.sqrt(variance + EPSILON), mean + bias
    backbone.get_layer(f"{name}_bn").set_weights([scale, shift, mean, variance])


def main() -> None:
    """Write the weights."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("detector", type=Path, help="person-detection-0201.xml")
    parser.add_argument("--crops", type=Path, required=True, help="folder of pictures of people")
    parser.add_argument("--out", type=Path, required=True, help=".npz, for a recipe's start_from")
    options = parser.parse_args()
    paths = sorted(p for p in options.crops.rglob("*") if p.suffix.lower() in PHOTO_SUFFIXES)
    chosen = np.random.default_rng(0).permutation(len(paths))[:_MOST_CROPS]
    try:
        if not len(chosen):
            raise TrainingError(f"{options.crops}: expected pictures of people, got none")
        keras.utils.set_random_seed(0)
        crops = load_crops([paths[index] for index in chosen], *_SIZE_PX)
        save_weights(start_weights(options.detector, crops), options.out)
    except EdgeReidError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
