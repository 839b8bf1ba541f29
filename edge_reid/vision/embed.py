"""Person crops to points in the metric space of one model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edge_reid.core.config.vision_settings import RuntimeName
from edge_reid.core.errors import ModelError
from edge_reid.core.manifest import EmbeddingManifest, load_embedding_manifest
from edge_reid.core.types import Image, Vector, Vectors
from edge_reid.vision.grey_world import balanced
from edge_reid.vision.preprocess import to_input
from edge_reid.vision.runtime import Model


class Embedder:
    """An embedding model and its manifest, which have been checked against each other."""

    manifest: EmbeddingManifest
    runtime: str
    """The runtime in force: `litert` or `tflite-runtime`."""

    def __init__(
        self,
        model_path: Path,
        *,
        runtime: RuntimeName = "auto",
        threads: int = 1,
        at_once: int = 1,
    ) -> None:
        """Verify the checksum, then load, as `Model` does.

        Raises:
            ModelError: as `load_embedding_manifest` and `Model`, or the file has another input or
                output than its manifest says.
        """
        self.manifest = load_embedding_manifest(model_path)
        self._model = Model(model_path, runtime=runtime, threads=threads, at_once=at_once)
        self.runtime = self._model.runtime
        _check_shapes(model_path, self._model, self.manifest)

    def embed(self, images: Sequence[Image]) -> Vectors:
        """Embeddings of RGB crops of any size: (N, D) float32, rows of unit L2 norm.

        Raises:
            PhotoError: a crop is empty or not RGB uint8.
        """
        vectors = np.empty((len(images), self.manifest.dimension), np.float32)
        for row, image in zip(vectors, images, strict=True):
            row[:] = self._embed_one(image)
        return vectors

    def _embed_one(self, image: Image) -> Vector:
        height, width = self.manifest.input_height_px, self.manifest.input_width_px
        crop = balanced(to_input(image, height, width)[0], self.manifest.grey_world)
        (output,) = self._model(crop[np.newaxis])
        norm = np.linalg.norm(output[0], axis=0)
        if not norm > 0:
            raise ModelError(
                f"model {self.manifest.name}: an embedding of norm {norm} has no direction"
            )
        return np.asarray(output[0] / norm, np.float32)


def _check_shapes(path: Path, model: Model, manifest: EmbeddingManifest) -> None:
    expected_input = (1, manifest.input_height_px, manifest.input_width_px, 3)
    expected_output = ((1, manifest.dimension),)
    found = model.inputs[0].shape, tuple(spec.shape for spec in model.outputs)
    if found != (expected_input, expected_output) or model.inputs[0].dtype != np.uint8:
        raise ModelError(
            f"model {path}: its manifest expects uint8 {expected_input} in, "
            f"{expected_output[0]} out, the file has {model.inputs[0].dtype} {found[0]} in, "
            f"{', '.join(map(str, found[1]))} out; export the model again"
        )
