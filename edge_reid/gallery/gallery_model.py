"""The embedding model that goes with a gallery, where nobody names one."""

from __future__ import annotations

from pathlib import Path

from edge_reid.core.config.vision_settings import ModelSettings
from edge_reid.core.manifest import shipped_model_of
from edge_reid.gallery.store import GalleryStore


def model_of_gallery(path: Path) -> Path:
    """The shipped model that a gallery belongs to.

    Raises:
        ModelMismatchError: it belongs to none that is shipped.
        GalleryError: it cannot be read.
    """
    with GalleryStore.open(path) as store:
        model_id = store.model_id
    remedy = " or as models.embedding of the settings, or enroll the people again: "
    return shipped_model_of(
        f"gallery {path}", model_id, f"{remedy}edge-reid gallery init NEW.db, and gallery enroll"
    )


def models_for_gallery(models: ModelSettings, path: Path) -> ModelSettings:
    """Model settings that, where they name no embedding model, take the gallery's.

    Raises:
        ModelMismatchError, GalleryError: as `model_of_gallery`.
    """
    if "embedding" in models.model_fields_set:
        return models
    return models.model_copy(update={"embedding": model_of_gallery(path)})
