"""The embedding model that goes with a gallery, where nobody names one."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from edge_reid.core.bundled_models import EMBEDDINGS, called, default_model, shipped_model
from edge_reid.core.config.sync_settings import GallerySyncSettings
from edge_reid.core.config.vision_settings import ModelSettings
from edge_reid.core.errors import ModelError, NoRoomError, SnapshotError
from edge_reid.core.manifest import (
    EmbeddingManifest,
    load_embedding_manifest,
    manifest_path,
    shipped_model_of,
    shipped_with_id,
)
from edge_reid.gallery.gallery_head import open_head
from edge_reid.gallery.replica import Replica, StoredVersion
from edge_reid.gallery.store import GalleryStore
from edge_reid.signing.keys import PublicKey, read_public_key
from edge_reid.signing.model_signature import is_signed


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


def model_of_replica(path: Path, key: PublicKey, models: ModelSettings) -> Path | None:
    """The shipped model that a device's copy of a published gallery is of.

    Where this installation has not the model of the version in force, as after a release was taken
    back, or only a damaged one, it is that of the version before, if that is kept.

    Args:
        path: of the copy, which may not be there yet.
        key: that the publisher signs with; what another has signed counts for nothing.
        models: the settings, which may pin who signs models.

    Returns:
        None: there is no version yet, none is of a sound shipped model, or a full disk lets none
        be read.

    Raises:
        GalleryError: the file is of another kind.
        UsageError: the pinned key of models cannot be read.
    """
    model_ids = (model_id_of(version, key) for version in _held(path))
    usable = (model_id for model_id in model_ids if model_id and _is_usable(models, model_id))
    model_id = next(usable, None)
    return shipped_with_id(model_id) if model_id else None


def _held(path: Path) -> tuple[StoredVersion, ...]:
    """The versions of a copy, that in force first."""
    if not path.exists():
        return ()
    try:
        with Replica.open(path) as replica:
            return replica.held
    except NoRoomError:  # which the sync tells of, and bears
        return ()


def _is_usable(models: ModelSettings, model_id: str) -> bool:
    with suppress(ModelError):  # the sync says what is wrong with it
        return sound_shipped_model(models, model_id) is not None
    return False


def sound_shipped_model(models: ModelSettings, model_id: str) -> EmbeddingManifest | None:
    """The manifest of a shipped embedding model; None: this installation has none of that id.

    Raises:
        ModelError: its file is damaged, or signed by somebody else than the pinned key; or none has
            that id, and one is damaged so that nobody can tell which it is.
        UsageError: the pinned key cannot be read.
    """
    path = shipped_with_id(model_id)
    if path is None:
        _check_others(model_id)
        return None
    manifest = load_embedding_manifest(path)
    if models.public_key:
        is_signed(path, read_public_key(models.public_key))
    return manifest


def _check_others(model_id: str) -> None:
    """Raise ModelError if a shipped model that is damaged may be the one that is looked for."""
    for path in map(shipped_model, EMBEDDINGS):
        if not (path.exists() or manifest_path(path).exists()):
            continue
        try:
            load_embedding_manifest(path)
        except ModelError as error:
            raise ModelError(
                f"embedding model {model_id}: expected a shipped one of that id, got none; it may "
                f"be {path.stem}, which is damaged: {error}"
            ) from error


def model_id_of(held: StoredVersion, key: PublicKey) -> str | None:
    """The model that a version on a device's disk is of; None: it was not signed with the key."""
    with suppress(SnapshotError):
        return open_head(held.sealed, key).model_id
    return None


def is_model_in_force(path: Path, key: PublicKey, model: Path) -> bool:
    """Whether the version in force of a device's copy of a published gallery is of that model."""
    in_force = next((held for held in _held(path) if held.left_utc_s is None), None)
    model_id = model_id_of(in_force, key) if in_force else None
    return model_id is not None and shipped_with_id(model_id) == model


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
        UsageError: a public key cannot be read.
    """
    if models.names_embedding:
        return models
    if sync is None:
        return models.with_gallerys(model_of_gallery(path))
    found = model_of_replica(path, read_public_key(sync.public_key), models)
    return models.with_gallerys(found) if found else models
