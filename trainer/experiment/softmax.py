"""The classifier of the 2021 paper: an ImageNet MobileNet, its base frozen, new layers on top.

Jalapur & Hundekar add layers to MobileNet, train those, and refine. What they leave open (number
and width of the new layers, steps, rates) is set here to what is usual in transfer learning.
"""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
from keras import layers

from edge_reid.core.errors import TrainingError
from trainer.data.datasets import IntArray
from trainer.data.decoded_crops import ImageBatch
from trainer.experiment.images import FloatArray
from trainer.network.backbone import BLOCK_COUNT, BackboneConfig, build_backbone, freeze_below
from trainer.network.imagenet_weights import load_imagenet

_HIDDEN = 128
_DROPOUT = 0.3
_EPOCHS = 15
_RATE = 1e-3
_REFINED_BLOCKS = 3
_REFINE_EPOCHS = 2
_REFINE_RATE = 1e-4
_BATCH = 32


def imagenet_base(weights: Path | None, height_px: int, width_px: int) -> keras.Model:
    """MobileNetV2 1.0 as trained on ImageNet: (B, H, W, 3) RGB 0..255 → (B, 1280).

    Args:
        weights: torchvision's `.pth`; None downloads those of keras.applications.
        height_px: of the input, a multiple of 32.
        width_px: of the input, a multiple of 32.

    Raises:
        TrainingError: there are no such weights, and none can be downloaded.
    """
    config = BackboneConfig(last_stride=2)
    network = build_backbone(config, height_px, width_px)
    if weights is not None:
        load_imagenet(network, config, weights)
    else:
        try:
            load_imagenet(network, config, None)
        except TrainingError as error:
            raise TrainingError(
                "experiment: expected ImageNet weights, keras.applications cannot be reached for "
                "them; give torchvision's mobilenet_v2-b0353104.pth with --imagenet"
            ) from error
    pooled = layers.GlobalAveragePooling2D(name="pool")(network.output)
    return keras.Model(network.input, pooled, name="imagenet")


def train_head(features: FloatArray, labels: IntArray, people: int, seed: int) -> keras.Model:
    """New layers trained on the frozen base's features (N, 1280): → probabilities (B, people)."""
    keras.utils.set_random_seed(seed)
    head = keras.Sequential(
        [
            keras.Input((features.shape[1],)),
            layers.Dropout(_DROPOUT),
            layers.Dense(_HIDDEN, activation="relu"),
            layers.Dropout(_DROPOUT),
            layers.Dense(people, activation="softmax"),
        ]
    )
    _fit(head, features, labels, _EPOCHS, _RATE)
    return head


def refined(
    base: keras.Model, head: keras.Model, images: ImageBatch, labels: IntArray
) -> keras.Model:
    """Base and head as one network, its last blocks trained on too; `base` itself stays as is."""
    copy = keras.models.clone_model(base)
    copy.set_weights(base.get_weights())
    freeze_below(copy, BLOCK_COUNT - _REFINED_BLOCKS)
    for layer in copy.layers:
        # Statistics of so few people would throw the normalisation off.
        layer.trainable = layer.trainable and not isinstance(layer, layers.BatchNormalization)
    network = keras.Model(copy.input, head(copy.output))
    _fit(network, images, labels, _REFINE_EPOCHS, _REFINE_RATE)
    return network


def classify(network: keras.Model, inputs: FloatArray | ImageBatch) -> IntArray:
    """The most probable person for each row or image."""
    chances = [
        keras.ops.convert_to_numpy(network(inputs[i : i + _BATCH], training=False))
        for i in range(0, len(inputs), _BATCH)
    ]
    return np.asarray(np.concatenate(chances).argmax(axis=1), np.int64)


def _fit(
    network: keras.Model,
    inputs: FloatArray | ImageBatch,
    labels: IntArray,
    epochs: int,
    rate: float,
) -> None:
    network.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy")
    network.fit(inputs, labels, batch_size=_BATCH, epochs=epochs, verbose=0)
