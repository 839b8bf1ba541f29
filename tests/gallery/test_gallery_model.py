"""Which embedding model goes with a device's copy of a published gallery."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.gallery_publisher import Workshop, take_in

from edge_reid.core.bundled_models import EMBEDDING, MOBILENET_EMBEDDING, shipped_model
from edge_reid.core.config.sync_settings import GallerySyncSettings
from edge_reid.core.config.vision_settings import ModelSettings
from edge_reid.core.errors import GalleryError, UsageError
from edge_reid.core.manifest import load_embedding_manifest
from edge_reid.gallery.gallery_model import model_of_replica, models_for_gallery
from edge_reid.gallery.replica import Replica
from edge_reid.signing.keys import SigningKey
from edge_reid.transfer.folder import FolderTarget
from edge_reid.transfer.gallery_transfer import GALLERY

OLD, NEW = shipped_model(MOBILENET_EMBEDDING), shipped_model(EMBEDDING)
FOREIGN = "f" * 16


def synced(folder: Path, *model_ids: str) -> tuple[Path, Workshop]:
    """A device's copy after galleries of these models have come, and who has published them."""
    path, first = folder / "replica.db", None
    for number, model_id in enumerate(model_ids):
        with Workshop(folder / str(number), people=number + 1, model_id=model_id) as workshop:
            first = first or workshop
            workshop.key, workshop.out = first.key, first.out
            workshop.publish(FolderTarget(first.out, GALLERY), supersede=True)
            with Replica.open(path) as replica:
                take_in(workshop, replica, model_id=model_id)
    assert first is not None
    return path, first


def id_of(model: Path) -> str:
    return load_embedding_manifest(model).model_id


def test_it_is_that_of_the_version_in_force(tmp_path: Path) -> None:
    path, workshop = synced(tmp_path, id_of(NEW), id_of(OLD))
    assert model_of_replica(path, workshop.key.public) == OLD
    with Replica.open(path) as replica:
        replica.roll_back(0.0)
    assert model_of_replica(path, workshop.key.public) == NEW


def test_before_the_first_there_is_none_and_no_file_is_made(tmp_path: Path) -> None:
    path = tmp_path / "replica.db"
    assert model_of_replica(path, SigningKey.generate().public) is None
    assert not path.exists()
    Replica.open(path).close()
    assert model_of_replica(path, SigningKey.generate().public) is None


def test_where_it_is_not_shipped_it_is_that_of_the_version_kept_from_before(
    tmp_path: Path,
) -> None:
    path, workshop = synced(tmp_path, id_of(OLD), FOREIGN)
    assert model_of_replica(path, workshop.key.public) == OLD
    (tmp_path / "other").mkdir()
    path, workshop = synced(tmp_path / "other", FOREIGN)
    assert model_of_replica(path, workshop.key.public) is None


def test_what_another_key_has_signed_counts_for_nothing(tmp_path: Path) -> None:
    path, _ = synced(tmp_path, id_of(OLD))
    assert model_of_replica(path, SigningKey.generate().public) is None


def test_settings_take_it_unless_they_name_one(tmp_path: Path) -> None:
    path, workshop = synced(tmp_path, id_of(OLD))
    sync = GallerySyncSettings(source="mqtt", public_key=workshop.public_key_path)
    taken = models_for_gallery(ModelSettings(threads=1), path, sync)
    assert (taken.embedding, taken.threads, taken.names_embedding) == (OLD, 1, False)
    named = ModelSettings(embedding=NEW)
    assert models_for_gallery(named, path, sync) == named
    assert named.names_embedding
    lost = sync.model_copy(update={"public_key": tmp_path / "none.pub"})
    with pytest.raises(UsageError, match="none.pub"):
        models_for_gallery(ModelSettings(), path, lost)


def test_a_gallery_that_people_are_enrolled_into_is_no_copy(tmp_path: Path) -> None:
    with Workshop(tmp_path) as workshop, pytest.raises(GalleryError, match="sync makes the file"):
        model_of_replica(workshop.path, workshop.key.public)
