"""`edge-reid index`: what it says of videos that are in the archive already."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np


def a_video(path: Path, grey: int) -> Path:
    path.parent.mkdir(exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 5, (160, 120))
    for number in range(3):
        writer.write(np.full((120, 160, 3), grey + number, np.uint8))
    writer.release()
    return path


MISSING = "cannot be read: No such file or directory"


def test_a_video_that_is_not_there_is_all_that_is_told_and_leaves_no_archive(edge_reid, tmp_path):
    """Nor a summary: nothing was begun. An archive would keep its models from then on."""
    missing = tmp_path / "door.mp4"
    outcome = edge_reid("index", missing, "--out", tmp_path / "archive", "--processes", 1)
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err == f"error: video {missing}: {MISSING}\n"
    assert not list(tmp_path.iterdir())


def test_of_several_each_is_named_and_no_archive_is_left(edge_reid, tmp_path):
    missing = [tmp_path / "door" / name for name in ("1.mp4", "2.mp4")]
    outcome = edge_reid("index", *missing, "--out", tmp_path / "archive")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.splitlines() == [
        *(f"left out {each}: {MISSING}" for each in missing),
        "error: expected 2 videos that can be read, got none",
    ]
    assert not list(tmp_path.iterdir())


def test_one_of_several_is_left_out(edge_reid, tmp_path):
    good = a_video(tmp_path / "door" / "2026-03-01T12-00-00.avi", 10)
    missing = tmp_path / "door" / "2026-03-01T13-00-00.avi"
    outcome = edge_reid("index", good, missing, "--out", tmp_path / "archive", "--processes", 1)
    assert outcome.code == 1
    assert outcome.out.startswith("2 videos, 0 tracks are new in ")
    assert outcome.err.startswith(f"left out {missing}: {MISSING}\n"), "it is named once"
    assert outcome.complaint == (
        "error: expected 2 videos that can be read, got 1; the others are in the archive"
    )


def test_a_file_that_is_no_video_is_named_once_and_nothing_else_is_said(edge_reid, tmp_path):
    text = tmp_path / "door.mp4"
    text.write_text("hello")
    outcome = edge_reid("index", text, "--camera", "door", "--out", tmp_path / "archive")
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (1, "", 1)
    assert outcome.err.startswith(
        f"error: video {text}: expected a video, this is none or it is cut"
    )
    assert list(tmp_path.iterdir()) == [text]


def test_a_video_that_is_indexed_again_says_that_it_stays_as_it_was(edge_reid, tmp_path):
    """Its camera and time of before count: the new ones would be lost without a word."""
    first, archive = a_video(tmp_path / "door" / "1.avi", 10), tmp_path / "archive"
    words = ("index", "--out", archive, "--processes", 1)
    assert edge_reid(*words, first, "--camera", "gate").out.count("\n") == 1
    a_video(tmp_path / "door" / "2.avi", 90)
    again = edge_reid(*words, tmp_path / "door", "--camera", "yard")
    assert again.code == 0
    assert again.out.startswith("2 videos, 0 tracks are new in ")
    assert "1 of these: in it already, and camera and start time stay as they were; " in again.out
    assert "delete what is there of the video and index it again" in again.out
    assert len(list(archive.glob("*.jsonl"))) == 2


def test_a_video_that_is_named_twice_is_one(edge_reid, tmp_path):
    first = a_video(tmp_path / "door" / "1.avi", 10)
    (tmp_path / "link.avi").symlink_to(first)
    given = (first, tmp_path / "door", tmp_path / "door/../door/1.avi", tmp_path / "link.avi")
    outcome = edge_reid("index", *given, "--out", tmp_path / "archive", "--processes", 2)
    assert outcome.code == 0
    assert outcome.out == f"1 video, 0 tracks are new in {tmp_path / 'archive'}\n"


def test_what_begins_at_no_known_time_is_said_once(edge_reid, tmp_path):
    """Before it is done: a time in the archive can only be changed by deleting the video there."""
    first, archive = a_video(tmp_path / "door" / "1.avi", 10), tmp_path / "archive"
    words = ("index", "--out", archive, "--processes", 1)
    assert edge_reid(*words, first).err == (
        f"{first}: without a time in the name the first frame counts as taken on 1970-01-01; give "
        "--start-time of a single video, or names like 2026-03-01T12-00-00.mp4\n"
    )
    a_video(tmp_path / "door" / "2.avi", 90)
    a_video(tmp_path / "door" / "2026-03-01T12-00-00.avi", 50)
    several = edge_reid(*words, tmp_path / "door").err
    assert several.startswith(f"{first} and 1 more: without a time in the name ")


def test_of_what_begins_at_a_known_time_nothing_is_said(edge_reid, tmp_path):
    named = a_video(tmp_path / "door" / "2026-03-01T12-00-00.avi", 10)
    words = ("index", "--out", tmp_path / "archive", "--processes", 1)
    assert edge_reid(*words, named).err == ""
    assert edge_reid(*words, named, "--start-time", "1970-01-01T00:00:00Z").err == ""
