"""A disk that takes nothing: one line says so, whichever file was wanted there."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_reid.core.errors import EdgeReidError
from edge_reid.core.files import write_whole
from edge_reid.delivery.outbox import Outbox
from edge_reid.gallery.store import GalleryStore
from edge_reid.strangers.stranger_store import StrangerStore


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A file system that is mounted to be read alone."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("only root may mount a disk, outside of containers")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_an_outbox_cannot_be_there(read_only: Path) -> None:
    with pytest.raises(EdgeReidError, match=r"^outbox .*outbox.db: "):
        Outbox(read_only / "outbox.db")


def test_nor_can_strangers_or_a_gallery(read_only: Path) -> None:
    with pytest.raises(EdgeReidError, match=r"^strangers .*s\.db.*: cannot be created: Read-only"):
        StrangerStore.open_or_make(read_only / "s.db", model_id="0" * 16, dimension=8, keep_s=60.0)
    with pytest.raises(EdgeReidError, match=r"^gallery .*g.db: "):
        GalleryStore.create(read_only / "g.db", model_id="0" * 16, dimension=8)


def test_nor_a_file_of_any_kind(read_only: Path) -> None:
    with pytest.raises(OSError, match="Read-only"):
        write_whole(read_only / "state.json", b"{}")
