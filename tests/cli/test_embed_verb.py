from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.bent_zips import unreadable_zips

from edge_reid.core.bundled_models import EMBEDDING, shipped_model
from edge_reid.core.manifest import load_embedding_manifest
from edge_reid.vision.embed import Embedder


@pytest.fixture
def folder(tmp_path, samples, monkeypatch):
    """Crops at several depths, and what should be passed over."""
    crops = [sample.crop for taken in samples.values() for sample in taken]
    for number, place in enumerate(("b/2.png", "b/10.png", "a/deep/er/x.PNG", "c.png")):
        target = tmp_path / "crops" / place
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(crops[number % len(crops)], target)
    (tmp_path / "crops" / "README.txt").write_text("not an image")
    (tmp_path / "crops" / "._c.png").write_text("a trace of a Mac")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "crops"


def load(path):
    with np.load(path) as archive:
        return list(archive["names"]), archive["embeddings"]


def test_every_image_of_a_folder_sorted(edge_reid, folder):
    assert edge_reid("embed", "--out", "e.npz", "crops").code == 0
    names, embeddings = load("e.npz")
    assert names == ["crops/a/deep/er/x.PNG", "crops/b/10.png", "crops/b/2.png", "crops/c.png"]
    assert embeddings.dtype == np.float32
    assert embeddings.shape == (4, load_embedding_manifest(shipped_model(EMBEDDING)).dimension)
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-5)


def test_a_file_of_another_kind_is_not_overwritten(edge_reid, folder):
    outcome = edge_reid("embed", "--out", "crops/c.png", "crops")
    assert outcome.code == 2
    assert "expected what `edge-reid embed` wrote or no file, got another" in outcome.complaint
    assert (folder / "c.png").read_bytes().startswith(b"\x89PNG")


def test_a_zip_of_a_later_version_is_not_overwritten(edge_reid, folder):
    with zipfile.ZipFile("later.zip", "w", zipfile.ZIP_DEFLATED) as photos:
        photos.writestr("holiday.jpg", "not of this verb")
    later = unreadable_zips(Path("later.zip").read_bytes())["of a later version"]
    Path("later.zip").write_bytes(later)
    outcome = edge_reid("embed", "--out", "later.zip", "crops")
    assert outcome.code == 2
    assert "expected what `edge-reid embed` wrote or no file, got another" in outcome.complaint
    assert Path("later.zip").read_bytes() == later


@pytest.mark.parametrize("inside", ["holiday.jpg", "names.npy", "model.weights.h5"])
def test_a_zip_that_is_not_of_this_verb_is_not_overwritten(edge_reid, folder, inside):
    """A model of Keras is one, and so are the weights of a run."""
    with zipfile.ZipFile("photos.zip", "w") as photos:
        photos.writestr(inside, "not of this verb")
    before = Path("photos.zip").read_bytes()
    outcome = edge_reid("embed", "--out", "photos.zip", "crops")
    assert outcome.code == 2
    assert "expected what `edge-reid embed` wrote or no file, got another" in outcome.complaint
    assert Path("photos.zip").read_bytes() == before


def test_weights_of_a_run_are_not_overwritten(edge_reid, folder):
    np.savez("weights.npz", kernel=np.ones(4))
    before = Path("weights.npz").read_bytes()
    assert edge_reid("embed", "--out", "weights.npz", "crops").code == 2
    assert Path("weights.npz").read_bytes() == before


def test_it_takes_the_place_of_what_it_wrote_before_and_of_an_empty_file(edge_reid, folder):
    Path("e.npz").touch()
    assert edge_reid("embed", "--out", "e.npz", "crops").code == 0
    assert edge_reid("embed", "--out", "e.npz", "crops/c.png").code == 0
    assert load("e.npz")[0] == ["crops/c.png"]


