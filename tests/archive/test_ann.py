"""Large archives: searched by an index that finds what exact search finds, and is never trusted."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from support.simulated_archive import sha256_of, write_archive
from support.simulated_embeddings import SimulatedPeople

from edge_reid.archive import ann_upkeep
from edge_reid.archive.ann_file import AnnFile
from edge_reid.archive.ann_upkeep import ann_path, current_ann
from edge_reid.archive.archive_findings import ArchiveFindings
from edge_reid.archive.archive_search import search_archive
from edge_reid.archive.track_archive import ArchivedVideo, TrackArchive
from edge_reid.core.errors import StoreError
from edge_reid.core.progress import no_progress
from edge_reid.core.types import Vector, Vectors

pytest.importorskip("faiss", reason="faiss-cpu is not installed (the extra `archive`)")

TRACKS, A_VIDEO = 4000, 200
EXACT = 700
"""Tracks that are compared one by one in these tests; in use it is 250,000."""


@pytest.fixture(scope="module")
def people() -> SimulatedPeople:
    return SimulatedPeople(TRACKS, seed=3)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, people: SimulatedPeople) -> Path:
    folder = tmp_path_factory.mktemp("made") / "archive"
    return write_archive(folder, people, tracks_a_video=A_VIDEO, cameras=4).folder


@pytest.fixture
def archive(tmp_path: Path, made: Path) -> TrackArchive:
    return TrackArchive.open(shutil.copytree(made, tmp_path / "archive"))


def find(
    archive: TrackArchive, vector: Vector, *, camera: str | None = None, exact_tracks: int = EXACT
) -> ArchiveFindings:
    def progress(_stage: str, _done: int, _total: int | None) -> None:
        pass

    return search_archive(
        archive, vector, top=10, camera=camera, progress=progress, exact_tracks=exact_tracks
    )


def embeddings(archive: TrackArchive) -> Vectors:
    """Of all tracks, a row a `track_id`."""
    return np.concatenate([archive.vectors(video) for video in archive.videos()])


def rows(found: ArchiveFindings) -> list[int]:
    return [match.track.track_id for match in found.matches]


def test_an_index_finds_who_exact_search_finds(
    archive: TrackArchive, people: SimulatedPeople
) -> None:
    vectors = embeddings(archive)
    probes = people.seen(people.whose[:50])
    missed = 0
    for probe in probes:
        similarities = vectors @ probe
        best = np.argsort(-similarities)[:10]
        found = find(archive, probe)
        assert not found.is_exact
        assert found.tracks == TRACKS
        missed += len(set(best.tolist()) - set(rows(found)))
        shown = [match.similarity for match in found.matches]
        assert shown == sorted(shown, reverse=True)
        assert shown[0] == pytest.approx(similarities[best[0]], abs=1e-5)  # its own, not 8 bits'
    assert missed <= 0.02 * 10 * len(probes)
    assert ann_path(archive).stat().st_mode & 0o777 == 0o600


def test_few_tracks_have_no_index(archive: TrackArchive, people: SimulatedPeople) -> None:
    found = find(archive, people.seen(people.whose[:1])[0], exact_tracks=TRACKS)
    assert found.is_exact
    assert not ann_path(archive).exists()


def test_of_one_camera_only_its_tracks_come(archive: TrackArchive, people: SimulatedPeople) -> None:
    vectors = embeddings(archive)
    probe = people.seen(people.whose[:1])[0]
    of_camera = np.flatnonzero(np.arange(TRACKS) // A_VIDEO % 4 == 2)
    expected = of_camera[np.argsort(-(vectors[of_camera] @ probe))[:10]].tolist()
    by_index = find(archive, probe, camera="camera-2", exact_tracks=EXACT)
    assert (by_index.is_exact, by_index.tracks) == (False, TRACKS // 4)
    assert {match.track.camera for match in by_index.matches} == {"camera-2"}
    assert len(set(expected) & set(rows(by_index))) >= 9
    one_by_one = find(archive, probe, camera="camera-2", exact_tracks=TRACKS // 2)
    assert (one_by_one.is_exact, one_by_one.tracks) == (True, TRACKS // 4)
    assert rows(one_by_one) == expected
    assert find(archive, probe, camera="nowhere").matches == ()


def add(archive: TrackArchive, first: int, videos: int) -> list[Vector]:
    """Further videos of other people; one embedding of each."""
    others = SimulatedPeople(videos * A_VIDEO, seed=first)
    folder = archive.folder.parent / f"others-{first}"
    made = write_archive(folder, others, tracks_a_video=A_VIDEO)
    for number, video in enumerate(made.videos()):
        for suffix in (".npy", ".jsonl"):
            source = folder / f"{video.sha256}{suffix}"
            source.rename(archive.folder / f"{sha256_of(first + number)}{suffix}")
    later = archive.videos()[-videos:]
    return [archive.vectors_at(video, [7])[0] for video in later]


def test_new_videos_are_found_at_once_and_go_into_the_index_when_they_are_many(
    archive: TrackArchive, people: SimulatedPeople
) -> None:
    find(archive, people.seen(people.whose[:1])[0])
    before = ann_path(archive).read_bytes()
    (few,) = add(archive, 100, 1)
    assert find(archive, few).matches[0].similarity == pytest.approx(1.0, abs=1e-5)
    assert ann_path(archive).read_bytes() == before
    for vector in [*add(archive, 200, 4), few]:
        found = find(archive, vector)
        assert found.matches[0].similarity == pytest.approx(1.0, abs=1e-5)
        assert found.tracks == TRACKS + 5 * A_VIDEO
    contents = AnnFile(ann_path(archive)).contents
    assert contents.trained_on == TRACKS
    assert {known.video for known in contents.videos} == set(archive.videos())


def test_one_that_was_outgrown_is_made_anew(archive: TrackArchive) -> None:
    first = archive.videos()[:5]
    current_ann(archive, first, no_progress, exact_tracks=EXACT)
    assert AnnFile(ann_path(archive)).contents.trained_on == 5 * A_VIDEO
    current_ann(archive, archive.videos()[:19], no_progress, exact_tracks=EXACT)
    assert AnnFile(ann_path(archive)).contents.trained_on == 5 * A_VIDEO
    current_ann(archive, archive.videos(), no_progress, exact_tracks=EXACT - 1)
    assert AnnFile(ann_path(archive)).contents.trained_on == 5 * A_VIDEO
    add(archive, 100, 1)
    current_ann(archive, archive.videos(), no_progress, exact_tracks=EXACT)
    assert AnnFile(ann_path(archive)).contents.trained_on == TRACKS + A_VIDEO


@pytest.mark.parametrize("exact_tracks", [EXACT, 2 * TRACKS])
def test_of_a_deleted_video_nothing_stays(archive: TrackArchive, exact_tracks: int) -> None:
    gone = archive.videos()[4]
    probe = archive.vectors_at(gone, [9])[0]
    assert find(archive, probe).matches[0].similarity == pytest.approx(1.0, abs=1e-5)
    index = AnnFile(ann_path(archive)).contents
    for path in archive.folder.glob(f"{gone.sha256}.*"):
        path.unlink()
    found = find(archive, probe, exact_tracks=exact_tracks)
    assert "4.mp4" not in {match.track.video for match in found.matches}
    assert found.tracks == TRACKS - A_VIDEO
    if exact_tracks > TRACKS:
        assert not ann_path(archive).exists()
    else:
        videos = {known.video for known in AnnFile(ann_path(archive)).contents.videos}
        assert videos == {known.video for known in index.videos} - {gone}


def test_a_video_that_was_written_again_is_not_found_as_it_was(archive: TrackArchive) -> None:
    video = archive.videos()[4]
    probe = archive.vectors_at(video, [9])[0]
    find(archive, probe)
    path = archive.folder / f"{video.sha256}.npy"
    rows = np.load(path)
    rows[9] = -rows[9]
    np.save(path, rows)
    assert find(archive, probe).matches[0].similarity < 0.99
    assert find(archive, -probe).matches[0].similarity == pytest.approx(1.0, abs=1e-5)


DAMAGES = {
    "empty": lambda body: b"",
    "cut short": lambda body: body[:-1],
    "half": lambda body: body[: len(body) // 2],
    "longer": lambda body: body + b"\0",
    "another kind": lambda body: b"SQLite format 3\0" * 4096,
    "head": lambda body: flipped(body, 4000),
    "first list": lambda body: flipped(body, len(body) // 3),
    "lists": lambda body: flipped(body, len(body) // 2),
    "contents": lambda body: flipped(body, len(body) - 500),
    "foot": lambda body: flipped(body, len(body) - 5),
}


def flipped(body: bytes, place: int) -> bytes:
    return body[:place] + bytes([body[place] ^ 4]) + body[place + 1 :]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_one_is_made_anew(
    archive: TrackArchive, people: SimulatedPeople, damage: str
) -> None:
    probes = people.seen(people.whose[:10])
    expected = [rows(find(archive, probe)) for probe in probes]
    whole = ann_path(archive).read_bytes()
    ann_path(archive).write_bytes(DAMAGES[damage](whole))
    assert [rows(find(archive, probe)) for probe in probes] == expected
    assert ann_path(archive).read_bytes() == whole


def test_where_none_can_be_written_all_are_compared(
    archive: TrackArchive, people: SimulatedPeople, caplog: pytest.LogCaptureFixture
) -> None:
    ann_path(archive).mkdir()
    probe = people.seen(people.whose[:1])[0]
    found = find(archive, probe)
    assert found.is_exact
    assert rows(found) == rows(find(archive, probe, exact_tracks=TRACKS))
    assert "All tracks are compared" in caplog.text


def test_without_faiss_all_are_compared(
    archive: TrackArchive, people: SimulatedPeople, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ann_upkeep, "find_spec", lambda _name: None)
    found = find(archive, people.seen(people.whose[:1])[0])
    assert found.is_exact
    assert found.tracks == TRACKS
    assert not ann_path(archive).exists()


def test_a_damaged_archive_is_not_the_fault_of_its_index(archive: TrackArchive) -> None:
    video: ArchivedVideo = archive.videos()[0]
    (archive.folder / f"{video.sha256}.jsonl").write_bytes(b"hello\n")
    with pytest.raises(StoreError, match="is damaged"):
        find(archive, np.ones(256, np.float32))
