"""What `edge-reid search` says beside the table."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from edge_reid.archive import ann_upkeep
from edge_reid.archive.archive_findings import ArchiveFindings
from edge_reid.archive.archive_store import ArchiveModels
from edge_reid.archive.folder_archive import FolderArchive
from edge_reid.archive.track_archive import TrackArchive
from edge_reid.cli.verbs import search

MANY = ArchiveFindings((), ann_upkeep.EXACT_TRACKS + 1, is_exact=True)
FEW = ArchiveFindings((), ann_upkeep.EXACT_TRACKS, is_exact=True)


ARCHIVE = FolderArchive(TrackArchive(Path("archive"), ArchiveModels("0" * 16, 4, "d" * 64)))


def test_what_would_be_faster_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ann_upkeep, "find_spec", lambda _name: None)
    advice = ARCHIVE.advice(MANY)
    assert advice is not None
    assert "\n" not in advice
    assert advice.startswith("250001 tracks were compared one by one; with faiss-cpu")
    assert "pip install '.[archive]'" in advice
    assert ARCHIVE.advice(FEW) is None


def test_where_it_is_installed_nothing_is_said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec("json")
    monkeypatch.setattr(ann_upkeep, "find_spec", lambda _name: found)
    assert ARCHIVE.advice(MANY) is None
    search._print(ArchiveFindings((), 300_000, is_exact=False), 0.9)
    assert "of 300000 tracks, by an index, which may miss one of fifty" in capsys.readouterr().out
