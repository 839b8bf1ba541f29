"""AdamW with a moving average of the weights that is worth something from the first steps on."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from trainer.recipe.recipe import Recipe

_PART = 3.0
"""The average forgets over at most a third of the steps done."""


@keras.saving.register_keras_serializable("edge_reid")
class AveragingAdamW(keras.optimizers.AdamW):  # type: ignore[misc]
    """Keras' AdamW; `ema_momentum` is what the momentum of its average rises to.

    After t steps it is min(ema_momentum, 1 - 3 / (t + 3)): with a constant one the average of a
    short stage, or of one that the clock ends, is mostly the weights of its first step.
    (TensorFlow 1's ExponentialMovingAverage rose likewise, by (1 + t) / (10 + t).)
    """

    def _update_model_variables_moving_average(self, trainable_variables: list[Any]) -> None:
        done = ops.cast(self.iterations, "float32")
        momentum = ops.minimum(self.ema_momentum, done / (done + _PART))
        averages = self._model_variables_moving_average
        for variable, average in zip(trainable_variables, averages, strict=True):
            kept = ops.cast(momentum, variable.dtype)
            average.assign(kept * average + (1 - kept) * variable)


def make_optimizer(recipe: Recipe) -> keras.optimizers.Optimizer:
    """AdamW with the recipe's clipping and moving average; its rate is set at every step."""
    optimizer = AveragingAdamW(
        learning_rate=0.0,
        weight_decay=recipe.weight_decay,
        global_clipnorm=recipe.clip_norm,
        use_ema=True,
        ema_momentum=recipe.ema,
    )
    optimizer.exclude_from_weight_decay(
        var_names=["gamma", "beta", "bias", "power", "scale", "shift"]
    )
    return optimizer
