"""MobileNetV2 and V3 in Keras 3: ImageNet weights of two origins fit, and TFLite needs no PAD.

The networks are those of Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks"
(CVPR 2018), table 2, and Howard et al., "Searching for MobileNetV3" (ICCV 2019), tables 1 and 2.
Normalisation is the first layer: the input is RGB 0..255.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

import keras
from keras import layers

from trainer.recipe.settings import BackboneName

EPSILON = 1e-5
"""Of every BatchNorm, as in torchvision's V2; weights of another origin are converted."""
MOMENTUM = 0.95
"""Of BatchNorm's moving statistics: fine-tuning is too short for Keras' 0.99."""
BLOCK_COUNT = 17
"""Of MobileNetV2, the longest; V3 has 11 or 15."""
GATE_SHIFT = 3.0
"""hard_sigmoid(x) = ReLU6(x + 3) / 6; the 3 is in the bias of the convolution before, so that it
and the ReLU6 are one int8 operation."""
_BLOCK = re.compile(r"block(\d+)_")
_SQUEEZE = 4
"""The inner width of squeeze-and-excite is the block's by this."""


@dataclass(frozen=True, slots=True)
class Block:
    """An inverted residual: expand 1×1, depthwise, squeeze-and-excite, project 1×1.

    Attributes:
        kernel_px: side of the depthwise kernel.
        expansion: of the channels that come in; 1 leaves the first convolution out.
        channels: that go out, at α = 1.
        stride: of the depthwise convolution.
        squeeze: whether channels are weighted by what the whole map shows.
        swish: hard swish instead of ReLU (V2: ReLU6).
    """

    kernel_px: int
    expansion: float
    channels: int
    stride: int
    squeeze: bool = False
    swish: bool = False


def _v2_blocks() -> Iterator[Block]:
    # (expansion, channels, repeats, first stride) of each stage, table 2 of the paper.
    stages = (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    )
    for expansion, channels, repeats, stride in stages:
        for repeat in range(repeats):
            yield Block(3, expansion, channels, stride if repeat == 0 else 1)


BLOCKS: dict[BackboneName, tuple[Block, ...]] = {
    "mobilenetv2": tuple(_v2_blocks()),
    "mobilenetv3-small": (
        Block(3, 1, 16, 2, squeeze=True),
        Block(3, 72 / 16, 24, 2),
        Block(3, 88 / 24, 24, 1),
        Block(5, 4, 40, 2, squeeze=True, swish=True),
        Block(5, 6, 40, 1, squeeze=True, swish=True),
        Block(5, 6, 40, 1, squeeze=True, swish=True),
        Block(5, 3, 48, 1, squeeze=True, swish=True),
        Block(5, 3, 48, 1, squeeze=True, swish=True),
        Block(5, 6, 96, 2, squeeze=True, swish=True),
        Block(5, 6, 96, 1, squeeze=True, swish=True),
        Block(5, 6, 96, 1, squeeze=True, swish=True),
    ),
    "mobilenetv3-large": (
        Block(3, 1, 16, 1),
        Block(3, 4, 24, 2),
        Block(3, 3, 24, 1),
        Block(5, 3, 40, 2, squeeze=True),
        Block(5, 3, 40, 1, squeeze=True),
        Block(5, 3, 40, 1, squeeze=True),
        Block(3, 6, 80, 2, swish=True),
        Block(3, 2.5, 80, 1, swish=True),
        Block(3, 2.3, 80, 1, swish=True),
        Block(3, 2.3, 80, 1, swish=True),
        Block(3, 6, 112, 1, squeeze=True, swish=True),
        Block(3, 6, 112, 1, squeeze=True, swish=True),
        Block(5, 6, 160, 2, squeeze=True, swish=True),
        Block(5, 6, 160, 1, squeeze=True, swish=True),
        Block(5, 6, 160, 1, squeeze=True, swish=True),
    ),
}


@dataclass(frozen=True, slots=True)
class BackboneConfig:
    """What fixes the shape of the network.

    Attributes:
        alpha: width multiplier (V2 at 1.0 has 2.2 M weights before the head).
        last_stride: stride of the last down-sampling block; 1 doubles the final map, as is usual
            in re-ID (Luo et al., "Bag of Tricks", 2019), 2 is the ImageNet network.
        name: which network.
    """

    alpha: float = 1.0
    last_stride: int = 1
    name: BackboneName = "mobilenetv2"

    @property
    def is_v2(self) -> bool:
        """MobileNetV2: ReLU6 everywhere."""
        return self.name == "mobilenetv2"

    def blocks(self) -> tuple[Block, ...]:
        """The blocks in their order, the last stride as asked."""
        blocks = list(BLOCKS[self.name])
        last = max(index for index, block in enumerate(blocks) if block.stride > 1)
        blocks[last] = replace(blocks[last], stride=self.last_stride)
        return tuple(blocks)


