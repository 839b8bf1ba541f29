"""Training losses in `keras.ops`: every one takes (B, ...) tensors and returns a scalar tensor.

Embeddings need no unit norm; labels are (B,) int.  What a degenerate batch (one identity, no
second picture of anybody) leaves undefined does not count; where nothing counts the loss is 0.
"""

from __future__ import annotations

import math
from typing import Any

from keras import ops

Tensor = Any  # a backend's tensor: TensorFlow, JAX or PyTorch

_NEVER = -1e9
"""In place of a logit that is not to take part: its exponential is 0, its gradient finite."""
_LONGEST = 4.0
"""In place of a distance that is not to be the smallest; unit vectors are at most 2 apart."""


def unit(x: Tensor) -> Tensor:
    """Rows of `x` (B, D) at L2 norm 1, float32 whatever the precision of the network.

    The root is taken of what is kept off 0: the gradient of a norm is not finite there.
    """
    x = ops.cast(x, "float32")
    squares = ops.sum(ops.square(x), axis=-1, keepdims=True)
    return x / ops.sqrt(ops.maximum(squares, 1e-12))


def smoothed_softmax(logits: Tensor, labels: Tensor, smoothing: float = 0.1) -> Tensor:
    """Cross-entropy with label smoothing (Szegedy et al. 2016): targets (1-ε)·onehot + ε/C.

    logits: (B, C); labels: (B,) int in [0, C).
    """
    log_p = ops.log_softmax(ops.cast(logits, "float32"), axis=-1)
    target = (
        ops.one_hot(labels, logits.shape[-1]) * (1.0 - smoothing) + smoothing / logits.shape[-1]
    )
    return -ops.mean(ops.sum(target * log_p, axis=-1))


def arcface(cosines: Tensor, labels: Tensor, scale: float = 30.0, margin: float = 0.35) -> Tensor:
    """Cross-entropy with cos(θ + m) for the own identity (Deng et al., CVPR 2019, eq. 3).

    cosines: (B, C) between embeddings and class vectors.  Where θ + m would pass π, cos θ - m·sin m
    goes on falling, as in the authors' code.  No arc cosine is taken: its slope has no bound at ±1.
    """
    cosines = ops.clip(ops.cast(cosines, "float32"), -1.0, 1.0)
    sines = ops.sqrt(ops.maximum(1.0 - ops.square(cosines), 1e-6))
    rotated = cosines * math.cos(margin) - sines * math.sin(margin)
    harder = ops.where(cosines > -math.cos(margin), rotated, cosines - margin * math.sin(margin))
    own = ops.one_hot(labels, cosines.shape[-1])
    return smoothed_softmax(scale * (own * harder + (1.0 - own) * cosines), labels, 0.0)


def cosface(cosines: Tensor, labels: Tensor, scale: float = 30.0, margin: float = 0.35) -> Tensor:
    """Cross-entropy with cos θ - m for the own identity (Wang et al., CVPR 2018, eq. 4).

    cosines: (B, C) between embeddings and class vectors.
    """
    cosines = ops.cast(cosines, "float32")
    own = ops.one_hot(labels, cosines.shape[-1])
    return smoothed_softmax(scale * (cosines - margin * own), labels, 0.0)


def batch_hard_triplet(embeddings: Tensor, labels: Tensor, margin: float = 0.3) -> Tensor:
    """Mean over anchors of [margin + hardest positive - hardest negative]₊ (Hermans et al. 2017).

    Distances are Euclidean between unit embeddings; embeddings: (B, D); margin at most 2.
    """
    positive, negative, _ = _hardest(embeddings, labels)
    return ops.mean(ops.relu(margin + positive - negative))


def soft_margin_triplet(embeddings: Tensor, labels: Tensor) -> Tensor:
    """Mean over anchors of log(1 + exp(hardest positive - hardest negative)).

    The soft margin of Hermans et al. 2017, section 2: it never stops pulling, and has no margin to
    choose.  Anchors without a negative do not count.
    """
    positive, negative, counts = _hardest(embeddings, labels)
    return _mean_of(ops.softplus(positive - negative), counts)


def circle(embeddings: Tensor, labels: Tensor, scale: float = 64.0, margin: float = 0.25) -> Tensor:
    """Circle loss (Sun et al., CVPR 2020, eq. 6) with every picture of the batch as anchor.

    log(1 + Σ exp γ[s_n + m]₊(s_n - m) · Σ exp -γ[1 + m - s_p]₊(s_p - 1 + m)); the factors in
    brackets are weights, which no gradient goes through.  Anchors without a positive or without
    a negative do not count.
    """
    cosines, positives, negatives = _pairs(embeddings, labels)
    held = ops.stop_gradient(cosines)
    pull = -scale * ops.relu(1.0 + margin - held) * (cosines - 1.0 + margin)
    push = scale * ops.relu(held + margin) * (cosines - margin)
    both = _log_sum(pull, positives) + _log_sum(push, negatives)
    counts = ops.logical_and(ops.any(positives, axis=1), ops.any(negatives, axis=1))
    return _mean_of(ops.softplus(both), ops.cast(counts, "float32"))


