"""Pictures of every odd kind: read as what they show, or left out by name and counted."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_reid.core.bundled_models import EMBEDDING, shipped_model
from edge_reid.core.errors import PhotoError, TrainingError
from trainer.data.datasets import read_source
from trainer.data.decoded_crops import load_crops, read_image
from trainer.data.pictures import check_picture, readable_part
from trainer.data.run_data import load_run_data
from trainer.recipe.recipe import DataSource, Recipe, Stage
from trainer.scoring.evaluate import evaluate_file, read_split

GREY_BACKDROP = 114
CMYK_JPEG = base64.b64decode(
    "/9j/7gAOQWRvYmUAZAAAAAAA/9sAQwACAQEBAQECAQEBAgICAgIEAwICAgIFBAQDBAYFBgYGBQYGBgcJCAYHCQcGBggL"
    "CAkKCgoKCgYICwwLCgwJCgoK/8AAFAgAEAAQBEMRAE0RAFkRAEsRAP/EABUAAQEAAAAAAAAAAAAAAAAAAAAJ/8QAFBAB"
    "AAAAAAAAAAAAAAAAAAAAAP/aAA4EQwBNAFkASwAAPwC/ibaba1gAAAD/2Q=="
)
"""16 × 16 px of C 0, M 200, Y 200, K 20, which is RGB (235, 51, 51)."""


def plain(rgb: tuple[int, ...], dtype: type = np.uint8) -> np.ndarray:
    """40 × 20 px of one colour, in OpenCV's order of channels."""
    bgr = (*rgb[2::-1], *rgb[3:])
    return np.full((40, 20, len(rgb)), bgr, dtype)


def encoded(suffix: str, bgr: np.ndarray) -> bytes:
    return cv2.imencode(suffix, bgr)[1].tobytes()


def turned(jpeg: bytes) -> bytes:
    """The JPEG with an EXIF segment that says: turn me by a quarter."""
    entry = struct.pack(">HHIHH", 0x0112, 3, 1, 6, 0)
    tiff = b"MM\x00\x2a" + struct.pack(">IH", 8, 1) + entry + struct.pack(">I", 0)
    segment = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + jpeg[2:]


