"""What a family of detectors is: the one interface between `vision.detect` and its files.

A new family is one file that makes a `DetectorFamily`, its line in `registry.py`, and its
`decoder_settings` in the manifests of its models, of which no other file knows anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from edge_reid.core.errors import ModelError
from edge_reid.core.geometry import Boxes
from edge_reid.core.manifest import DetectorManifest
from edge_reid.core.types import Image
from edge_reid.core.validation_errors import describe_mistakes
from edge_reid.vision.runtime import TensorSpec

Array: TypeAlias = NDArray[np.float32]


class FamilySettings(BaseModel):
    """What `decoder_settings` of a manifest may hold; each family has a class of its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True, slots=True, eq=False)
class Canvas:
    """A frame as a model sees it."""

    image: Image
    """(input_height_px, input_width_px, 3) uint8 RGB."""
    scale_xy: tuple[float, float]
    """Canvas pixels per picture pixel. The canvas begins at the picture's top-left corner."""


class DetectorFamily(Protocol):
    """Feeds and reads the models of one family."""

    def canvas_of(self, image: Image) -> Canvas:
        """A frame scaled for the model.

        Raises:
            PhotoError: the image is empty or not RGB uint8 (H, W, 3).
        """

    def people(self, outputs: Sequence[Array], weak_score: float) -> tuple[Boxes, Array]:
        """What the model says of people, before suppression.

        Args:
            outputs: of the model, in its order, real values.
            weak_score: 0..1; what is below is left out.

        Returns:
            (N, 4) boxes in canvas pixels, and their (N,) scores.
        """


class FamilyMaker(Protocol):
    """Makes a family for one model."""

    def __call__(
        self, manifest: DetectorManifest, outputs: Sequence[TensorSpec], where: str, /
    ) -> DetectorFamily:
        """Check what the model gives and what its manifest says of it.

        Args:
            manifest: of the model; its input is checked already.
            outputs: what the model gives.
            where: begins every error, such as `model models/net.tflite`.

        Raises:
            ModelError: they do not belong together, or `decoder_settings` are none of this family.
        """


S = TypeVar("S", bound=FamilySettings)


def settings_in(manifest: DetectorManifest, kind: type[S], where: str) -> S:
    """The `decoder_settings` of a manifest.

    Raises:
        ModelError: they are none of this family; every mistake is named.
    """
    try:
        return kind.model_validate(manifest.decoder_settings)
    except ValidationError as error:
        mistakes = "; ".join(describe_mistakes(error))
        raise ModelError(
            f"{where}: its manifest's decoder_settings are none of {manifest.decoder!r}: {mistakes}"
        ) from error
