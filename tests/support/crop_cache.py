"""Embeddings of pictures, kept from one run of a bench to the next."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edge_reid.core.manifest import load_embedding_manifest
from trainer.scoring.crop_embeddings import CropEmbeddings
from trainer.scoring.evaluate import embed_with_file

CACHE = Path(tempfile.gettempdir()) / "edge-reid-bench"


def cached_crops(model: Path, paths: Sequence[Path], folder: Path = CACHE) -> CropEmbeddings:
    """`embed_with_file`, or what it gave for this model and these paths before.

    A picture that was changed under its old path is not noticed: remove the folder then.
    """
    model_id = load_embedding_manifest(model).model_id
    listed = "\n".join(str(path.resolve()) for path in paths)
    file = folder / f"{model_id}-{hashlib.sha256(listed.encode()).hexdigest()[:16]}.npz"
    if file.exists():
        with np.load(file) as stored:
            return CropEmbeddings(stored["rows"], stored["qualities"])
    crops = embed_with_file(model, paths)
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(file, rows=crops.rows, qualities=crops.qualities)
    return crops
