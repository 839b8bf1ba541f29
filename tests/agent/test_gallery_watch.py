"""A device with a gallery of its own notices what happens to the file while it runs."""

from __future__ import annotations

import logging
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from support.consumer import eventually
from support.gallery_publisher import DIMENSION, MODEL, portraits

from edge_reid.agent import gallery_watch
from edge_reid.agent.gallery_watch import GalleryWatch
from edge_reid.core.errors import GalleryError
from edge_reid.gallery.store import GalleryStore
from edge_reid.matching.index import Index

LOOK_S = 0.02


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "gallery.db"
    with GalleryStore.create(path, MODEL, DIMENSION) as store:
        store.add_all([*portraits("ana"), *portraits("zoe")])
    return path


@pytest.fixture
def watch(path: Path) -> Iterator[GalleryWatch]:
    with GalleryWatch(path, MODEL, look_s=LOOK_S) as opened:
        assert opened.first.identities == ("ana", "zoe")
        yield opened


def taken(watch: GalleryWatch) -> Index:
    found: list[Index] = []

    def is_there() -> bool:
        index = watch.take()
        found.extend([] if index is None else [index])  # an empty one is falsy
        return bool(found)

    eventually(is_there)
    return found[0]


def test_who_is_removed_is_gone_and_who_is_enrolled_is_there(
    path: Path, watch: GalleryWatch
) -> None:
    with GalleryStore.open(path) as store:
        store.remove("ana")
        assert taken(watch).identities == ("zoe",)
        store.add_all(portraits("emil"))
        index = taken(watch)
    assert index.identities == ("emil", "zoe")
    assert index.version == 3


def test_what_another_program_did_not_close_is_seen(path: Path, watch: GalleryWatch) -> None:
    """It stands in the log then, not in the file."""
    with closing(sqlite3.connect(path)) as reader, GalleryStore.open(path) as store:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM templates").fetchone()
        store.add_all(portraits("emil"))
        assert "emil" in taken(watch)


def test_a_file_in_the_place_of_another_is_seen(
    path: Path, watch: GalleryWatch, tmp_path: Path
) -> None:
    """Whatever its number says: that of both is 1."""
    other = tmp_path / "night.db"
    with GalleryStore.create(other, MODEL, DIMENSION) as store:
        store.add_all(portraits("night watchman"))
    other.replace(path)
    index = taken(watch)
    assert (index.identities, index.version) == (("night watchman",), watch.first.version)
    with GalleryStore.open(path) as store:
        store.remove("night watchman")
    assert len(taken(watch)) == 0


def test_a_copy_that_is_written_over_the_file_is_seen(
    path: Path, watch: GalleryWatch, tmp_path: Path
) -> None:
    spare = shutil.copy(path, tmp_path / "spare.db")
    with GalleryStore.open(path) as store:
        store.remove("ana")
    assert taken(watch).identities == ("zoe",)
    shutil.copy(spare, path)
    assert taken(watch).identities == ("ana", "zoe")


def test_what_changes_nobody_is_not_taken(path: Path, watch: GalleryWatch) -> None:
    path.touch()
    with GalleryStore.open(path) as store:
        store.note_published("stick", [], is_there=True)
        store.add_all(portraits("emil"))
    assert "emil" in taken(watch)
    path.touch()
    eventually(lambda: watch._seen == gallery_watch._marks(path))
    assert watch.take() is None


def test_a_gallery_that_cannot_be_read_changes_nothing_and_is_said_once(
    path: Path, watch: GalleryWatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def complaints() -> list[str]:
        return [it.getMessage() for it in caplog.records if it.levelno == logging.ERROR]

    path.rename(tmp_path / "elsewhere.db")
    eventually(lambda: len(complaints()) == 1)
    assert "no such file" in complaints()[0]
    assert "the gallery of before stays in force" in complaints()[0]
    path.write_bytes(b"hello")
    eventually(lambda: len(complaints()) == 2)
    path.write_bytes(b"hello again")
    eventually(lambda: watch._seen == gallery_watch._marks(path))
    assert watch.take() is None
    (tmp_path / "elsewhere.db").replace(path)
    with GalleryStore.open(path) as store:
        store.remove("ana")
    assert taken(watch).identities == ("zoe",)
    assert len(complaints()) == 2


def test_a_look_at_a_file_that_did_not_change_does_not_open_it(
    path: Path, watch: GalleryWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[float] = []
    monkeypatch.setattr(watch, "_read", lambda: reads.append(0.0))
    for _ in range(100):
        watch._look()
    assert reads == []


def test_the_first_must_be_there_and_of_the_model(path: Path) -> None:
    with pytest.raises(GalleryError, match="expected one of model"):
        GalleryWatch(path, "fedcba9876543210")
    path.unlink()
    with pytest.raises(GalleryError, match="no such file"):
        GalleryWatch(path, MODEL)
