"""Many videos at once: one whose process dies costs the others nothing; stopped, all ends."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.postgres import Postgres
from support.verb_process import VerbProcess

from edge_reid.archive.indexing import index_videos
from edge_reid.archive.track_archive import TrackArchive
from edge_reid.archive.video_tracks import ModelChoice, VideoJob
from edge_reid.core.bundled_models import DETECTOR, EMBEDDING, shipped_model
from edge_reid.core.errors import StoreError

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc"),
]

CHOICE = ModelChoice(shipped_model(EMBEDDING), shipped_model(DETECTOR), "auto")
PATIENCE_S = 120.0
LONG = 3000
"""Frames that nobody has done while a test looks on."""


def a_video(path: Path, frames: int = 3) -> Path:
    """Grey pictures, other ones in every file."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 5, (160, 120))
    for number in range(frames):
        writer.write(np.full((120, 160, 3), (number + len(path.stem)) % 256, np.uint8))
    writer.release()
    return path


def a_job(path: Path) -> VideoJob:
    return VideoJob(path, "gate", "2026-03-01T12:00:00Z")


def children(parent: int) -> set[int]:
    """The processes that any thread of a process has started."""
    found: set[int] = set()
    for task in Path(f"/proc/{parent}/task").iterdir():
        with suppress(OSError):
            found |= set(map(int, (task / "children").read_text().split()))
    return found


def has_open(process: int, file: Path) -> bool:
    with suppress(OSError):
        return any(link.resolve() == file for link in Path(f"/proc/{process}/fd").iterdir())
    return False


@contextmanager
def deadly(file: Path) -> Iterator[list[int]]:
    """While it lasts, whatever process opens a video is killed; as where memory runs out."""
    killed: list[int] = []
    is_over = threading.Event()

    def kill_readers() -> None:
        while not is_over.wait(0.002):
            for child in children(os.getpid()):
                if has_open(child, file):
                    os.kill(child, signal.SIGKILL)
                    killed.append(child)

    killer = threading.Thread(target=kill_readers)
    killer.start()
    try:
        yield killed
    finally:
        is_over.set()
        killer.join()


def test_a_video_that_kills_its_process_keeps_nobody_from_the_others(tmp_path: Path) -> None:
    bad = a_video(tmp_path / "bad.avi", frames=LONG)
    good = [a_video(tmp_path / f"{'good' * number}.avi") for number in (1, 2, 3)]
    archive = TrackArchive.create(tmp_path / "archive", CHOICE.identity)
    done: list[tuple[int, int | None]] = []
    with deadly(bad) as killed:
        result = index_videos(
            [a_job(path) for path in (bad, *good)],
            CHOICE,
            str(archive.folder),
            processes=2,
            progress=lambda *counts: done.append(counts),
        )
    assert result.failed == {bad: "its process died 3 times"}
    assert len(set(killed)) == 3
    assert len(list(archive.folder.glob("*.jsonl"))) == len(good)
    assert done == [(number, 4) for number in (1, 2, 3, 4)]


def test_an_archive_that_lets_nobody_in_ends_it_at_once(
    tmp_path: Path, pgvector: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("psycopg", reason="psycopg is not installed (the extra `postgres`)")
    jobs = [a_job(a_video(tmp_path / f"{number}.avi")) for number in range(3)]
    monkeypatch.setenv("PGPASSWORD", "wrong")
    with pgvector.with_login("indexer", "right") as where:
        began_s = time.monotonic()
        with pytest.raises(StoreError, match="does not let us in: .*indexer.* are in the archive$"):
            index_videos(jobs, CHOICE, where, processes=1, progress=lambda *_: None)
    assert time.monotonic() - began_s < PATIENCE_S / 4


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_who_is_stopped_leaves_no_process_that_goes_on(tmp_path: Path, how: signal.Signals) -> None:
    video = a_video(tmp_path / "long.avi", frames=LONG)
    words = ("index", video, "--out", tmp_path / "archive", "--camera", "gate")
    with VerbProcess(*words) as verb:
        main = verb.process.pid
        await_that(lambda: any(has_open(child, video) for child in children(main)))
        workers = children(main)
        assert all(map(takes_no_ctrl_c, workers))
        for worker in workers if how is signal.SIGINT else ():
            os.kill(worker, how)  # as a terminal does
        code, said = verb.stop(how)
    assert code == (130 if how is signal.SIGINT else -how)
    assert "Traceback" not in said
    await_that(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))


def takes_no_ctrl_c(process: int) -> bool:
    """Whether it blocks SIGINT, or ignores it."""
    status = Path(f"/proc/{process}/status").read_text()
    masks = re.findall(r"^Sig(?:Blk|Ign):\s*([0-9a-f]+)$", status, re.MULTILINE)
    return any(int(mask, 16) >> (signal.SIGINT - 1) & 1 for mask in masks)


def await_that(is_so: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)