def round_channels(channels: float, divisor: int = 8) -> int:
    """Nearest multiple of `divisor`, never more than 10 % below `channels`, as in the papers' code.

    >>> round_channels(32 * 0.35)
    16
    """
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


def build_backbone(config: BackboneConfig, height_px: int, width_px: int) -> keras.Model:
    """The feature network: (B, H, W, 3) RGB 0..255 → (B, H/s, W/s, C), s = 16 or 32."""
    image = keras.Input((height_px, width_px, 3), name="image")
    x = layers.Rescaling(1 / 127.5, offset=-1.0, name="normalise")(image)
    # V3's first and last convolutions are not thinned as V2's are.
    stem = round_channels(32 * config.alpha) if config.is_v2 else 16
    activation = "relu6" if config.is_v2 else "swish"
    x = _conv_bn(x, stem, 3, 2, "stem", activation=activation)
    for index, block in enumerate(config.blocks(), start=1):
        x = _inverted_residual(x, block, config, f"block{index}")
    last = round_channels(1280 * max(1.0, config.alpha)) if config.is_v2 else 6 * x.shape[-1]
    x = _conv_bn(x, round_channels(last), 1, 1, "last", activation=activation)
    return keras.Model(image, x, name=config.name)


def _inverted_residual(
    x: keras.KerasTensor, block: Block, config: BackboneConfig, name: str
) -> keras.KerasTensor:
    entry, entry_channels = x, int(x.shape[-1])
    activation = "swish" if block.swish else "relu6" if config.is_v2 else "relu"
    channels = round_channels(block.channels * config.alpha)
    if block.expansion != 1:
        wide = round_channels(entry_channels * block.expansion)
        x = _conv_bn(x, wide, 1, 1, f"{name}_expand", activation=activation)
    x = layers.DepthwiseConv2D(
        block.kernel_px,
        strides=block.stride,
        padding="same",
        use_bias=False,
        name=f"{name}_depthwise_conv",
    )(x)
    x = _activate(_batch_norm(x, f"{name}_depthwise"), activation, f"{name}_depthwise")
    if block.squeeze:
        x = _squeeze_excite(x, name)
    x = _conv_bn(x, channels, 1, 1, f"{name}_project", activation=None)
    if block.stride == 1 and entry_channels == channels:
        x = layers.Add(name=f"{name}_add")([entry, x])
    return x


def _squeeze_excite(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Channels weighted by what the whole map shows (Hu et al., CVPR 2018), with V3's gate."""
    channels = int(x.shape[-1])
    gate = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_squeeze_pool")(x)
    gate = layers.Conv2D(round_channels(channels / _SQUEEZE), 1, name=f"{name}_squeeze_conv")(gate)
    gate = layers.ReLU(name=f"{name}_squeeze_relu")(gate)
    shifted = keras.initializers.Constant(GATE_SHIFT)
    gate = layers.Conv2D(channels, 1, bias_initializer=shifted, name=f"{name}_excite_conv")(gate)
    gate = layers.ReLU(6.0, name=f"{name}_excite_relu")(gate)
    gate = layers.Rescaling(1 / 6, name=f"{name}_excite_gate")(gate)
    return layers.Multiply(name=f"{name}_excite")([x, gate])


def _conv_bn(
    x: keras.KerasTensor,
    channels: int,
    size: int,
    stride: int,
    name: str,
    *,
    activation: str | None,
) -> keras.KerasTensor:
    x = layers.Conv2D(
        channels, size, strides=stride, padding="same", use_bias=False, name=f"{name}_conv"
    )(x)
    return _activate(_batch_norm(x, name), activation, name)


def _batch_norm(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    return layers.BatchNormalization(epsilon=EPSILON, momentum=MOMENTUM, name=f"{name}_bn")(x)


def _activate(x: keras.KerasTensor, activation: str | None, name: str) -> keras.KerasTensor:
    if activation is None:
        return x
    if activation == "swish":
        return layers.Activation("hard_silu", name=f"{name}_swish")(x)
    return layers.ReLU(6.0 if activation == "relu6" else None, name=f"{name}_relu")(x)


def freeze_below(network: keras.Model, blocks: int) -> None:
    """Freeze the stem and the first `blocks` blocks (BatchNorm then uses its stored statistics).

    0 frees everything; more than there are freezes everything, the last convolution included.
    """
    numbers = (_BLOCK.match(layer.name) for layer in network.layers)
    count = max((int(found[1]) for found in numbers if found), default=0)
    frozen = ["stem_"] + [f"block{i}_" for i in range(1, min(blocks, count) + 1)]
    if blocks > count:
        frozen.append("last_")
    for layer in network.layers:
        layer.trainable = blocks == 0 or not layer.name.startswith(tuple(frozen))
