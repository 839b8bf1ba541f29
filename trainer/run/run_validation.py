"""The scores of a network in training, and the weights that are exported."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np

from edge_reid.vision.grey_world import balanced_batch
from trainer.data.decoded_crops import load_crops
from trainer.data.run_data import CACHE, RunData
from trainer.network.model import build_embedder, set_weights_by_name, weights_by_name
from trainer.recipe.recipe import Recipe
from trainer.run.checkpoint import TrainingPosition, check_finite, diverged
from trainer.run.devices import computing_in, on_one_device
from trainer.run.kept_weights import keep_weights, kept_scores
from trainer.run.run_curves import SCORE
from trainer.run.weight_mean import WeightMean
from trainer.scoring.crop_embeddings import CropEmbeddings
from trainer.scoring.evaluate import embed_crops, score, validation_split

SCORES_IN_WORDS = (
    "scores in %: rank-1, how often the picture most alike is of the same person; mAP, how high "
    "all pictures of that person rank; 100 is the best"
)


class RunValidation:
    """Scores the network as it will be exported, in float32, and keeps its weights for export.

    Args:
        recipe: of the run.
        embedder: the network in training, whose weights are copied at every call.
        data: with the pictures to validate on.
        run: its folder; gets `weights.npz`.
        at: where the run begins or goes on; its stage says at what input size is scored.
    """

    def __init__(
        self,
        recipe: Recipe,
        embedder: keras.Model,
        data: RunData,
        run: Path,
        at: TrainingPosition,
    ) -> None:
        stage = recipe.stages[at.stage]
        size = stage.height_px, stage.width_px
        crops = load_crops(data.validation.paths, *size, run / CACHE)
        self._crops = balanced_batch(crops, recipe.grey_world)
        self._split = validation_split(data)
        self._trained, self._run = embedder, run
        self._keeps_best = recipe.keep == "best"
        begun = at != TrainingPosition()
        self._best = kept_scores(run, at.stage).get(SCORE) if begun else None
        with on_one_device(), computing_in("float32"):
            self._exported = build_embedder(recipe, *size)
        self._mean = WeightMean.of(recipe, run, at.stage, self._exported)

    def __call__(self, at: TrainingPosition) -> dict[str, float]:
        """The scores by name, each in [0, 1].

        Raises:
            TrainingError: a weight or an embedding is not finite.
        """
        weights = weights_by_name(self._trained)
        check_finite(weights, self._run, at)
        mean = self._mean.with_own(weights)
        with on_one_device():
            set_weights_by_name(self._exported, mean, "of the network in training")
            rows = embed_crops(self._exported, self._crops)
            if not np.isfinite(rows).all():  # weights can be finite still, and far too large
                raise diverged("finite embeddings, got some that are not", self._run, at)
            report = score(self._split, CropEmbeddings.of_equal_quality(rows))
            scores = {f"validation_{name}": value for name, value in report.scores().items()}
            if self._is_kept(scores[SCORE]):
                keep_weights(self._run, self._exported, at.stage, scores)
        return scores

    def _is_kept(self, score: float) -> bool:
        """Whether weights of that score are left for export."""
        if self._keeps_best and self._best is not None and score <= self._best:
            return False
        self._best = score
        return True


def check_can_validate(data: RunData) -> None:
    """Fail before training, not at the first validation.

    Raises:
        TrainingError: no query of the validation pictures has a valid match.
    """
    anything = np.ones((len(data.validation), 1), np.float32)
    score(validation_split(data), CropEmbeddings.of_equal_quality(anything))
