"""The embedding head: pooling, a linear embedding, and BNNeck with a classifier for training."""

from __future__ import annotations

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable("edge_reid")
class GeMPooling(layers.Layer):  # type: ignore[misc]
    """Generalised-mean pooling (Radenović et al., TPAMI 2019, eq. 2): (B, H, W, C) → (B, 1, 1, C).

    (mean xᵖ)^(1/p) with one learned p; p = 1 is the average, p → ∞ the maximum.
    """

    def build(self, _shape: tuple[int, ...]) -> None:
        self.power = self.add_weight(shape=(), initializer=keras.initializers.Constant(3.0))

    def call(self, x: keras.KerasTensor) -> keras.KerasTensor:
        powered = ops.power(ops.maximum(x, 1e-6), self.power)
        return ops.power(ops.mean(powered, axis=(1, 2), keepdims=True), 1.0 / self.power)


def add_embedding(backbone: keras.Model, dimension: int, pooling: str = "average") -> keras.Model:
    """Image → embedding, not normalised: (B, H, W, 3) RGB 0..255 → (B, D) float32.

    The embedding is a 1×1 convolution rather than a Dense layer: TFLite quantises convolutions
    per channel in every runtime version, fully connected layers only in recent ones.
    The L2 norm is left to the device (design promise 2).
    """
    if pooling == "average":
        x = layers.GlobalAveragePooling2D(keepdims=True, name="pool")(backbone.output)
    else:
        x = GeMPooling(name="pool")(backbone.output)
    x = layers.Conv2D(dimension, 1, name="embedding_conv")(x)
    x = layers.Reshape((dimension,), name="embedding")(x)
    return keras.Model(backbone.input, x, name="embedder")


def add_classifier(embedder: keras.Model, identities: int) -> keras.Model:
    """Image → {"embedding": (B, D), "logits": (B, C)}; the second through BNNeck.

    BNNeck (Luo et al., "Bag of Tricks", 2019): BatchNorm without shift between the feature that
    metric losses see and the one the softmax sees.
    """
    neck = layers.BatchNormalization(center=False, momentum=0.95, name="neck")(embedder.output)
    logits = layers.Dense(identities, use_bias=False, name="classifier")(neck)
    return keras.Model(embedder.input, {"embedding": embedder.output, "logits": logits})