def png_of(width: int, height: int) -> bytes:
    """A PNG that declares a size and holds no pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    crc = struct.pack(">I", zlib.crc32(header))
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + crc + b"\0\0\0\0IEND\xaeB`\x82"


def harmed(png: bytes) -> bytes:
    """With zeros for its pixels, as a disk leaves it; header and end are whole."""
    start = png.index(b"IDAT") + 4
    return png[:start] + bytes(len(png) - start - 16) + png[-16:]


RED = (200, 30, 30)
ODD = {
    "clear.png": (encoded(".png", plain((*RED, 0))), (GREY_BACKDROP,) * 3),
    "solid.png": (encoded(".png", plain((*RED, 255))), RED),
    "cmyk.jpg": (CMYK_JPEG, (235, 51, 51)),
    "deep.png": (encoded(".png", plain((51400, 7710, 7710), np.uint16)), RED),
    "grey.jpg": (encoded(".jpg", np.full((40, 20), 90, np.uint8)), (90, 90, 90)),
    "turned.jpg": (turned(encoded(".jpg", plain(RED))), RED),
    "picture.webp": (encoded(".webp", plain(RED)), RED),
    "picture.tiff": (encoded(".tiff", plain(RED)), RED),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_pictures_are_read_as_what_they_show(tmp_path: Path, name: str) -> None:
    data, rgb = ODD[name]
    (tmp_path / name).write_bytes(data)
    check_picture(tmp_path / name)
    image = read_image(tmp_path / name)
    assert image.dtype == np.uint8
    assert np.allclose(image.mean(axis=(0, 1)), rgb, atol=4)
    assert image.shape[:2] == ((20, 40) if name == "turned.jpg" else image.shape[:2])


def test_a_picture_20000_pixels_wide_is_a_crop_like_any_other(tmp_path: Path) -> None:
    wide = tmp_path / "wide.jpg"
    wide.write_bytes(encoded(".jpg", np.full((64, 20_000, 3), 90, np.uint8)))
    check_picture(wide)
    assert np.allclose(load_crops([wide], 64, 32), 90, atol=2)


BAD = {
    "empty.jpg": (b"", "the file is empty"),
    "text.jpg": (b"no picture", "cannot be decoded"),
    "zeros.png": (bytes(5000), "cannot be decoded"),
    "cut.jpg": (encoded(".jpg", plain(RED))[:-40], "the file is cut short"),
    "cut.png": (encoded(".png", plain(RED))[:-40], "the file is cut short"),
    "harmed.png": (harmed(encoded(".png", plain(RED))), "cannot be decoded"),
    "huge.png": (png_of(20_000, 20_000), "at most 100 megapixels, got 20000 × 20000"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_picture_is_named_with_what_is_wrong(tmp_path: Path, name: str) -> None:
    data, words = BAD[name]
    (tmp_path / name).write_bytes(data)
    for look in (check_picture, read_image):
        with pytest.raises(PhotoError, match=f"{name}: .*{words}"):
            look(tmp_path / name)


def test_training_leaves_bad_pictures_out_and_says_which(people: Path) -> None:
    """One person has no good picture left but one, and is left out with it."""
    files = sorted(people.iterdir())
    for file, (data, _) in zip(files, list(BAD.values())[:5], strict=False):
        file.write_bytes(data)
    recipe = Recipe(
        sources=(DataSource(path=people),),
        stages=(Stage(height_px=64, width_px=32, epochs=1),),
        hold_out=0,
    )
    run = load_run_data(recipe)
    assert [each.path for each in run.unreadable] == files[:5]
    assert run.left_out == (f"{people}/1",)
    assert (len(run.train), len(run.train.identities)) == (66, 11)
    unreadable, single = run.remarks()
    assert unreadable.startswith("left out, unreadable: 5: photo ")
    assert single == f"left out, one picture only: 1: {people}/1"


def test_scores_leave_no_picture_out_and_name_the_bad_ones_at_once(people: Path) -> None:
    files = sorted(people.iterdir())
    for file, (data, _) in zip(files, list(BAD.values())[:3], strict=False):
        file.write_bytes(data)
    with pytest.raises(TrainingError, match="expected 72 readable .* got 3 that are not") as no:
        evaluate_file(shipped_model(EMBEDDING), read_split(people))
    assert all(file.name in str(no.value) for file in files[:3])


def test_what_was_left_out_stays_in_the_run_s_folder(people: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorflow", reason="needs TensorFlow")
    from trainer.run.checkpoint import TrainingPosition
    from trainer.run.environment import ENVIRONMENT, write_environment

    bad = min(people.iterdir())
    bad.write_bytes(b"")
    (people / "notes.txt").write_text("hello")
    recipe = Recipe(
        sources=(DataSource(path=people),),
        stages=(Stage(height_px=64, width_px=32, epochs=1),),
    )
    write_environment(tmp_path, load_run_data(recipe), TrainingPosition(), "float32")
    facts = json.loads((tmp_path / ENVIRONMENT).read_text())["data"]
    assert facts["unreadable_files"] == [
        f"photo {bad}: expected an image, the file is empty; copy it again"
    ]
    assert facts["unused_files"] == [str(people / "notes.txt")]


def test_a_broken_link_is_named(people: Path) -> None:
    (people / "0001_c1s1_999999_00.jpg").symlink_to(people / "gone.jpg")
    _, bad = readable_part(read_source(people))
    assert [each.path.name for each in bad] == ["0001_c1s1_999999_00.jpg"]
    assert "No such file" in bad[0].reason


def test_nothing_readable_is_an_error(make_people: Callable[..., Path]) -> None:
    people = make_people(identities=2)
    for file in people.iterdir():
        file.write_bytes(b"")
    with pytest.raises(TrainingError, match="expected readable pictures, got none; .*empty"):
        readable_part(read_source(people))