def supervised_contrastive(embeddings: Tensor, labels: Tensor, temperature: float = 0.1) -> Tensor:
    """Mean over anchors and their positives of -log p (Khosla et al., NeurIPS 2020, eq. 2).

    p is the softmax of cosine / temperature over all other pictures of the batch.  Anchors
    without a positive do not count.
    """
    cosines, positives, negatives = _pairs(embeddings, labels)
    logits = cosines / temperature
    log_p = logits - ops.expand_dims(_log_sum(logits, ops.logical_or(positives, negatives)), 1)
    positives = ops.cast(positives, "float32")
    count = ops.sum(positives, axis=1)
    of_anchor = -ops.sum(positives * log_p, axis=1) / ops.maximum(count, 1.0)
    return _mean_of(of_anchor, ops.cast(count > 0, "float32"))


def center(embeddings: Tensor, labels: Tensor, centers: Tensor) -> Tensor:
    """Half the mean squared distance to the own centre (Wen et al., ECCV 2016, eq. 2).

    Between unit embeddings (B, D) and centers (C, D): of raw ones, which nothing else in training
    holds in size, it would only make them short.
    """
    own = ops.take(centers, labels, axis=0)
    return 0.5 * ops.mean(ops.sum(ops.square(unit(embeddings) - own), axis=-1))


def moved_centers(embeddings: Tensor, labels: Tensor, centers: Tensor, rate: float) -> Tensor:
    """Centres after a batch: c - rate · Σ(c - x) / (1 + n) over its n pictures (Wen 2016, eq. 4).

    embeddings: (B, D), taken at unit norm; centers: (C, D).
    """
    centers = ops.convert_to_tensor(centers)
    member = ops.one_hot(labels, centers.shape[0])
    count = ops.expand_dims(ops.sum(member, axis=0), 1)
    total = ops.matmul(ops.transpose(member), unit(embeddings))
    return centers - rate * (count * centers - total) / (1.0 + count)


def embedding_regression(embeddings: Tensor, teacher: Tensor) -> Tensor:
    """Mean of 1 - cos(student, teacher): the student learns to live in the teacher's space.

    Both (B, D).  A zero row means "no teacher for this image" and does not count.
    """
    cosine = ops.sum(unit(embeddings) * ops.convert_to_tensor(teacher), axis=-1)
    return _mean_of(1.0 - cosine, _has_teacher(teacher))


def relational(embeddings: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference of the student's and teacher's pairwise cosines (Park et al. 2019).

    (B, D) and (B, T) of any dimensions; pairs with a zero teacher row and an image with itself
    do not count.
    """
    e = unit(embeddings)
    present = _has_teacher(teacher)
    pairs = ops.expand_dims(present, 0) * ops.expand_dims(present, 1)
    pairs = pairs * (1.0 - ops.eye(e.shape[0] or ops.shape(e)[0]))
    difference = ops.matmul(e, ops.transpose(e)) - ops.matmul(teacher, ops.transpose(teacher))
    return _mean_of(ops.square(difference), pairs)


def _has_teacher(teacher: Tensor) -> Tensor:
    """(B,) float32: 1 where the teacher row is a unit vector, 0 where it is zero."""
    return ops.cast(ops.any(ops.not_equal(teacher, 0.0), axis=-1), "float32")


def _mean_of(values: Tensor, counts: Tensor) -> Tensor:
    """The mean of `values` where `counts` is 1 rather than 0, of the same shape; 0 if nowhere."""
    return ops.sum(values * counts) / ops.maximum(ops.sum(counts), 1.0)


def _hardest(embeddings: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(B,) each: furthest of the own identity, nearest other, and 1 where there is another."""
    e = unit(embeddings)
    distance = ops.sqrt(ops.maximum(2.0 - 2.0 * ops.matmul(e, ops.transpose(e)), 1e-8))
    same = _same(labels)
    positive = ops.max(ops.where(same, distance, 0.0), axis=1)
    negative = ops.min(ops.where(same, _LONGEST, distance), axis=1)
    return positive, negative, ops.cast(ops.logical_not(ops.all(same, axis=1)), "float32")


def _pairs(embeddings: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(B, B) each: cosines, and masks of pairs of two pictures of one identity, and of two."""
    e = unit(embeddings)
    same = _same(labels)
    itself = ops.cast(ops.eye(e.shape[0] or ops.shape(e)[0]), "bool")
    return (
        ops.matmul(e, ops.transpose(e)),
        ops.logical_and(same, ops.logical_not(itself)),
        ops.logical_not(same),
    )


def _same(labels: Tensor) -> Tensor:
    return ops.equal(ops.expand_dims(labels, 0), ops.expand_dims(labels, 1))


def _log_sum(x: Tensor, mask: Tensor) -> Tensor:
    """Row-wise log Σ exp of (B, B) where `mask` holds; about -1e9 for a row where it never does."""
    return ops.logsumexp(ops.where(mask, x, _NEVER), axis=1)
