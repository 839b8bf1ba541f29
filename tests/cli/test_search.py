"""What `edge-reid search` says beside the table."""

from __future__ import annotations

import importlib.util

import pytest

from edge_reid.archive import ann_upkeep
from edge_reid.archive.archive_search import ArchiveFindings
from edge_reid.cli.verbs import search

MANY = ArchiveFindings((), ann_upkeep.EXACT_TRACKS + 1, is_exact=True)
FEW = ArchiveFindings((), ann_upkeep.EXACT_TRACKS, is_exact=True)


def test_what_would_be_faster_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ann_upkeep, "find_spec", lambda _name: None)
    search._advise(MANY)
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith("250001 tracks were compared one by one; with faiss-cpu")
    assert "pip install '.[archive]'" in said
    search._advise(FEW)
    assert capsys.readouterr().err == ""


def test_where_it_is_installed_nothing_is_said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec("json")
    monkeypatch.setattr(ann_upkeep, "find_spec", lambda _name: found)
    search._advise(MANY)
    assert capsys.readouterr().err == ""
    search._print(ArchiveFindings((), 300_000, is_exact=False), 0.9)
    assert "of 300000 tracks, by an index, which may miss one of fifty" in capsys.readouterr().out
