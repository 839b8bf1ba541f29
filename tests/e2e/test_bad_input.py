"""Everything that can be wrong is said in one line: what was expected, what came, what to do."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.consumer import eventually

from edge_reid.core.bundled_models import DETECTOR, EMBEDDING, SMALLER_EMBEDDING, shipped_model

pytestmark = pytest.mark.e2e

PLACE = ("--site", "lab", "--camera", "gate", "--quiet")


def test_a_video_that_is_not_there(edge_reid, people, tmp_path):
    outcome = edge_reid("run", "--source", tmp_path / "no.mp4", "--gallery", people, *PLACE)
    assert outcome.code == 1
    assert "no.mp4: no such file" in outcome.complaint


def test_a_video_of_zero_length(edge_reid, people, tmp_path):
    clip = tmp_path / "empty.mp4"
    clip.touch()
    outcome = edge_reid("run", "--source", clip, "--gallery", people, *PLACE)
    assert outcome.code == 1
    assert "the file is empty" in outcome.complaint


def test_a_truncated_video(edge_reid, people, short_clip, tmp_path):
    clip = tmp_path / "truncated.mp4"
    clip.write_bytes(short_clip.read_bytes()[:2000])
    outcome = edge_reid("run", "--source", clip, "--gallery", people, *PLACE)
    assert outcome.code == 1
    assert "expected a video, this is none or it is cut off" in outcome.complaint


def test_a_video_that_breaks_half_way_keeps_what_came_before(
    edge_reid, people, short_clip, tmp_path
):
    """The index (moov) is put first, then the last half of the pictures is cut off."""
    clip, events = tmp_path / "broken.mp4", tmp_path / "events.jsonl"
    clip.write_bytes(half_of(short_clip))
    outcome = edge_reid("run", "--source", clip, "--gallery", people, "--events", events, *PLACE)
    assert outcome.code == 1
    assert "broke off after frame 19, expected 40 frames" in outcome.complaint
    assert all(json.loads(line) for line in events.read_text().splitlines())


def half_of(clip: Path) -> bytes:
    """A clip whose index promises frames that the file no longer holds."""
    data = clip.read_bytes()
    start = data.index(b"mdat")
    moov = data.index(b"moov")
    assert moov > start, "the writer puts the index last"
    broken = bytearray(data)
    middle = start + (moov - start) // 2
    broken[middle : moov - 4] = bytes(moov - 4 - middle)
    return bytes(broken)


def test_a_gallery_of_another_model(edge_reid, people, short_clip, tmp_path):
    gallery = tmp_path / "other.db"
    shutil.copy(people, gallery)
    with sqlite3.connect(gallery) as database:
        change_model_id(database)
    outcome = edge_reid("run", "--source", short_clip, "--gallery", gallery, *PLACE)
    assert outcome.code == 1
    assert "model" in outcome.complaint
    assert "enrol" in outcome.complaint


@pytest.mark.parametrize("verb", ["run", "doctor"])
def test_settings_that_name_another_model_than_the_gallerys(
    edge_reid, people, short_clip, tmp_path, verb
):
    """Both ways out are told, with the names of the models."""
    old, new = (name.removesuffix(".tflite") for name in (EMBEDDING, SMALLER_EMBEDDING))
    config = tmp_path / "agent.toml"
    config.write_text(
        f'site = "lab"\ncamera = "gate"\ngallery = "{people}"\n'
        f'[source]\nuri = "{short_clip}"\n[models]\nembedding = "{new}"\n'
    )
    outcome = edge_reid(verb, "--config", config)
    assert outcome.code == 1
    said = " ".join((outcome.err or outcome.out).split())  # doctor breaks long lines
    assert f"expected one of model {new} (" in said
    assert f"got one of {old} (" in said
    assert f"give {old} as --model or as models.embedding of the settings, or enroll" in said
    assert f"edge-reid gallery init NEW.db --model {new}, and gallery enroll" in said


def change_model_id(database: sqlite3.Connection) -> None:
    tables = [
        row[0] for row in database.execute("SELECT name FROM sqlite_schema WHERE type='table'")
    ]
    for table in tables:
        columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
        if "model_id" in columns:
            database.execute(f"UPDATE {table} SET model_id = 'ffffffffffffffff'")


def test_something_that_is_not_a_gallery(edge_reid, short_clip, tmp_path):
    gallery = tmp_path / "gallery.db"
    gallery.write_text("names of people\n" * 100)
    outcome = edge_reid("run", "--source", short_clip, "--gallery", gallery, *PLACE)
    assert outcome.code == 1
    assert "gallery.db" in outcome.complaint
    assert gallery.read_text() == "names of people\n" * 100, "it was left alone"


def test_a_locked_gallery(edge_reid, people, photos, tmp_path):
    gallery = tmp_path / "locked.db"
    shutil.copy(people, gallery)
    holder = sqlite3.connect(gallery)
    holder.execute("BEGIN EXCLUSIVE")
    photo = next(iter(photos.values()))[0]
    outcome = edge_reid("gallery", "enroll", "nobody", photo, "--gallery", gallery)
    holder.rollback()
    assert outcome.code == 1
    assert "locked" in outcome.complaint


@pytest.fixture
def model_copy(tmp_path: Path) -> Path:
    for suffix in (".tflite", ".json"):
        source = shipped_model(EMBEDDING).with_suffix(suffix)
        shutil.copy(source, tmp_path / f"model{suffix}")
    return tmp_path / "model.tflite"


def test_a_corrupt_model(edge_reid, people, photos, model_copy):
    data = bytearray(model_copy.read_bytes())
    data[len(data) // 2] ^= 0xFF
    model_copy.write_bytes(bytes(data))
    photo = next(iter(photos.values()))[0]
    outcome = edge_reid("probe", photo, "--gallery", people, "--model", model_copy)
    assert outcome.code == 1
    assert "its manifest expects sha256" in outcome.complaint


def test_a_manifest_of_another_kind(edge_reid, people, photos):
    photo = next(iter(photos.values()))[0]
    outcome = edge_reid("probe", photo, "--gallery", people, "--model", shipped_model(DETECTOR))
    assert outcome.code == 1
    assert "expected an embedding model" in outcome.complaint


def test_a_photo_with_nobody_in_it(edge_reid, people, tmp_path):
    photo = tmp_path / "wall.png"
    wall = np.full((480, 640, 3), 128, np.uint8)
    cv2.imwrite(str(photo), wall)
    outcome = edge_reid("gallery", "enroll", "anna", photo, "--gallery", people)
    assert outcome.code == 1
    assert "wall.png" in outcome.complaint


def test_four_mistakes_in_a_configuration_are_all_listed(edge_reid, tmp_path):
    config = tmp_path / "agent.toml"
    config.write_text(
        'site = "The Lab"\ncamera = "gate"\ngallery = "g.db"\ncolour = "blue"\n'
        '[source]\nuri = "clip.mp4"\n[detect]\nrate_hz = 0\n[mqtt]\nurl = "http://broker"\n'
    )
    outcome = edge_reid("run", "--config", config)
    assert outcome.code == 2
    assert "4 mistakes" in outcome.complaint
    for mistake in ("colour: unknown key", "site: ", "detect.rate_hz: ", "mqtt.url: "):
        assert f"  - {mistake}" in outcome.err


def test_run_without_anything_says_what_is_missing(edge_reid):
    outcome = edge_reid("run")
    assert outcome.code == 2
    assert "got no --source, --gallery, --site and --camera; " in outcome.complaint


def test_an_option_that_does_not_exist(edge_reid):
    outcome = edge_reid("run", "--colour", "blue")
    assert outcome.code == 2
    assert "run: expected one of its options" in outcome.complaint
    assert "got --colour; " in outcome.complaint


def test_debug_shows_the_traceback(edge_reid, tmp_path):
    outcome = edge_reid(
        "--debug", "run", "--source", tmp_path / "no.mp4", "--gallery", tmp_path / "g.db", *PLACE
    )
    assert outcome.code == 1
    assert "Traceback" in outcome.err


@pytest.mark.parametrize("verb", ["run", "sink"])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_a_signal_in_the_first_moments_ends_it_cleanly(tmp_path, start, verb, number, code):
    """While it reads what is to be done, long before it does anything."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    given = {
        "run": ("--config", pipe),
        "sink": ("--site", "lab", "--to", "-", "--username", "sink", "--password-file", pipe),
    }
    process = start(verb, *given[verb])
    with pipe.open("w"):  # it has opened its end
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert "Traceback" not in err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_a_signal_ends_it_cleanly(people, tmp_path, long_clip, start, number, code):
    """Once events flow, the signal must end the run, and every event must be whole."""
    events = tmp_path / "events.jsonl"
    process = start("run", "--source", long_clip, "--gallery", people, "--events", events, *PLACE)
    eventually(lambda: events.exists() and events.stat().st_size > 0, timeout_s=60)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert "Traceback" not in err
    assert all(json.loads(line) for line in events.read_text().splitlines())
