"""The embedding head: pooling and a linear embedding; and what is added to it for training."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from trainer.network.losses import moved_centers, unit
from trainer.recipe.loss_settings import Losses

_FULL = "float32"
"""Precision of powers and of the layers that only training has: small, and losses need it."""


@keras.saving.register_keras_serializable("edge_reid")
class GeMPooling(layers.Layer):  # type: ignore[misc]
    """Generalised-mean pooling (Radenović et al., TPAMI 2019, eq. 2): (B, H, W, C) → (B, 1, 1, C).

    (mean xᵖ)^(1/p) with one learned p; p = 1 is the average, p → ∞ the maximum.  An int8 file
    keeps the two powers in float and rounds the maps of powers coarsely: on Market-1501 crops
    its embeddings are 0.975 from the float ones (mean cosine), 0.994 with average pooling.
    """

    def build(self, _shape: tuple[int, ...]) -> None:
        self.power = self.add_weight(
            shape=(), initializer=keras.initializers.Constant(3.0), name="power"
        )

    def call(self, x: keras.KerasTensor) -> keras.KerasTensor:
        powered = ops.power(ops.maximum(x, 1e-6), self.power)
        return ops.power(ops.mean(powered, axis=(1, 2), keepdims=True), 1.0 / self.power)


@keras.saving.register_keras_serializable("edge_reid")
class CosineClassifier(layers.Layer):  # type: ignore[misc]
    """Cosines between (B, D) and one learned vector for each of C identities: (B, C)."""

    def __init__(self, identities: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.identities = identities

    def build(self, shape: tuple[int, int]) -> None:
        self.vectors = self.add_weight(
            shape=(self.identities, shape[-1]), initializer="glorot_uniform", name="vectors"
        )

    def call(self, x: keras.KerasTensor) -> keras.KerasTensor:
        return ops.matmul(unit(x), ops.transpose(unit(self.vectors)))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "identities": self.identities}


@keras.saving.register_keras_serializable("edge_reid")
class Centers(layers.Layer):  # type: ignore[misc]
    """The learned centre (C, D) of every identity, whatever goes in; `move` is how they learn."""

    def __init__(self, identities: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.identities = identities

    def build(self, shape: tuple[int, int]) -> None:
        # Moved by the rule of the paper, not by the optimizer, whose small steps they would
        # never catch up with: an identity comes round once in a hundred steps.
        self.centers = self.add_weight(
            shape=(self.identities, shape[-1]), initializer="zeros", trainable=False, name="centers"
        )

    def call(self, _x: keras.KerasTensor) -> keras.KerasTensor:
        return ops.convert_to_tensor(self.centers)

    def move(self, embeddings: Any, labels: Any, rate: float) -> None:
        """Move the centres of a batch's identities towards its embeddings (B, D)."""
        self.centers.assign(
            moved_centers(ops.stop_gradient(embeddings), labels, self.centers, rate)
        )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "identities": self.identities}


def add_embedding(backbone: keras.Model, dimension: int, pooling: str = "average") -> keras.Model:
    """Image → embedding, not normalised: (B, H, W, 3) RGB 0..255 → (B, D) float32.

    The embedding is a 1×1 convolution rather than a Dense layer: TFLite quantises convolutions
    per channel in every runtime version, fully connected layers only in recent ones.
    The L2 norm is left to the device (design promise 2).
    """
    if pooling == "average":
        x = layers.GlobalAveragePooling2D(keepdims=True, name="pool")(backbone.output)
    else:
        # A cube of what is nearly nothing is nothing in half precision, and its root has no slope.
        x = GeMPooling(name="pool", dtype=_FULL)(backbone.output)
    x = layers.Conv2D(dimension, 1, name="embedding_conv")(x)
    x = layers.Reshape((dimension,), name="embedding")(x)
    return keras.Model(backbone.input, x, name="embedder")


def add_training_heads(
    embedder: keras.Model, identities: int, losses: Losses, teacher_dimension: int
) -> keras.Model:
    """Image → what `losses` compare, by name; each part is there only if a loss needs it.

    `embedding` (B, D); behind BNNeck `logits` and `cosines` (B, C) of the classifiers of softmax
    and of ArcFace and CosFace; `centers` (C, D); `imitation` (B, T), which is to be like the
    teacher: the embedding itself or, where the teacher has another dimension, a learned linear
    map of it (Romero et al., "FitNets", ICLR 2015), so that the student's dimension is free.
    """
    embedding = embedder.output
    outputs = {"embedding": embedding} | _classifiers(embedding, identities, losses)
    if losses.center:
        outputs["centers"] = Centers(identities, name="centers", dtype=_FULL)(embedding)
    if losses.regression:
        outputs["imitation"] = _imitation(embedding, teacher_dimension)
    return keras.Model(embedder.input, outputs)


def _classifiers(
    embedding: keras.KerasTensor, identities: int, losses: Losses
) -> dict[str, keras.KerasTensor]:
    """Classifiers behind BNNeck (Luo et al., "Bag of Tricks", 2019).

    That is BatchNorm without shift, between the feature that metric losses see and the one that
    classifiers see.
    """
    angular = losses.arcface or losses.cosface
    if not (losses.softmax or angular):
        return {}
    neck = layers.BatchNormalization(center=False, momentum=0.95, name="neck", dtype=_FULL)(
        embedding
    )
    outputs = {}
    if losses.softmax:
        outputs["logits"] = layers.Dense(
            identities, use_bias=False, name="classifier", dtype=_FULL
        )(neck)
    if angular:
        outputs["cosines"] = CosineClassifier(identities, name="cosines", dtype=_FULL)(neck)
    return outputs


def _imitation(embedding: keras.KerasTensor, teacher_dimension: int) -> keras.KerasTensor:
    if int(embedding.shape[-1]) == teacher_dimension:
        return embedding
    return layers.Dense(teacher_dimension, use_bias=False, name="imitation", dtype=_FULL)(embedding)
