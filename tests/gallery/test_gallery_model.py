"""Which embedding model goes with a device's copy of a published gallery."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from support.gallery_publisher import Workshop, take_in

from edge_reid.core import bundled_models
from edge_reid.core.bundled_models import EMBEDDING, MOBILENET_EMBEDDING, shipped_model
from edge_reid.core.config.sync_settings import GallerySyncSettings
from edge_reid.core.config.vision_settings import ModelSettings
from edge_reid.core.errors import GalleryError, ModelError, UsageError
from edge_reid.core.manifest import load_embedding_manifest
from edge_reid.gallery.gallery_model import (
    is_model_in_force,
    model_of_replica,
    models_for_gallery,
    sound_shipped_model,
)
from edge_reid.gallery.replica import Replica
from edge_reid.signing.keys import SigningKey
from edge_reid.signing.model_signature import sign_model
from edge_reid.transfer.folder import FolderTarget
from edge_reid.transfer.gallery_transfer import GALLERY

OLD, NEW = shipped_model(MOBILENET_EMBEDDING), shipped_model(EMBEDDING)
FOREIGN = "f" * 16
UNNAMED = ModelSettings()


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
    assert model_of_replica(path, workshop.key.public, UNNAMED) == OLD
    with Replica.open(path) as replica:
        replica.roll_back(0.0)
    assert model_of_replica(path, workshop.key.public, UNNAMED) == NEW


def test_before_the_first_there_is_none_and_no_file_is_made(tmp_path: Path) -> None:
    path = tmp_path / "replica.db"
    assert model_of_replica(path, SigningKey.generate().public, UNNAMED) is None
    assert not path.exists()
    Replica.open(path).close()
    assert model_of_replica(path, SigningKey.generate().public, UNNAMED) is None


def test_where_it_is_not_shipped_it_is_that_of_the_version_kept_from_before(
    tmp_path: Path,
) -> None:
    path, workshop = synced(tmp_path, id_of(OLD), FOREIGN)
    assert model_of_replica(path, workshop.key.public, UNNAMED) == OLD
    (tmp_path / "other").mkdir()
    path, workshop = synced(tmp_path / "other", FOREIGN)
    assert model_of_replica(path, workshop.key.public, UNNAMED) is None


def test_what_another_key_has_signed_counts_for_nothing(tmp_path: Path) -> None:
    path, _ = synced(tmp_path, id_of(OLD))
    assert model_of_replica(path, SigningKey.generate().public, UNNAMED) is None


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
        model_of_replica(workshop.path, workshop.key.public, UNNAMED)


@pytest.fixture
def installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of its embedding models: the default, and the one before."""
    folder = tmp_path / "installation" / "models"
    folder.mkdir(parents=True)
    for model in (NEW, OLD):
        for suffix in (".tflite", ".json"):
            shutil.copy(model.with_suffix(suffix), folder)
    monkeypatch.setattr(bundled_models, "_PACKAGE", folder.parent / "edge_reid")
    return folder


def test_a_model_that_the_agent_could_run_is_whole_and_signed(installation: Path) -> None:
    path = installation / NEW.name
    manifest = load_embedding_manifest(path)
    key, (_, public) = SigningKey.generate(), SigningKey.generate().write(installation.parent)
    pinned = ModelSettings(public_key=public)
    assert sound_shipped_model(pinned, manifest.model_id) == manifest
    assert sound_shipped_model(pinned, FOREIGN) is None
    signature = sign_model(path.with_suffix(".json").read_bytes(), key)
    path.with_suffix(".sig").write_bytes(signature)
    with pytest.raises(ModelError, match="one of another key"):
        sound_shipped_model(pinned, manifest.model_id)
    assert sound_shipped_model(UNNAMED, manifest.model_id) == manifest
    cut_short(path)
    with pytest.raises(ModelError, match=path.name):
        sound_shipped_model(UNNAMED, manifest.model_id)


def cut_short(path: Path) -> None:
    body = path.read_bytes()
    path.write_bytes(body[: len(body) // 2])


def change_a_bit(path: Path) -> None:
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 1
    path.write_bytes(body)


NEVER_READ = Path("/proc/self/mem")
"""A file whose beginning cannot be read."""


def wear_out(path: Path) -> None:
    """Reading it fails, as on a card that is worn out."""
    if not NEVER_READ.exists():
        pytest.skip("no file here that cannot be read")
    path.unlink()
    path.symlink_to(NEVER_READ)


def change_the_checksum(manifest: Path) -> None:
    text = manifest.read_text(encoding="utf-8")
    wrong = text.replace(load_embedding_manifest(manifest.with_suffix(".tflite")).sha256, 64 * "a")
    assert wrong != text
    manifest.write_text(wrong, encoding="utf-8")


DAMAGES = [
    pytest.param(".tflite", cut_short, "its manifest expects sha256", id="model cut short"),
    pytest.param(".tflite", change_a_bit, "its manifest expects sha256", id="model of a wrong bit"),
    pytest.param(".tflite", wear_out, "cannot be read: Input/output error", id="model unreadable"),
    pytest.param(".tflite", Path.unlink, "expected {name} in this installation", id="no model"),
    pytest.param(".json", cut_short, "not a valid manifest", id="manifest cut short"),
    pytest.param(".json", wear_out, "cannot be read: Input/output error", id="manifest unreadable"),
    pytest.param(".json", change_the_checksum, "which is damaged", id="manifest of another model"),
    pytest.param(".json", Path.unlink, "every model needs one beside it", id="no manifest"),
]


@pytest.mark.parametrize(("suffix", "damage", "words"), DAMAGES)
def test_a_damaged_one_is_passed_over_as_one_that_is_not_there(
    tmp_path: Path,
    installation: Path,
    suffix: str,
    damage: Callable[[Path], None],
    words: str,
) -> None:
    path, workshop = synced(tmp_path, id_of(OLD), id_of(NEW))
    key, new_id = workshop.key.public, id_of(NEW)
    old, new = installation / OLD.name, installation / NEW.name
    assert model_of_replica(path, key, UNNAMED) == new
    assert is_model_in_force(path, key, new)
    damage(new.with_suffix(suffix))
    assert model_of_replica(path, key, UNNAMED) == old
    assert not is_model_in_force(path, key, old)
    with pytest.raises(ModelError, match=words.format(name=NEW.stem)) as raised:
        sound_shipped_model(UNNAMED, new_id)
    assert "\n" not in str(raised.value)


def test_where_none_is_sound_none_is_taken(tmp_path: Path, installation: Path) -> None:
    path, workshop = synced(tmp_path, id_of(OLD), id_of(NEW))
    for model in (OLD, NEW):
        cut_short(installation / model.name)
    assert model_of_replica(path, workshop.key.public, UNNAMED) is None
