"""`edge-reid index` and `search` on real video: people are found again, whoever did the work."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2
import pytest
from support import campus
from support.dask_cluster import DaskCluster
from support.outcome import Outcome
from support.postgres import Postgres

from edge_reid.cli.verbs.index import jobs_of
from edge_reid.core.errors import UsageError
from edge_reid.core.geometry import Box
from edge_reid.scoring.ground_truth import load_truth
from edge_reid.scoring.label_lookup import LabelLookup

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

Command = Callable[..., Outcome]
CUTS = {"gate/2026-03-01T12-00-00.mp4": 0, "gate/20260301_130000.avi": 40, "yard/late.mp4": 540}
FRAMES = 50


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three stretches of the clip, as two recorders keep them."""
    folder = tmp_path_factory.mktemp("videos")
    frames = campus.read_frames({start + n for start in CUTS.values() for n in range(FRAMES)})
    for name, start in CUTS.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10, (768, 576))
        for number in range(start, start + FRAMES):
            writer.write(cv2.cvtColor(frames[number], cv2.COLOR_RGB2BGR))
        writer.release()
    return folder


@pytest.fixture(scope="module")
def archive(videos: Path, edge_reid: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made by one process."""
    folder = tmp_path_factory.mktemp("archives") / "one"
    outcome = edge_reid("index", videos, "--out", folder, "--processes", 1, timeout_s=300)
    assert outcome.code == 0, outcome.err
    assert "3 videos" in outcome.out
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_somebody_is_found_again_where_and_when_they_were(
    archive: Path, edge_reid: Command, photos: dict[str, list[Path]]
) -> None:
    words = ("search", *photos["red-sleeves"], "--archive", archive, "--json", "--top", 3)
    outcome = edge_reid(*words)
    assert outcome.code == 0, outcome.err
    best = json.loads(outcome.out)[0]
    start = CUTS[f"{best['camera']}/{best['video']}"]
    second = int(best["captured_at"][17:19]) + float(best["captured_at"][19:23])
    labels = LabelLookup(load_truth(campus.DATA / "campus.json"))
    shown = labels.identity_in(Box(*best["box"]), start + second * campus.FPS)
    assert shown == "red-sleeves"
    assert best["similarity"] >= best["threshold"]
    hours = {
        "2026-03-01T12-00-00.mp4": "2026-03-01T12:00",
        "20260301_130000.avi": "2026-03-01T13:00",
    }
    assert best["first_seen"].startswith(hours.get(best["video"], "1970-01-01T00:00"))


def test_an_archive_is_the_same_whoever_made_it_and_whoever_was_killed(
    archive: Path,
    videos: Path,
    edge_reid: Command,
    tmp_path: Path,
    start: Callable[..., subprocess.Popen],
) -> None:
    running = start("index", videos, "--out", tmp_path / "two", "--processes", 2)
    os.kill(a_worker_of(running), signal.SIGKILL)
    assert running.wait(timeout=300) == 0, running.communicate()[1]
    assert content(tmp_path / "two") == content(archive)
    again = edge_reid("index", videos, "--out", tmp_path / "two")
    assert "0 tracks are new" in again.out


def test_an_archive_is_the_same_if_a_cluster_made_it_and_a_worker_was_killed(
    archive: Path,
    videos: Path,
    tmp_path: Path,
    start: Callable[..., subprocess.Popen],
) -> None:
    pytest.importorskip("distributed", reason="Dask is not installed (the extra `cluster`)")
    with DaskCluster(tmp_path, workers=2) as cluster:
        running = start("index", videos, "--out", tmp_path / "many", *cluster.options)
        victim = await_one(running, lambda: [w for w in cluster.workers if does_video(w, videos)])
        victim.kill()
        assert running.wait(timeout=300) == 0, running.communicate()[1]
    assert content(tmp_path / "many") == content(archive)


def test_a_database_has_the_same_archive_whoever_indexes_and_whoever_is_killed(
    archive: Path,
    videos: Path,
    pgvector: Postgres,
    photos: dict[str, list[Path]],
    edge_reid: Command,
    tmp_path: Path,
    start: Callable[..., subprocess.Popen],
) -> None:
    """By one process that is killed and by a cluster, at once."""
    pytest.importorskip("distributed", reason="Dask is not installed (the extra `cluster`)")
    psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed")
    with psycopg.connect(pgvector.url) as db:
        db.execute("DROP SCHEMA IF EXISTS edge_reid_archive CASCADE")
    words = ("index", videos, "--out", pgvector.url)
    with DaskCluster(tmp_path, workers=1) as cluster:
        indexers = [start(*words, "--processes", 1), start(*words, *cluster.options)]
        os.kill(a_worker_of(indexers[0]), signal.SIGKILL)
        for indexer in indexers:
            assert indexer.wait(timeout=300) == 0, indexer.communicate()[1]
    assert "3 videos, 0 tracks are new in postgresql://" in edge_reid(*words).out
    search = ("search", *photos["red-sleeves"], "--json", "--top", 100, "--archive")
    here, there = (json.loads(edge_reid(*search, where).out) for where in (archive, pgvector.url))
    lists = [path.read_bytes() for path in archive.glob("*.jsonl")]
    assert len(there) == sum(len(lines.splitlines()) for lines in lists)
    for expected, found in zip(here, there, strict=True):
        assert found.pop("similarity") == pytest.approx(expected.pop("similarity"), abs=1.01e-4)
        assert found == expected


def does_video(worker: subprocess.Popen, videos: Path) -> bool:
    """Whether it has one open."""
    with suppress(OSError):
        links = list(Path(f"/proc/{worker.pid}/fd").iterdir())
        return any(videos in link.resolve().parents for link in links)
    return False


def await_one(running: subprocess.Popen, find: Callable[[], list[Any]]) -> Any:
    """The first that is found while a command runs."""
    deadline_s = time.monotonic() + 240
    while time.monotonic() < deadline_s:
        assert running.poll() is None, running.communicate()[1]
        if found := find():
            return found[0]
        time.sleep(0.005)
    raise AssertionError("nobody began")


def a_worker_of(process: subprocess.Popen) -> int:
    """The number of a process that does videos, once there is one."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    deadline_s = time.monotonic() + 120
    while time.monotonic() < deadline_s:
        assert process.poll() is None, process.communicate()[1]
        for number in children.read_text().split():
            if b"spawn_main" in Path(f"/proc/{number}/cmdline").read_bytes():
                return int(number)
        time.sleep(0.02)
    raise AssertionError("no worker was started")


def test_what_is_no_video_is_named_and_the_rest_is_done(
    archive: Path, videos: Path, edge_reid: Command, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"hello")
    outcome = edge_reid("index", bad, *videos.rglob("*.mp4"), "--out", archive, "--camera", "gate")
    assert outcome.code == 1
    assert f"left out {bad}" in outcome.err
    assert "expected 3 videos that can be read, got 2" in outcome.complaint


def test_cameras_and_times_come_from_names(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    gate.mkdir()
    for name in ("2026-03-01T12-30-59.mp4", "cam_20260301123059.mkv", "x.mp4", "notes.txt"):
        (gate / name).touch()
    assert [(job.path.name, job.camera, job.start_time) for job in jobs_of([gate], None, None)] == [
        ("2026-03-01T12-30-59.mp4", "gate", "2026-03-01T12:30:59Z"),
        ("cam_20260301123059.mkv", "gate", "2026-03-01T12:30:59Z"),
        ("x.mp4", "gate", "1970-01-01T00:00:00Z"),
    ]
    with pytest.raises(UsageError, match="--start-time: expected one video, got 3"):
        jobs_of([gate], None, "2026-03-01T12:00:00Z")
    with pytest.raises(UsageError, match="expected video files, got none"):
        jobs_of([], None, None)
    odd = tmp_path / "Gäste"
    odd.mkdir()
    (odd / "x.mp4").touch()
    with pytest.raises(UsageError, match="give --camera"):
        jobs_of([odd], None, None)
    assert jobs_of([odd], "gate", None)[0].camera == "gate"
    alone = [gate / "x.mp4"]
    assert jobs_of(alone, None, "2026-03-01T12:00")[0].start_time == "2026-03-01T12:00:00.000Z"
    with pytest.raises(UsageError, match="--start-time: expected a time such as .* got 'soon'"):
        jobs_of(alone, None, "soon")
