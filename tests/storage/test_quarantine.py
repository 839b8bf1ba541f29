"""A damaged file makes room for a new one, with all that belongs to it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge_reid.storage.quarantine import PARTS, quarantine_file, remove, remove_quarantined


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with its log and the index of that, and a neighbour's."""
    for suffix in PARTS:
        (tmp_path / f"a.db{suffix}").write_bytes(b"who was where" + suffix.encode())
    (tmp_path / "a.db2").write_bytes(b"another's")
    return tmp_path / "a.db"


def names(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


def test_what_is_quarantined_takes_its_log_along(path: Path) -> None:
    quarantined = quarantine_file(path, "damaged")
    assert quarantined.name.startswith("a.db.damaged-")
    assert names(path.parent) == {"a.db2", *(f"{quarantined.name}{suffix}" for suffix in PARTS)}
    assert quarantined.with_name(f"{quarantined.name}-wal").read_bytes() == b"who was where-wal"


def test_the_log_goes_before_the_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is killed in between leaves no log for the next file of that name."""
    gone: list[str] = []
    monkeypatch.setattr(Path, "unlink", lambda file, **_: gone.append(file.name))
    remove(path)
    assert gone == ["a.db-shm", "a.db-wal", "a.db"]


def test_what_was_quarantined_is_overwritten_and_goes(path: Path) -> None:
    quarantined = quarantine_file(path, "damaged")
    os.link(quarantined, path.parent / "the same bytes")
    path.write_bytes(b"the new one")
    remove_quarantined(path, "damaged")
    assert names(path.parent) == {"a.db", "a.db2", "the same bytes"}
    assert (path.parent / "the same bytes").read_bytes() == bytes(13)
