"""Galleries that cannot be used: each is told in one line, with what to do."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from support.gallery_examples import DIMENSION, MODEL, OTHER_MODEL, template
from support.other_formats import of_a_newer_one, without_checksums

from edge_reid.core.errors import GalleryError, ModelMismatchError
from edge_reid.gallery.store import GalleryStore
from edge_reid.storage.sqlite import connect

NOBODY = 65534


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "gallery.db"
    with GalleryStore.create(path, MODEL, DIMENSION) as store:
        store.add_all([template(f"person {number}") for number in range(50)])
    return path


@contextmanager
def refused(words, kind=GalleryError):
    with pytest.raises(kind, match=words) as caught:
        yield
    assert "\n" not in str(caught.value)


def test_missing(tmp_path):
    """What it says to type can be typed."""
    path = tmp_path / "gallery.db"
    with refused(f"no such file; make one: edge-reid gallery init {path}"):
        GalleryStore.open(path)


def test_a_folder_is_no_missing_file(tmp_path):
    with refused("expected a gallery, got a folder; give the path of its file"):
        GalleryStore.open(tmp_path)


def test_of_another_model(path):
    with refused(f"expected one of model {OTHER_MODEL}, got one of {MODEL}", ModelMismatchError):
        GalleryStore.open(path, model_id=OTHER_MODEL)


def test_one_that_another_program_changes_while_it_is_opened(path, monkeypatch):
    """It is no damaged one, whichever statements the change comes between."""
    with GalleryStore.open(path) as other:
        people = iter(range(1000))

        def traced(*given):
            db = connect(*given)
            db.set_trace_callback(
                lambda said: (
                    said.startswith("SELECT") and other.add(template(f"guest {next(people)}"))
                )
            )
            return db

        monkeypatch.setattr("edge_reid.gallery.store.connect", traced)
        GalleryStore.open(path).close()
        assert next(people) > 2


@pytest.mark.parametrize("content", [b"hello", bytes(4096), b"\xff\xd8\xff" * 1000])
def test_not_a_database(tmp_path, content):
    path = tmp_path / "gallery.db"
    path.write_bytes(content)
    with refused("expected a gallery, got another kind of file"):
        GalleryStore.open(path)
    assert path.read_bytes() == content


def test_an_empty_file_says_how_to_get_a_gallery(tmp_path):
    """Neither could it be opened, nor would another be made in its place."""
    path = tmp_path / "gallery.db"
    path.touch()
    with refused("got an empty file; restore it from a copy, or delete it and start anew"):
        GalleryStore.open(path)
    with refused("there is a file already, which is empty; delete it, or give another path"):
        GalleryStore.create(path, MODEL, 8)
    path.unlink()
    with refused("no such file; make one: edge-reid gallery init"):
        GalleryStore.open(path)
    GalleryStore.create(path, MODEL, 8).close()


def test_a_database_of_another_kind(tmp_path):
    path = tmp_path / "outbox.db"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE gallery (model_id)")
    with refused("expected a gallery, got another kind of file"):
        GalleryStore.open(path)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_cut_short(path, share):
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with refused("damaged or cut short"), GalleryStore.open(path) as store:
        store.snapshot()


def test_a_vector_that_is_none(path):
    with sqlite3.connect(path) as vandal:
        vandal.execute("UPDATE templates SET vector = zeroblob(64) WHERE template_id = 7")
    with GalleryStore.open(path) as store, refused("damaged or cut short"):
        store.snapshot()


def test_of_a_newer_edge_reid(path):
    with sqlite3.connect(path) as future:
        of_a_newer_one(future, 99)
    with refused("expected format 4 or older, got 99, written by a newer edge-reid"):
        GalleryStore.open(path)


def test_locked_for_writing(path):
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with GalleryStore.open(path, busy_timeout_s=0.05) as store:
        assert len(store.identities()) == 50
        with refused("locked by another program; wait for it or stop it"):
            store.add(template("Alice"))
    holder.close()


def test_locked_for_everything(path):
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("PRAGMA locking_mode = EXCLUSIVE")
    holder.execute("BEGIN EXCLUSIVE")
    with refused("locked by another program"):
        GalleryStore.open(path, busy_timeout_s=0.05)
    holder.close()


@pytest.fixture
def read_only_path(path):
    """The gallery in a folder that may be read by everybody and written by nobody but root."""
    folder = Path(tempfile.mkdtemp())
    copy = Path(shutil.copy(path, folder))
    copy.chmod(0o444)
    folder.chmod(0o555)
    yield copy
    folder.chmod(0o755)
    shutil.rmtree(folder)


@contextmanager
def without_privileges():
    """Root may write everywhere; so let go of that for a while, where we are root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def test_read_only_can_be_read(read_only_path):
    with without_privileges(), GalleryStore.open(read_only_path) as store:
        assert len(store.snapshot().identities) == 50
        assert len(store.templates("person 3")) == 1


def test_read_only_cannot_be_written(read_only_path):
    with without_privileges(), GalleryStore.open(read_only_path) as store:
        with refused("cannot be written here; check the owner and the mode"):
            store.add(template("Alice"))
        with refused("cannot be written here"):
            store.remove("person 3")


def test_read_only_of_an_older_edge_reid_can_be_read(read_only_path):
    read_only_path.parent.chmod(0o755)
    with closing(sqlite3.connect(read_only_path, isolation_level=None)) as old:
        for table in ("set_aside", "photos"):
            old.execute(f"DROP TABLE {table}")
        old.execute("PRAGMA user_version = 2")
        without_checksums(old)
    read_only_path.parent.chmod(0o555)
    with without_privileges(), GalleryStore.open(read_only_path) as store:
        assert len(store.snapshot().identities) == 50
        assert store.disabled() == ()
        assert store.identities()[0].disabled == 0
