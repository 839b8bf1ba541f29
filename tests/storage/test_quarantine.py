"""A damaged file makes room for a new one, with all that belongs to it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge_reid.storage.quarantine import PARTS, remove, remove_set_aside, set_aside


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with its log and the index of that, and a neighbour's."""
    for suffix in PARTS:
        (tmp_path / f"a.db{suffix}").write_bytes(b"who was where" + suffix.encode())
    (tmp_path / "a.db2").write_bytes(b"another's")
    return tmp_path / "a.db"


def names(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


def test_what_is_set_aside_takes_its_log_along(path: Path) -> None:
    aside = set_aside(path, "damaged")
    assert aside.name.startswith("a.db.damaged-")
    assert names(path.parent) == {"a.db2", *(f"{aside.name}{suffix}" for suffix in PARTS)}
    assert aside.with_name(f"{aside.name}-wal").read_bytes() == b"who was where-wal"


def test_the_log_goes_before_the_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is killed in between leaves no log for the next file of that name."""
    gone: list[str] = []
    monkeypatch.setattr(Path, "unlink", lambda file, **_: gone.append(file.name))
    remove(path)
    assert gone == ["a.db-shm", "a.db-wal", "a.db"]


def test_what_was_set_aside_is_overwritten_and_goes(path: Path) -> None:
    aside = set_aside(path, "damaged")
    os.link(aside, path.parent / "the same bytes")
    path.write_bytes(b"the new one")
    remove_set_aside(path, "damaged")
    assert names(path.parent) == {"a.db", "a.db2", "the same bytes"}
    assert (path.parent / "the same bytes").read_bytes() == bytes(13)
