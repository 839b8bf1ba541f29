"""The recipe of a training run: everything that decides its result, as one frozen value."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge_reid.core.errors import ConfigError
from edge_reid.core.mistakes import describe_mistakes
from trainer.augment import AugmentConfig

Loss: TypeAlias = Literal["softmax", "triplet", "regression", "relational"]
Positive: TypeAlias = Annotated[float, Field(gt=0)]
Pixels: TypeAlias = Annotated[int, Field(gt=0, multiple_of=32)]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Source(_Settings):
    """One data set of a run."""

    path: Path
    terms: str = "terms not stated"
    """Under what terms the pictures may be used; goes into the model's manifest."""
    images_per_identity: Annotated[int, Field(ge=2)] | None = None
    """Use at most this many pictures of a person (for near-duplicate frames)."""


class Stage(_Settings):
    """A stretch of training at one resolution with one set of frozen layers."""

    height_px: Pixels
    width_px: Pixels
    epochs: Positive
    minutes: Positive | None = None
    """End the stage after this wall time if its epochs are not done; the schedule follows."""
    frozen_blocks: Annotated[int, Field(ge=0, le=18)] = 3
    """Leave the stem and this many inverted residual blocks as they are; 18 freezes all."""
    learning_rate: Positive = 1e-3
    """At the end of warm-up; a cosine leads from there to a hundredth of it."""
    warmup_steps: Annotated[int, Field(ge=1)] = 100
    int8_rounding: bool = False
    """Train through the rounding of activations, so that int8 export loses less."""


class Recipe(_Settings):
    """All of a run. The first source also gives the identities held out for validation."""

    sources: Annotated[tuple[Source, ...], Field(min_length=1)]
    stages: Annotated[tuple[Stage, ...], Field(min_length=1)]
    imagenet: Path | None = None
    """torchvision's MobileNetV2 `.pth`; without it the weights of keras.applications."""
    start_from: Path | None = None
    """A re-ID checkpoint (`.npz`) to fine-tune instead of ImageNet weights."""
    teacher: Path | None = None
    """`.npz` of `names` (N,) and unit `emb` (N, D); names end the paths of the images."""
    losses: dict[Loss, Positive] = Field(default={"softmax": 1.0, "triplet": 1.0}, min_length=1)
    """Weights of the losses; regression and relational need a teacher."""
    alpha: Positive = 1.0
    """Width of the network."""
    last_stride: Literal[1, 2] = 1
    pooling: Literal["average", "gem"] = "average"
    dimension: Annotated[int, Field(ge=8, le=4096)] = 256
    hold_out: Annotated[int, Field(ge=0)] | None = None
    """Identities of the first source kept aside; default a fifth, at most 100."""
    identities_per_batch: Annotated[int, Field(ge=2)] = 16
    images_per_identity: Annotated[int, Field(ge=2)] = 4
    augment: AugmentConfig = AugmentConfig()
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    clip_norm: Positive = 5.0
    """Gradients longer than this, over all variables together, are shortened to it."""
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.998
    """Momentum of the moving average of weights, which is what is validated and exported."""
    evaluate_every: Annotated[int, Field(ge=1)] = 400
    """Steps between validations."""
    checkpoint_every_s: Annotated[float, Field(ge=0)] = 300.0
    seed: Annotated[int, Field(ge=0)] = 1


def make_recipe(settings: Mapping[str, Any]) -> Recipe:
    """A recipe from loose settings; raises ConfigError with every mistake in them."""
    try:
        return Recipe.model_validate(settings)
    except ValidationError as error:
        raise ConfigError("training", describe_mistakes(error)) from error


def read_recipe(path: Path) -> Recipe:
    """A recipe from its JSON file.

    Raises:
        ConfigError: the file is missing, or has mistakes; all of them are listed.
    """
    try:
        return Recipe.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"recipe {path}", [f"cannot be read: {error.strerror}"]) from error
    except ValidationError as error:
        raise ConfigError(f"recipe {path}", describe_mistakes(error)) from error
