"""The embedding model that goes with a gallery, where nobody names one."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from edge_reid.core.bundled_models import called, default_model
from edge_reid.core.config.sync_settings import GallerySyncSettings
from edge_reid.core.config.vision_settings import ModelSettings
from edge_reid.core.errors import NoRoomError, SnapshotError
from edge_reid.core.manifest import shipped_model_of, shipped_with_id
from edge_reid.gallery.gallery_head import open_head
from edge_reid.gallery.replica import Replica, StoredVersion
from edge_reid.gallery.store import GalleryStore
from edge_reid.signing.keys import PublicKey, read_public_key


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


def model_of_replica(path: Path, key: PublicKey) -> Path | None:
    """The shipped model that a device's copy of a published gallery is of.

    Where this installation has not the model of the version in force, as after a release was taken
    back, it is that of the version before, if that is kept.

    Args:
        path: of the copy, which may not be there yet.
        key: that the publisher signs with; what another has signed counts for nothing.

    Returns:
        None: there is no version yet, none is of a shipped model, or a full disk lets none be read.

    Raises:
        GalleryError: the file is of another kind.
    """
    if not path.exists():
        return None
    try:
        with Replica.open(path) as replica:
            held = replica.held
    except NoRoomError:  # which the sync tells of, and bears
        return None
    model_ids = (model_id_of(version, key) for version in held)
    found = (shipped_with_id(model_id) for model_id in model_ids if model_id)
    return next((path for path in found if path), None)


def model_id_of(held: StoredVersion, key: PublicKey) -> str | None:
    """The model that a version on a device's disk is of; None: it was not signed with the key."""
    with suppress(SnapshotError):
        return open_head(held.sealed, key).model_id
    return None


def default_passed_over(models: ModelSettings) -> str | None:
    """The default's name, where nobody names a model and that of the gallery is taken in its place;
    None: the model was named, or it is the default.
    """
    default = default_model("embedding")
    return None if models.names_embedding or models.embedding == default else called(default)


def models_for_gallery(
    models: ModelSettings, path: Path, sync: GallerySyncSettings | None
) -> ModelSettings:
    """Model settings that, where they name no embedding model, take the gallery's.

    Args:
        models: the settings.
        path: of the gallery, or of the copy of the published one.
        sync: what the copy follows; None: the gallery is the device's own.

    Raises:
        ModelMismatchError, GalleryError: as `model_of_gallery` and `model_of_replica`.
        UsageError: the public key cannot be read.
    """
    if models.names_embedding:
        return models
    if sync is None:
        return models.with_gallerys(model_of_gallery(path))
    found = model_of_replica(path, read_public_key(sync.public_key))
    return models.with_gallerys(found) if found else models
