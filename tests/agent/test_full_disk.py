"""A disk without any room: whoever is enrolled is still known, and what to do is said."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import numpy as np
import pytest
from support.consumer import eventually
from support.decided_tracks import seen
from support.following_agent import MANIFEST, following, settings, taken
from support.gallery_publisher import DIMENSION, MODEL, Workshop, portraits

from edge_reid.agent.annotated_film import AnnotatedFilm
from edge_reid.agent.gallery_watch import GalleryWatch
from edge_reid.core.config.agent_settings import AgentSettings
from edge_reid.core.errors import NoRoomError, OutboxError
from edge_reid.core.types import HitType
from edge_reid.delivery.outbox import Outbox
from edge_reid.gallery.store import GalleryStore
from edge_reid.strangers.recogniser import StrangerRecogniser
from edge_reid.vision.annotate import VideoWriter


class SmallDisk:
    """A file system of its own with one megabyte."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        with self._ballast.open("ab", buffering=0) as ballast, suppress(OSError):
            while True:
                ballast.write(bytes(4096))
        assert shutil.disk_usage(self.folder).free == 0

    def make_room(self) -> None:
        self._ballast.unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("no small disk can be mounted here (root only)")
    yield SmallDisk(folder)
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def path(disk: SmallDisk) -> Path:
    path = disk.folder / "gallery.db"
    with GalleryStore.create(path, MODEL, DIMENSION) as store:
        store.add_all([*portraits("ana"), *portraits("zoe")])
    return path


def leave_a_log(path: Path) -> None:
    """As a power cut leaves one behind: the newest change stands in it alone."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE gallery SET version = version + 1")
        log = path.with_name(f"{path.name}-wal")
        kept = log.read_bytes()
    log.write_bytes(kept)


@pytest.mark.parametrize("logged", [False, True])
def test_a_gallery_is_read_and_a_change_of_it_told_to_wait_for_room(
    disk: SmallDisk, path: Path, logged: bool
) -> None:
    if logged:
        leave_a_log(path)
    disk.fill()
    for _ in range(2):
        with GalleryStore.open(path) as store:
            assert store.snapshot().identities == ("ana", "zoe")
            assert store.version == 1 + logged
            assert len(store.templates("ana")) == 4
            with pytest.raises(NoRoomError, match="the disk is full, .*; make room$"):
                store.add_all(portraits("emil"))
    disk.make_room()
    with GalleryStore.open(path) as store:
        store.remove("ana")
        assert store.snapshot().identities == ("zoe",)


def test_an_agent_starts_with_it_and_follows_it_when_there_is_room(
    disk: SmallDisk, path: Path
) -> None:
    disk.fill()
    with GalleryWatch(path, MODEL, look_s=0.02) as watch:
        assert watch.first.identities == ("ana", "zoe")
        disk.make_room()
        with GalleryStore.open(path) as store:
            store.remove("ana")
        while (index := watch.take()) is None:
            pass
    assert index.identities == ("zoe",)


def test_none_is_made_where_there_is_no_room(disk: SmallDisk) -> None:
    disk.fill()
    with pytest.raises(NoRoomError, match="make room"):
        GalleryStore.create(disk.folder / "gallery.db", MODEL, DIMENSION)
    assert [it.name for it in disk.folder.iterdir()] == ["ballast"]


def test_nor_is_an_outbox(disk: SmallDisk) -> None:
    disk.fill()
    with pytest.raises(OutboxError, match=r"^outbox .*: the disk is full; make room, or give ano"):
        Outbox(disk.folder / "outbox.db")


@pytest.mark.parametrize("is_full", [True, False])
def test_a_film_that_is_cut_short_says_so(
    disk: SmallDisk, caplog: pytest.LogCaptureFixture, is_full: bool
) -> None:
    path = disk.folder / "out.webm"
    film = AnnotatedFilm("gate", VideoWriter(path, 10, (64, 48)))
    if is_full:
        disk.fill()
    film.closed()
    said = f"film {path}: the disk is full, so that its end is missing; make room and run again"
    assert caplog.messages == [said] * is_full


@pytest.fixture
def workshop(tmp_path: Path) -> Iterator[Workshop]:
    with Workshop(tmp_path, people=3) as workshop:
        workshop.publish()
        yield workshop


@pytest.mark.parametrize("held", [True, False])
def test_an_agent_that_syncs_starts_and_catches_up_when_there_is_room(
    disk: SmallDisk, workshop: Workshop, held: bool
) -> None:
    if held:
        with following(workshop, disk.folder) as sync:
            taken(sync)
    disk.fill()
    workshop.store.remove("person 0")
    workshop.publish()
    with following(workshop, disk.folder) as sync:
        assert len(sync.first.identities) == (3 if held else 0)
        eventually(lambda: "make room" in str(sync.state.refused))
        disk.make_room()
        assert taken(sync).identities == ("person 1", "person 2")
        eventually(lambda: sync.state.refused is None and sync.state.purged_through == 2)


def test_an_agent_that_remembers_strangers_starts_and_does_so_when_there_is_room(
    disk: SmallDisk, workshop: Workshop
) -> None:
    given = settings(workshop, disk.folder).model_dump(exclude={"cameras"}) | {
        "strangers": {"target_fpir": 0.1}
    }
    disk.fill()
    with ExitStack() as stack:
        recogniser = StrangerRecogniser.open(
            AgentSettings.model_validate(given),
            MANIFEST,
            camera="gate",
            is_live=True,
            stack=stack,
        )
        assert recogniser is not None
        assert names(recogniser, 1) == [None], "an event without a name is better than none"
        disk.make_room()
        assert None not in names(recogniser, 2)


def names(recogniser: StrangerRecogniser, track_id: int) -> list[str | None]:
    look = np.eye(DIMENSION)[0]
    return [
        it.stranger for it in recogniser.assign([seen(HitType.END, track_id, look, 0.0, 1.0)], 1)
    ]
