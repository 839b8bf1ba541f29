"""What `--start` names: the weights that a training begins from, and what is known of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_reid.core.bundled_models import (
    CHECKPOINT,
    MOBILENET_CHECKPOINT,
    MODEL_OF,
    OPEN_CHECKPOINT,
    shipped_model,
)
from edge_reid.core.errors import TrainingError, UsageError
from edge_reid.core.manifest import load_embedding_manifest
from trainer.recipe.recipe import RECIPE, read_recipe

IMAGENET = "imagenet"
_DEFAULT_NETWORK = "mobilenetv2", 1.0
_DEFAULT_SIZE_PX = 192, 96
_TRAINABLE = {".npz", ".pth", ".h5"}
_SHIPPED = {"shipped": CHECKPOINT, "open": OPEN_CHECKPOINT, "mobilenet": MOBILENET_CHECKPOINT}
_NETWORKS = {"shipped": ("osnet", 1.0), "open": ("osnet", 0.5), "mobilenet": _DEFAULT_NETWORK}
"""Backbone and width of the weights that `--start` calls so."""
_SHARE = 0.3
"""Of the start in what is exported. Measured after fine-tuning on 10 people: mAP on 40 others under
the same cameras 64.2 → 71.2 (68.3 without the share), under old ones 93.8 → 94.3 (91.5 without)."""
_DEFAULTS_SHARE = 0.6
"""The same of the default model's network, where strangers come to look more alike too: with ten
people of PKU-Reid 25 of 40 photos are named before and 31 after, and 2 of 200 of others; with 0.3
of the start, of weights trained for less, it was 34, and 9."""


@dataclass(frozen=True, slots=True)
class TrainingStart:
    """Weights to begin with; the rest is what their network was trained as, as far as it is noted
    beside them, or else the standard recipe's.

    Attributes:
        name: as `--start` gives it; of a path to shipped weights, the word for them.
        file: None: ImageNet's weights, downloaded.
        network: backbone and width.
        size_px: height and width of the crops.
        grey_world: share of the grey-world correction that crops get.
        licence: of shipped weights: the terms of the model that they are of.
    """

    name: str
    file: Path | None
    network: tuple[str, float] = _DEFAULT_NETWORK
    size_px: tuple[int, int] = _DEFAULT_SIZE_PX
    grey_world: float = 0.0
    licence: str = ""

    @classmethod
    def of(cls, start: str) -> TrainingStart:
        """What a word or a path leads to.

        Raises:
            TrainingError: there is no such file, or it cannot be trained.
            ConfigError: the recipe beside a run's weights is none.
        """
        if start == IMAGENET:
            return cls(start, None)
        word = _word_of(start)
        if word is not None:
            return cls._shipped(word)
        weights = _trainable(start, Path(start))
        recipe = weights.parent / RECIPE
        if weights.suffix != ".npz" or not recipe.is_file():
            return cls(start, weights)
        run = read_recipe(recipe)
        size_px = run.stages[-1].height_px, run.stages[-1].width_px
        return cls(start, weights, (run.backbone, run.alpha), size_px, run.grey_world)

    @classmethod
    def _shipped(cls, word: str) -> TrainingStart:
        checkpoint = _SHIPPED[word]
        seen = load_embedding_manifest(shipped_model(MODEL_OF[checkpoint]))
        size_px = seen.input_height_px, seen.input_width_px
        weights = _trainable(word, shipped_model(checkpoint))
        return cls(word, weights, _NETWORKS[word], size_px, seen.grey_world, seen.licence)

    @property
    def remark(self) -> str:
        """What a training begins with and, where that is shipped, on whose terms."""
        if self.file is None:
            return "start: ImageNet's weights"
        if self.name not in _SHIPPED:
            return f"start: {self.file}"
        model = Path(MODEL_OF[_SHIPPED[self.name]]).stem
        remark = f"start: weights of {model}, whose terms hold for what they become: {self.licence}"
        others = "" if self.name == "open" else "; --start open begins with Apache-2.0 ones"
        return remark + others

    @property
    def is_reid(self) -> bool:
        """Whether the network already tells people apart: it is fine-tuned, not trained."""
        return self.file is not None and self.file.suffix == ".npz"

    @property
    def settings(self) -> dict[str, Any]:
        """What a recipe says of it."""
        if self.file is None:
            return {}
        if not self.is_reid:
            return {"imagenet": self.file}
        return {"start_from": self.file, "grey_world": self.grey_world}

    def network_asked(self, backbone: str | None, alpha: float | None) -> tuple[str, float]:
        """Backbone and width that are trained: these weights', or as asked for.

        Raises:
            UsageError: shipped weights are of another network than was asked for.
        """
        name = backbone or self.network[0]
        known = (self.network, *_NETWORKS.values())
        asked = name, next((a for n, a in known if n == name), 1.0) if alpha is None else alpha
        if self.name in _SHIPPED and asked != self.network:
            fitting = (word for word, network in _NETWORKS.items() if network == asked)
            others = next(fitting, f"{IMAGENET} or a file")
            raise UsageError(
                f"train: expected --start {others} for {asked[0]} {asked[1]:g}, got {self.name}; "
                f"these weights are of {self.network[0]} {self.network[1]:g}"
            )
        return asked


def start_share(network: tuple[str, float]) -> float:
    """How much of its start a fine-tune of a backbone and width keeps."""
    return _DEFAULTS_SHARE if network == _NETWORKS["shipped"] else _SHARE


def _word_of(start: str) -> str | None:
    """What the shipped weights are called that a word or a path leads to."""
    given = Path(start).resolve()
    named = (w for w, name in _SHIPPED.items() if given == shipped_model(name).resolve())
    return start if start in _SHIPPED else next(named, None)


def _trainable(start: str, path: Path) -> Path:
    if not path.is_file():
        raise TrainingError(
            f"--start {start}: expected {', '.join(_SHIPPED)}, {IMAGENET} (downloaded) or a file "
            f"(.npz checkpoint, torchvision .pth, keras.applications .h5), got no file {path}"
        )
    if path.suffix == ".tflite":
        raise TrainingError(
            f"--start {start}: expected weights that can be trained, got an exported model; give "
            "the weights.npz of the run that it comes from"
        )
    if path.suffix not in _TRAINABLE:
        raise TrainingError(
            f"--start {start}: expected weights as .npz, .pth or .h5, got {path.suffix or 'none'}"
        )
    return path
