"""Training losses in `keras.ops`: every one takes (B, ...) tensors and returns a scalar tensor."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
from keras import ops

from trainer.recipe import Loss

Tensor = Any  # a backend's tensor: TensorFlow, JAX or PyTorch


def unit(x: Tensor) -> Tensor:
    """Rows of `x` (B, D) at L2 norm 1."""
    return x / ops.maximum(ops.norm(x, axis=-1, keepdims=True), 1e-6)


def smoothed_softmax(logits: Tensor, labels: Tensor, smoothing: float = 0.1) -> Tensor:
    """Cross-entropy with label smoothing (Szegedy et al. 2016): targets (1-ε)·onehot + ε/C.

    logits: (B, C); labels: (B,) int in [0, C).
    """
    log_p = ops.log_softmax(logits, axis=-1)
    target = (
        ops.one_hot(labels, logits.shape[-1]) * (1.0 - smoothing) + smoothing / logits.shape[-1]
    )
    return -ops.mean(ops.sum(target * log_p, axis=-1))


def batch_hard_triplet(embeddings: Tensor, labels: Tensor, margin: float = 0.3) -> Tensor:
    """Mean over anchors of [margin + hardest positive - hardest negative]₊ (Hermans et al. 2017).

    Distances are Euclidean between unit embeddings; embeddings: (B, D); labels: (B,) int.
    """
    e = unit(embeddings)
    distance = ops.sqrt(ops.maximum(2.0 - 2.0 * ops.matmul(e, ops.transpose(e)), 1e-8))
    same = ops.equal(ops.expand_dims(labels, 0), ops.expand_dims(labels, 1))
    positive = ops.max(ops.where(same, distance, 0.0), axis=1)
    negative = ops.min(ops.where(same, 4.0, distance), axis=1)
    return ops.mean(ops.relu(margin + positive - negative))


def embedding_regression(embeddings: Tensor, teacher: Tensor) -> Tensor:
    """Mean of 1 - cos(student, teacher): the student learns to live in the teacher's space.

    Both (B, D).  A zero row means "no teacher for this image" and does not count.
    """
    present = _has_teacher(teacher)
    cosine = ops.sum(unit(embeddings) * teacher, axis=-1)
    return ops.sum((1.0 - cosine) * present) / ops.maximum(ops.sum(present), 1.0)


def relational(embeddings: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference of the student's and teacher's pairwise cosines (Park et al. 2019).

    Both (B, D); pairs with a zero teacher row and an image with itself do not count.
    """
    e = unit(embeddings)
    present = _has_teacher(teacher)
    pairs = ops.expand_dims(present, 0) * ops.expand_dims(present, 1)
    pairs = pairs * (1.0 - ops.eye(e.shape[0] or ops.shape(e)[0]))
    difference = ops.matmul(e, ops.transpose(e)) - ops.matmul(teacher, ops.transpose(teacher))
    return ops.sum(ops.square(difference) * pairs) / ops.maximum(ops.sum(pairs), 1.0)


def _has_teacher(teacher: Tensor) -> Tensor:
    """(B,) float32: 1 where the teacher row is a unit vector, 0 where it is zero."""
    return ops.sum(ops.square(teacher), axis=-1)


class ReidModel(keras.Model):  # type: ignore[misc]
    """A functional model whose training loss is a weighted sum of the losses above.

    `y` is {"label": (B,) int32, "teacher": (B, D) float32, zero rows where there is none}.
    """

    def __init__(self, *args: Any, weights: Mapping[Loss, float], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.loss_weights_by_name: dict[Loss, float] = dict(weights)
        self.loss_means = {n: keras.metrics.Mean(name=n) for n in ("loss", *weights)}

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        return list(self.loss_means.values())

    def compute_loss(
        self,
        x: Tensor = None,  # noqa: ARG002 - Keras' signature
        y: Tensor = None,
        y_pred: Tensor = None,
        sample_weight: Tensor = None,  # noqa: ARG002
        training: bool = True,  # noqa: ARG002
    ) -> Tensor:
        """The weighted sum for one batch; each part is also tracked as a metric."""
        parts = loss_parts(y_pred, y, tuple(self.loss_weights_by_name))
        total = sum(self.loss_weights_by_name[n] * part for n, part in parts.items())
        for name, value in (*parts.items(), ("loss", total)):
            self.loss_means[name].update_state(value)
        return total


def loss_parts(
    output: dict[str, Tensor], target: dict[str, Tensor], names: Sequence[Loss]
) -> dict[Loss, Tensor]:
    """The named losses of one batch, unweighted."""
    embedding = output["embedding"]
    make: dict[Loss, Callable[[], Tensor]] = {
        "softmax": lambda: smoothed_softmax(output["logits"], target["label"]),
        "triplet": lambda: batch_hard_triplet(embedding, target["label"]),
        "regression": lambda: embedding_regression(embedding, target["teacher"]),
        "relational": lambda: relational(embedding, target["teacher"]),
    }
    return {name: make[name]() for name in names}
