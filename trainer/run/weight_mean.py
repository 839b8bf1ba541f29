"""The mean of weights that a run validates and exports, where its recipe asks for one.

Of the start's weights w₀, those w₁ … that earlier stages ended with, and the moving average w of
the stage in hand it is, variable by variable, the statistics of BatchNorm too,

    s₀·w₀ + s₁·w₁ + … + (1 - s₀ - s₁ - …)·w

with s₀ the recipe's `start_share` and sₖ the `end_share` of stage k.  Points along one training are
near enough to each other for that, and their mean fares better than they do on what none of them
has seen (Izmailov et al., "Averaging Weights Leads to Wider Optima and Better Generalization", UAI
2018, who measure BatchNorm's statistics anew instead); of a start and its fine-tuned self it is
WiSE-FT (Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022).

Training goes on from w and never from the mean, so shares change nothing of what is learnt.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import keras

from edge_reid.core.errors import TrainingError
from trainer.files.arrays import write_arrays
from trainer.network.model import FloatArray, load_start, load_weights, weights_by_name
from trainer.recipe.recipe import RECIPE, Recipe
from trainer.run.checkpoint import Checkpoint


@dataclass(frozen=True, slots=True, eq=False)
class WeightMean:
    """What the start and earlier stages have in the mean; the stage in hand is added to it.

    Attributes:
        earlier: their weights times their shares, summed, by `layer/variable`; empty where none has
            a share.
        own_share: of the stage in hand, in (0, 1].
    """

    earlier: Mapping[str, FloatArray]
    own_share: float

    @classmethod
    def of(cls, recipe: Recipe, run: Path, stage: int, network: keras.Model) -> WeightMean:
        """The mean of a stage, counted from 0.

        Args:
            recipe: says the shares.
            run: its folder, with the weights that earlier stages ended with.
            stage: the one in hand.
            network: the recipe's at that stage's size; its weights are overwritten.

        Raises:
            TrainingError: the weights of a stage that has a share are not there, or damaged.
        """
        earlier: dict[str, FloatArray] = {}
        own_share = 1.0
        for share in _load_each(recipe, run, stage, network):
            own_share -= share
            for name, value in weights_by_name(network).items():
                earlier[name] = earlier.get(name, 0.0) + share * value
        return cls(earlier, own_share)

    def with_own(self, weights: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        """The mean with these of the stage in hand; these alone where no others have a share."""
        if not self.earlier:
            return dict(weights)
        return {name: self.earlier[name] + self.own_share * own for name, own in weights.items()}


def keep_stage_end(
    recipe: Recipe, run: Path, saved: Checkpoint | None, network: keras.Model
) -> None:
    """Put what the stage before ended with on disk, if that has a share in what is to come.

    It is done as a stage begins, while the checkpoint holds nothing else: a run that is killed
    before its next checkpoint does it again.

    Args:
        recipe: says the shares.
        run: its folder; gets `stage-1.npz`, `stage-2.npz` and so on.
        saved: what the stage begins with; None in a run's first.
        network: that is exported, any size: of the weights saved, its own are kept.
    """
    if saved is None or saved.at.step or not saved.at.stage:
        return
    before = saved.at.stage - 1
    if recipe.stages[before].end_share:
        ended_with = {name: saved.model[name] for name in weights_by_name(network)}
        write_arrays(stage_end(run, before), ended_with)


def stage_end(run: Path, stage: int) -> Path:
    """Where the weights lie that a stage, counted from 0, ended with."""
    return run / f"stage-{stage + 1}.npz"


def _load_each(recipe: Recipe, run: Path, stage: int, network: keras.Model) -> Iterator[float]:
    """Set `network` to the weights of all that have a share, one after the other; yields these."""
    if recipe.start_share:
        load_start(network, recipe)
        yield recipe.start_share
    for before, settings in enumerate(recipe.stages[:stage]):
        if settings.end_share:
            _load_end(run, before, network)
            yield settings.end_share


def _load_end(run: Path, stage: int, network: keras.Model) -> None:
    file = stage_end(run, stage)
    if not file.is_file():
        raise TrainingError(
            f"run {run}: expected {file.name}, the weights that stage {stage + 1} ended with, got "
            "none: they are kept only if its end_share is in the recipe before the next stage "
            f"begins; set that to 0 in {run / RECIPE}, or put the file back"
        )
    load_weights(network, file)
