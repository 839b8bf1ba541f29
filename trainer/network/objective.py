"""What training minimises: the recipe's losses, summed with their weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from trainer.network import losses as loss
from trainer.network.fake_quant import rounded
from trainer.network.heads import add_training_heads
from trainer.network.losses import Tensor
from trainer.recipe.loss_settings import Losses
from trainer.recipe.recipe import Recipe, Stage


class ReidModel(keras.Model):  # type: ignore[misc]
    """A functional model, with the outputs of `heads.add_training_heads`, and its training loss.

    `y` is {"label": (B,) int32, "teacher": (B, T) float32, zero rows where there is none}.
    The first `labelled` pictures of a batch are those of known people, all where it is None; the
    others learn from the teacher alone.
    """

    def __init__(
        self, *args: Any, losses: Losses, labelled: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.training_losses = losses
        self.labelled = labelled
        self.loss_means = {n: keras.metrics.Mean(name=n) for n in ("loss", *losses.terms())}

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        return list(self.loss_means.values())

    def compute_loss(
        self,
        x: Tensor = None,  # noqa: ARG002 - Keras' signature
        y: Tensor = None,
        y_pred: Tensor = None,
        sample_weight: Tensor = None,  # noqa: ARG002
        training: bool = True,
    ) -> Tensor:
        """The weighted sum for one batch; each part is also tracked as a metric."""
        terms = self.training_losses.terms()
        parts = loss_parts(y_pred, y, self.training_losses, self.labelled)
        total = sum(terms[name].weight * part for name, part in parts.items())
        for name, value in (*parts.items(), ("loss", total)):
            self.loss_means[name].update_state(value)
        if training and self.training_losses.center is not None:
            rate = self.training_losses.center.rate
            known = slice(self.labelled)
            self.get_layer("centers").move(y_pred["embedding"][known], y["label"][known], rate)
        return total


def training_model(
    recipe: Recipe,
    stage: Stage,
    embedder: keras.Model,
    *,
    identities: int,
    labelled: int,
    teacher_dimension: int,
) -> ReidModel:
    """The embedder with the heads and losses that it is trained with.

    Args:
        recipe: which losses.
        stage: whether it is trained through int8 rounding.
        embedder: shares its weights with the result.
        identities: C, people trained on.
        labelled: pictures of known people in a batch.
        teacher_dimension: T, numbers that teachers say.
    """
    network = rounded(embedder) if stage.int8_rounding else embedder
    trained = add_training_heads(network, identities, recipe.losses, teacher_dimension)
    # Losses are sums of many small numbers, for which half precision is too coarse.
    outputs = {name: keras.ops.cast(out, "float32") for name, out in trained.output.items()}
    return ReidModel(trained.input, outputs, losses=recipe.losses, labelled=labelled)


def loss_parts(
    output: dict[str, Tensor],
    target: dict[str, Tensor],
    losses: Losses,
    labelled: int | None = None,
) -> dict[str, Tensor]:
    """The losses of one batch by name, unweighted; only `labelled` pictures show somebody known."""
    everybody, known = output["embedding"], slice(labelled)
    embedding, label = everybody[known], target["label"][known]
    of: dict[str, Callable[[Any], Tensor]] = {
        "softmax": lambda s: loss.smoothed_softmax(output["logits"][known], label, s.smoothing),
        "arcface": lambda s: loss.arcface(output["cosines"][known], label, s.scale, s.margin),
        "cosface": lambda s: loss.cosface(output["cosines"][known], label, s.scale, s.margin),
        "triplet": lambda s: loss.batch_hard_triplet(embedding, label, s.margin),
        "soft_triplet": lambda _: loss.soft_margin_triplet(embedding, label),
        "circle": lambda s: loss.circle(embedding, label, s.scale, s.margin),
        "contrastive": lambda s: loss.supervised_contrastive(embedding, label, s.temperature),
        "center": lambda _: loss.center(embedding, label, output["centers"]),
        "regression": lambda _: loss.embedding_regression(output["imitation"], target["teacher"]),
        "relational": lambda _: loss.relational(everybody, target["teacher"]),
    }
    return {name: of[name](term) for name, term in losses.terms().items()}
