"""A disk without room is one line that says what could not be written, and what to do."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOM_BYTES = 7_900
"""For the first two schemas."""


@contextmanager
def little_room() -> Iterator[None]:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM_BYTES, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_schemas_are_whole_or_not_there(edge_reid, tmp_path: Path) -> None:
    out = tmp_path / "schemas"
    with little_room():
        outcome = edge_reid("schema", "--out", out)
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    told = "cannot be written: File too large; make room there, or give another folder"
    assert f"error: --out {out}: {told}" in outcome.err
    written = sorted(out.iterdir())
    assert written == sorted(map(Path, outcome.out.split()))
    assert all(path.read_text().endswith("}\n") for path in written)


def test_output_that_goes_to_a_full_disk_is_no_fault_to_report() -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "edge_reid", "schema"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == (
        "error: output: cannot be written: No space left on device; make room there, or send it "
        "elsewhere\n"
    )
