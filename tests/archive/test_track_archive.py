"""The archive's folder: whole or not at all, of one pair of models, and searched exactly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_reid.archive.archive_findings import ArchiveFindings
from edge_reid.archive.archive_search import ArchiveSearch
from edge_reid.archive.archive_store import ArchiveModels
from edge_reid.archive.archived_track import ArchivedTrack, VideoTracks
from edge_reid.archive.track_archive import TrackArchive, stacked
from edge_reid.core.errors import ModelMismatchError, StoreError
from edge_reid.core.types import Vector

MODELS = ArchiveModels("0123456789abcdef", 4, "d" * 64)


def track(number: int, camera: str = "gate") -> ArchivedTrack:
    at = f"2026-03-01T12:00:{number:02}.000Z"
    return ArchivedTrack("a.mp4", camera, number, at, at, at, (1.0, 2.0, 3.0, 4.0), (768, 576), 3)


def video(name: str, *tracks: ArchivedTrack, seed: int = 0) -> VideoTracks:
    vectors = np.random.default_rng(seed).standard_normal((len(tracks), 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return VideoTracks(name * 64, tracks, stacked(list(vectors), 4))


def find(archive: TrackArchive, vector: Vector, top: int, camera: str | None = None) -> list[int]:
    """Numbers of the tracks found, the most alike first."""
    return [match.track.track_id for match in found(archive, vector, top, camera).matches]


def found(
    archive: TrackArchive, vector: Vector, top: int, camera: str | None = None
) -> ArchiveFindings:
    return ArchiveSearch(archive, archive.videos()).find(vector, top=top, camera=camera)


def test_what_was_put_in_is_read_back_by_whoever_opens_it(tmp_path: Path) -> None:
    archive = TrackArchive.create(tmp_path / "archive", MODELS)
    one, none, two = video("1", track(1), track(2)), video("2"), video("3", track(3), seed=1)
    for content in (two, one, none):
        archive.add(content)
    opened = TrackArchive.open(tmp_path / "archive")
    videos = opened.videos()
    assert [(video.sha256[0], video.tracks) for video in videos] == [("1", 2), ("2", 0), ("3", 1)]
    for stored, given in zip(videos, (one, none, two), strict=True):
        assert opened.tracks(stored) == given.tracks
        assert (opened.vectors(stored) == given.vectors).all()
    assert opened.track(videos[0], 1) == one.tracks[1]
    assert (opened.vectors_at(videos[0], [1, 0]) == one.vectors[[1, 0]]).all()
    assert [archive.has(digit * 64) for digit in "1234"] == [True, True, True, False]
    private = {path.stat().st_mode & 0o777 for path in archive.folder.glob("[0-9]*")}
    assert private == {0o600}


def test_a_video_without_its_list_is_not_there(tmp_path: Path) -> None:
    """As a kill between the two files leaves it."""
    archive = TrackArchive.create(tmp_path, MODELS)
    archive.add(video("1", track(1)))
    (tmp_path / f"{'1' * 64}.jsonl").unlink()
    assert not archive.has("1" * 64)
    assert archive.videos() == ()


def test_other_models_get_an_archive_of_their_own(tmp_path: Path) -> None:
    TrackArchive.create(tmp_path, MODELS)
    TrackArchive.create(tmp_path, MODELS)
    with pytest.raises(ModelMismatchError, match="or another --out"):
        TrackArchive.create(tmp_path, ArchiveModels("f" * 16, 4, "d" * 64))
    with pytest.raises(ModelMismatchError, match="another detector"):
        TrackArchive.create(tmp_path, ArchiveModels(MODELS.model_id, 4, "e" * 64))


def test_what_is_no_archive_is_said(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("hello")
    with pytest.raises(StoreError, match="expected an archive or an empty folder"):
        TrackArchive.create(tmp_path, MODELS)
    with pytest.raises(
        StoreError, match="expected an archive, got none; make one: edge-reid index"
    ):
        TrackArchive.open(tmp_path)
    (tmp_path / "archive.json").write_text("hello")
    with pytest.raises(StoreError, match="expected an archive of `edge-reid index`"):
        TrackArchive.open(tmp_path)
    (tmp_path / "archive.json").unlink()
    with pytest.raises(StoreError, match="expected a folder to write into, got: Not a directory"):
        TrackArchive.create(tmp_path / "letter.txt", MODELS)


@pytest.mark.parametrize("body", [b"{}\n", b"hello\n", b"[1]\n", b""])
def test_a_damaged_list_is_said(tmp_path: Path, body: bytes) -> None:
    archive = TrackArchive.create(tmp_path, MODELS)
    archive.add(video("1", track(1)))
    (tmp_path / f"{'1' * 64}.jsonl").write_bytes(body)
    (damaged,) = archive.videos()
    with pytest.raises(StoreError, match="is damaged"):
        archive.tracks(damaged)
    with pytest.raises(StoreError, match="is damaged"):
        archive.track(damaged, 0)


def test_damaged_vectors_are_said(tmp_path: Path) -> None:
    archive = TrackArchive.create(tmp_path, MODELS)
    archive.add(video("1", track(1)))
    (good,) = archive.videos()
    path = tmp_path / f"{'1' * 64}.npy"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(StoreError, match="is damaged: it has 143 bytes"):
        archive.videos()
    path.write_bytes(whole.replace(b"<f4", b"<i4"))
    for read in (archive.vectors, lambda video: archive.vectors_at(video, [0])):
        with pytest.raises(StoreError, match=r"is damaged: expected vectors of shape \(1, 4\)"):
            read(good)
    path.unlink()
    with pytest.raises(StoreError, match="is damaged: the file is not there"):
        archive.videos()


def test_the_most_alike_come_first(tmp_path: Path) -> None:
    archive = TrackArchive.create(tmp_path, MODELS)
    parts = [
        video(digit, *(track(15 * n + i) for i in range(15)), seed=n)
        for n, digit in enumerate("123")
    ]
    for part in parts:
        archive.add(part)
    vectors = np.concatenate([part.vectors for part in parts])
    asked = vectors[7]
    expected = sorted(range(45), key=lambda row: -float(vectors[row] @ asked))
    assert find(archive, asked, 5) == expected[:5]
    assert find(archive, asked, 100) == expected
    best = found(archive, asked, 5)
    assert best.matches[0].similarity == pytest.approx(1.0, abs=1e-6)
    assert (best.tracks, best.is_exact) == (45, True)


def test_nobody_is_found_where_nobody_is(tmp_path: Path) -> None:
    empty = TrackArchive.create(tmp_path, MODELS)
    assert found(empty, np.ones(4, np.float32), 5) == ArchiveFindings((), 0, is_exact=True)


def test_of_equal_ones_the_earlier_comes_first_also_where_only_some_are_shown(
    tmp_path: Path,
) -> None:
    archive = TrackArchive.create(tmp_path, MODELS)
    alike = np.full((30, 4), 0.5, np.float32)
    for digit, first in (("1", 0), ("2", 30)):
        tracks = tuple(track(first + number) for number in range(30))
        archive.add(VideoTracks(digit * 64, tracks, alike))
    for top in (1, 7, 40, 60):
        assert find(archive, alike[0], top) == list(range(top))


def test_only_the_tracks_of_a_camera_are_compared(tmp_path: Path) -> None:
    archive = TrackArchive.create(tmp_path, MODELS)
    gate = video("1", track(0, "gate"), track(1, "gate"))
    for content in (gate, video("2", track(3, "door")), video("3")):
        archive.add(content)
    assert find(archive, gate.vectors[1], 5, "gate") == [1, 0]
    assert found(archive, gate.vectors[1], 5, "gate").tracks == 2
    assert find(archive, gate.vectors[1], 5, "nowhere") == []


def test_a_video_is_of_one_camera() -> None:
    with pytest.raises(ValueError, match=r"expected tracks of one camera, got \['gate', 'yard'\]"):
        video("1", track(0, "gate"), track(1, "yard"))
