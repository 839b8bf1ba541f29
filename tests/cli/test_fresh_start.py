"""A program begins anew with what it was given, and with nothing that it has opened meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import os, sys
from edge_reid.cli.fresh_start import FreshStart
fresh_start = FreshStart(None)
if os.environ.pop("IS_FIRST", ""):
    os.set_inheritable(os.open(sys.argv[1], os.O_RDONLY), True)
    fresh_start.begin()
opened = [os.path.realpath(f"/dev/fd/{name}") for name in os.listdir("/dev/fd")]
print(os.path.realpath(sys.argv[1]) in opened)
os.write(int(sys.argv[2]), b"given")
"""


def test_what_a_library_leaves_open_is_closed(tmp_path: Path) -> None:
    """As LiteRT does the file of a model: else each change of the model would leave one more."""
    model = tmp_path / "model.tflite"
    model.touch()
    reading, writing = os.pipe()
    words = [sys.executable, "-c", PROGRAM, str(model), str(writing)]
    environment = os.environ | {"IS_FIRST": "yes"}
    done = subprocess.run(
        words, env=environment, pass_fds=[writing], capture_output=True, text=True, check=True
    )
    os.close(writing)
    assert os.read(reading, 10) == b"given"
    os.close(reading)
    assert done.stdout == "False\n"
