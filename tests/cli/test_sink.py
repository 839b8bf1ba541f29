"""`edge-reid sink`, as whoever starts it sees it. What it stores is tested with the faults."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest


@pytest.mark.parametrize("name", ["hits.db", "hits.jsonl"])
def test_a_wrong_command_line_leaves_no_store_behind(
    tmp_path: Path, edge_reid: Any, name: str
) -> None:
    file = tmp_path / name
    where = f"sqlite:///{file}" if name.endswith(".db") else file
    outcome = edge_reid("sink", "--broker", "http://broker", "--to", where)
    assert outcome.code == 2
    assert "url: should look like mqtt://" in outcome.complaint
    assert not file.exists()


def test_what_is_wrong_is_shown_as_it_is(tmp_path: Path) -> None:
    """Not as markup, of which the address of this broker looks like some."""
    words = ["sink", "--broker", "mqtts://[fe80::1]:9", "--to", f"sqlite:///{tmp_path}/hits.db"]
    command = [sys.executable, "-m", "edge_reid", *words]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        guard = threading.Timer(60, process.kill)
        guard.start()
        assert process.stderr is not None
        said = process.stderr.readline()
        process.kill()
        guard.cancel()
    assert said.startswith("mqtts://[fe80::1]:9: ")
