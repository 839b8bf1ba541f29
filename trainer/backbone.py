"""MobileNetV2 in Keras 3: ImageNet weights of two origins fit, and TFLite needs no PAD.

The network is that of Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks"
(CVPR 2018), table 2.  Normalisation is the first layer: the input is RGB 0..255.
"""

from __future__ import annotations

from dataclasses import dataclass

import keras
from keras import layers

# (expansion, channels, repeats, first stride) of each stage, table 2 of the paper.
STAGES: tuple[tuple[int, int, int, int], ...] = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
EPSILON = 1e-5
"""Of every BatchNorm, as in torchvision; weights of another origin are converted."""
MOMENTUM = 0.95
"""Of BatchNorm's moving statistics: fine-tuning is too short for Keras' 0.99."""
BLOCK_COUNT = sum(repeats for _, _, repeats, _ in STAGES)


@dataclass(frozen=True, slots=True)
class BackboneConfig:
    """What fixes the shape of the network.

    Attributes:
        alpha: width multiplier (1.0 has 2.2 M weights before the head).
        last_stride: stride of the last down-sampling stage; 1 doubles the final map, as is usual
            in re-ID (Luo et al., "Bag of Tricks", 2019), 2 is the ImageNet network.
    """

    alpha: float = 1.0
    last_stride: int = 1


def round_channels(channels: float, divisor: int = 8) -> int:
    """Nearest multiple of `divisor`, never more than 10 % below `channels`, as in the paper's code.

    >>> round_channels(32 * 0.35)
    16
    """
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


def build_backbone(config: BackboneConfig, height_px: int, width_px: int) -> keras.Model:
    """The feature network: (B, H, W, 3) RGB 0..255 → (B, H/s, W/s, C), s = 16 or 32."""
    image = keras.Input((height_px, width_px, 3), name="image")
    x = layers.Rescaling(1 / 127.5, offset=-1.0, name="normalise")(image)
    x = _conv_bn(x, round_channels(32 * config.alpha), 3, 2, "stem")
    index = 0
    for stage, (expansion, channels, repeats, stride) in enumerate(STAGES):
        for repeat in range(repeats):
            index += 1
            first = stride if stage != len(STAGES) - 2 else config.last_stride
            x = _inverted_residual(
                x,
                round_channels(channels * config.alpha),
                stride=first if repeat == 0 else 1,
                expansion=expansion,
                name=f"block{index}",
            )
    # The last convolution is not thinned below 1280, as in the paper.
    x = _conv_bn(x, round_channels(1280 * max(1.0, config.alpha)), 1, 1, "last")
    return keras.Model(image, x, name="mobilenetv2")


def _batch_norm(name: str) -> layers.BatchNormalization:
    return layers.BatchNormalization(epsilon=EPSILON, momentum=MOMENTUM, name=f"{name}_bn")


def _conv_bn(
    x: keras.KerasTensor,
    channels: int,
    size: int,
    stride: int,
    name: str,
    *,
    activate: bool = True,
) -> keras.KerasTensor:
    x = layers.Conv2D(
        channels, size, strides=stride, padding="same", use_bias=False, name=f"{name}_conv"
    )(x)
    x = _batch_norm(name)(x)
    return layers.ReLU(6.0, name=f"{name}_relu")(x) if activate else x


def _inverted_residual(
    x: keras.KerasTensor,
    channels: int,
    *,
    stride: int,
    expansion: int,
    name: str,
) -> keras.KerasTensor:
    entry, entry_channels = x, int(x.shape[-1])
    if expansion != 1:
        x = _conv_bn(x, entry_channels * expansion, 1, 1, f"{name}_expand")
    x = layers.DepthwiseConv2D(
        3, strides=stride, padding="same", use_bias=False, name=f"{name}_depthwise_conv"
    )(x)
    x = _batch_norm(f"{name}_depthwise")(x)
    x = layers.ReLU(6.0, name=f"{name}_depthwise_relu")(x)
    x = _conv_bn(x, channels, 1, 1, f"{name}_project", activate=False)
    if stride == 1 and entry_channels == channels:
        x = layers.Add(name=f"{name}_add")([entry, x])
    return x


def freeze_below(network: keras.Model, blocks: int) -> None:
    """Freeze the stem and the first `blocks` blocks (BatchNorm then uses its stored statistics).

    0 frees everything; `BLOCK_COUNT + 1` freezes everything, the last convolution included.
    """
    frozen = ["stem_"] + [f"block{i}_" for i in range(1, min(blocks, BLOCK_COUNT) + 1)]
    if blocks > BLOCK_COUNT:
        frozen.append("last_")
    for layer in network.layers:
        layer.trainable = blocks == 0 or not layer.name.startswith(tuple(frozen))