def test_paths_stay_as_given_and_come_once(edge_reid, folder):
    given = ("./crops/b", "crops/c.png", str(folder / "c.png"), "crops/c.png")
    assert edge_reid("embed", "--out", "e.npz", *given).code == 0
    names, _ = load("e.npz")
    assert names == ["./crops/b/10.png", "./crops/b/2.png", "crops/c.png", str(folder / "c.png")]


def test_they_are_what_the_agent_would_compute(edge_reid, folder):
    edge_reid("embed", "--out", "e.npz", "crops")
    names, embeddings = load("e.npz")
    images = [cv2.cvtColor(cv2.imread(name), cv2.COLOR_BGR2RGB) for name in names]
    expected = Embedder(shipped_model(EMBEDDING)).embed(images)
    np.testing.assert_allclose(embeddings, expected, atol=1e-5)


def test_unreadable_images_are_named_left_out_and_make_it_fail(edge_reid, folder):
    (folder / "b" / "broken.jpg").write_text("no image")
    (folder / "empty.png").touch()
    outcome = edge_reid("embed", "--out", "e.npz", "crops")
    assert outcome.code == 1
    assert "crops/b/broken.jpg: expected a JPEG, PNG, BMP, TIFF or WebP" in outcome.err
    assert "crops/empty.png: expected an image, the file is empty" in outcome.err
    assert "2 of 6 images could not be read" in outcome.complaint
    names, embeddings = load("e.npz")
    assert len(names) == len(embeddings) == 4
    assert edge_reid("embed", "--out", "e.npz", "crops", "--skip-bad").code == 0


def test_nothing_readable_leaves_the_old_file(edge_reid, folder):
    assert edge_reid("embed", "--out", "e.npz", "crops").code == 0
    names, _ = load("e.npz")
    (folder / "bad").mkdir()
    (folder / "bad" / "x.png").touch()
    outcome = edge_reid("embed", "--out", "e.npz", "crops/bad")
    assert outcome.code == 1
    assert "expected images, got 1 of which none can be read" in outcome.complaint
    assert load("e.npz")[0] == names


def test_more_images_than_a_batch_keep_their_order(edge_reid, folder):
    noise = np.random.default_rng(0).integers(0, 256, (70, 32, 16, 3)).astype(np.uint8)
    for number, image in enumerate(noise):
        cv2.imwrite(str(folder / "b" / f"{number:03}.png"), image)
    (folder / "b" / "031x.png").touch()  # where a batch ends
    edge_reid("embed", "--out", "e.npz", "crops/b", "--skip-bad")
    names, embeddings = load("e.npz")
    assert len(names) == len(embeddings) == 72
    embedder = Embedder(shipped_model(EMBEDDING))
    for number in (0, 31, 32, 69):
        (expected,) = embedder.embed([cv2.cvtColor(noise[number], cv2.COLOR_BGR2RGB)])
        found = embeddings[names.index(f"crops/b/{number:03}.png")]
        np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--out", "e.npz", "nowhere"), "nowhere: expected a file or folder, got none"),
        (("--out", "e.npz", "empty"), "expected images, got none"),
        (("--out", "no/e.npz", "crops"), "expected the folder no, got none"),
        (("--out", "e.npz", "crops", "--runtime", "onnx"), "runtime"),
        (("--out", "e.npz", "crops", "--threads", "0"), "threads"),
    ],
)
def test_wrong_usage(edge_reid, folder, words, complaint):
    (folder.parent / "empty").mkdir()
    outcome = edge_reid("embed", *words)
    assert outcome.code == 2
    assert complaint in outcome.complaint
    assert not (folder.parent / "e.npz").exists()


def test_a_failed_write_leaves_the_old_file(edge_reid, folder, monkeypatch):
    edge_reid("embed", "--out", "e.npz", "crops/c.png")
    before = load("e.npz")[0]

    def no_space(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", no_space)
    outcome = edge_reid("embed", "--out", "e.npz", "crops")
    assert "No space left on device" in outcome.complaint
    assert load("e.npz")[0] == before
    assert {each.name for each in folder.parent.iterdir()} == {"crops", "e.npz"}
