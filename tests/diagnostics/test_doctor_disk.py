"""The doctor's look at the disk that will hold the outbox."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from edge_reid.core.config.vision_settings import ModelSettings
from edge_reid.diagnostics.doctor import CheckedInstallation, Verdict, examine


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is a file system of Linux")
def test_a_folder_that_is_not_made_yet_is_looked_for_on_its_own_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/proc")  # which has no room at all
    subject = CheckedInstallation(ModelSettings(), state_dir=tmp_path / "not" / "yet")
    (disk,) = [found for found in examine(subject) if found.name == "disk"]
    assert disk.verdict is Verdict.OK
