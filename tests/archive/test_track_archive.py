"""The archive's folder: whole or not at all, of one pair of models, and searched exactly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_reid.archive.archive_search import nearest_tracks
from edge_reid.archive.track_archive import (
    ArchivedTrack,
    ArchiveModels,
    TrackArchive,
    VideoTracks,
    stacked,
)
from edge_reid.core.errors import ModelMismatchError, StoreError

MODELS = ArchiveModels("0123456789abcdef", 4, "d" * 64)


def track(number: int, camera: str = "gate") -> ArchivedTrack:
    at = f"2026-03-01T12:00:{number:02}.000Z"
    return ArchivedTrack("a.mp4", camera, number, at, at, at, (1.0, 2.0, 3.0, 4.0), (768, 576), 3)


def video(name: str, *tracks: ArchivedTrack, seed: int = 0) -> VideoTracks:
    vectors = np.random.default_rng(seed).standard_normal((len(tracks), 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return VideoTracks(name * 64, tracks, stacked(list(vectors), 4))


def test_what_was_put_in_is_read_back_by_whoever_opens_it(tmp_path: Path) -> None:
    archive = TrackArchive.create(tmp_path / "archive", MODELS)
    one, none, two = video("1", track(1), track(2)), video("2"), video("3", track(3), seed=1)
    for content in (two, one, none):
        archive.add(content)
    tracks, vectors = TrackArchive.open(tmp_path / "archive").read()
    assert tracks == (*one.tracks, *two.tracks)
    assert (vectors == np.concatenate([one.vectors, two.vectors])).all()
    assert [archive.has(digit * 64) for digit in "1234"] == [True, True, True, False]
    private = {path.stat().st_mode & 0o777 for path in archive.folder.glob("[0-9]*")}
    assert private == {0o600}


def test_a_video_without_its_list_is_not_there(tmp_path: Path) -> None:
    """As a kill between the two files leaves it."""
    archive = TrackArchive.create(tmp_path, MODELS)
    archive.add(video("1", track(1)))
    (tmp_path / f"{'1' * 64}.jsonl").unlink()
    assert not archive.has("1" * 64)
    assert archive.read()[0] == ()


def test_other_models_get_an_archive_of_their_own(tmp_path: Path) -> None:
    TrackArchive.create(tmp_path, MODELS)
    TrackArchive.create(tmp_path, MODELS)
    with pytest.raises(ModelMismatchError, match="give another --out"):
        TrackArchive.create(tmp_path, ArchiveModels("f" * 16, 4, "d" * 64))
    with pytest.raises(ModelMismatchError, match="another detector"):
        TrackArchive.create(tmp_path, ArchiveModels(MODELS.model_id, 4, "e" * 64))


def test_what_is_no_archive_is_said(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("hello")
    with pytest.raises(StoreError, match="expected an archive or an empty folder"):
        TrackArchive.create(tmp_path, MODELS)
    with pytest.raises(StoreError, match="expected an archive of `edge-reid index`"):
        TrackArchive.open(tmp_path)
    with pytest.raises(StoreError, match="expected a folder to write into, got: Not a directory"):
        TrackArchive.create(tmp_path / "letter.txt", MODELS)


@pytest.mark.parametrize("body", [b"{}\n", b"hello\n", b"[1]\n", b""])
def test_a_damaged_list_is_said(tmp_path: Path, body: bytes) -> None:
    archive = TrackArchive.create(tmp_path, MODELS)
    archive.add(video("1", track(1)))
    (tmp_path / f"{'1' * 64}.jsonl").write_bytes(body)
    with pytest.raises(StoreError, match="is damaged"):
        archive.read()


def test_the_most_alike_come_first(tmp_path: Path) -> None:
    tracks = [track(number) for number in range(40)]
    content = video("1", *tracks)
    asked = content.vectors[7]
    similarities = content.vectors @ asked
    expected = sorted(range(40), key=lambda row: -similarities[row])
    found = nearest_tracks(asked, tracks, content.vectors, top=5)
    assert [match.track.track_id for match in found] == expected[:5]
    assert found[0].similarity == pytest.approx(1.0, abs=1e-6)
    assert len(nearest_tracks(asked, tracks, content.vectors, top=100)) == 40
    assert nearest_tracks(asked, [], np.empty((0, 4), np.float32), top=5) == ()


def test_of_equal_ones_the_earlier_comes_first_also_where_only_some_are_shown() -> None:
    tracks = [track(number) for number in range(60)]
    alike = np.full((60, 4), 0.5, np.float32)
    for top in (1, 7, 60):
        found = nearest_tracks(alike[0], tracks, alike, top=top)
        assert [match.track.track_id for match in found] == list(range(top))


def test_only_the_tracks_of_a_camera_are_read(tmp_path: Path) -> None:
    archive = TrackArchive.create(tmp_path, MODELS)
    mixed = video("1", track(0, "gate"), track(1, "yard"), track(2, "gate"))
    archive.add(mixed)
    archive.add(video("2", track(3, "door")))
    tracks, vectors = archive.read("gate")
    assert [found.track_id for found in tracks] == [0, 2]
    assert (vectors == mixed.vectors[[0, 2]]).all()
    assert archive.read("nowhere")[1].shape == (0, 4)
