"""What a device says of verbs that need a workstation."""

from __future__ import annotations

import importlib.util

import pytest

from edge_reid import __version__

WITHOUT = {
    "trainer": ("keras", ("train", "people", "--out", "run")),
    "deploy": ("zstandard", ("bundle", "--config", "site.toml", "--out", "box.tar.zst")),
}


@pytest.mark.parametrize("part", WITHOUT)
def test_what_is_missing_and_what_brings_it_is_one_line(edge_reid, monkeypatch, part):
    missing, words = WITHOUT[part]
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == missing else found(name)
    )
    outcome = edge_reid(*words)
    assert outcome.code == 1
    assert outcome.complaint == (
        f"error: this verb needs {missing}, which is not installed here; on a workstation: "
        f"pip install '.[{part}]' in a checkout of edge-reid, or pip install "
        f"'edge_reid-{__version__}-py3-none-any.whl[{part}]' beside its wheel"
    )
