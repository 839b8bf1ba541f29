"""A configuration that comes through a pipe is there as often as it is read."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge_reid.cli.piped_config import MOST_BYTES, PipedConfig, check_comes_again, fill
from edge_reid.core.errors import ConfigError, UsageError

PROGRAM = """
import os, sys
from pathlib import Path
from edge_reid.cli.piped_config import PipedConfig
piped = PipedConfig.of(Path(sys.argv[1]))
print(Path(sys.argv[1]).read_text(), flush=True)
piped.refill()
if sys.argv[2:] == ["first"]:
    os.execv(sys.executable, sys.orig_argv[:-1])
print(Path(sys.argv[1]).read_text())
"""


def test_also_by_the_program_that_takes_the_place_of_this_one() -> None:
    words = [sys.executable, "-c", PROGRAM, "/dev/stdin", "first"]
    done = subprocess.run(words, input="site", capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["site", "site", "site"]


def test_a_file_is_left_as_it_is(tmp_path: Path) -> None:
    assert PipedConfig.of(tmp_path / "agent.toml") is None
    assert PipedConfig.of(None) is None


def test_one_that_is_too_large_is_refused() -> None:
    reading, writing = os.pipe()
    words = [sys.executable, "-c", f"print('x' * {MOST_BYTES})"]
    subprocess.Popen(words, stdout=writing)
    os.close(writing)
    with pytest.raises(UsageError, match="expected at most 65536 bytes through a pipe"):
        PipedConfig.of(Path(f"/dev/fd/{reading}"))
    os.close(reading)


@pytest.mark.skipif(sys.platform != "linux", reason="pipes have a size of their own on Linux alone")
def test_nobody_waits_for_ever_where_a_pipe_holds_less_than_they_mostly_do() -> None:
    """As those of a user who has more than a thousand."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    with pytest.raises(UsageError, match="expected a pipe that holds its 5000 bytes, got one of 4"):
        fill(writing, bytes(5000))
    os.close(reading)


def test_the_end_of_a_pipe_that_is_written_to_cannot_be_read() -> None:
    reading, writing = os.pipe()
    with pytest.raises(ConfigError, match=f"^/dev/fd/{writing}: 1 mistake: cannot be read"):
        PipedConfig.of(Path(f"/dev/fd/{writing}"))
    os.close(reading)
    os.close(writing)


def test_a_number_that_is_no_descriptor_is_left_to_who_reads_it() -> None:
    assert PipedConfig.of(Path(f"/dev/fd/{10**20}")) is None


def test_a_named_pipe_is_refused_where_it_would_have_to_be_read_again(tmp_path: Path) -> None:
    pipe = tmp_path / "agent.toml"
    os.mkfifo(pipe)
    told = "as it is read again on a reload, got a named pipe; write it into a file, or wait$"
    with pytest.raises(UsageError, match=told):
        check_comes_again(pipe, "on a reload", "wait")
    check_comes_again(Path("/dev/stdin"), "on a reload", "wait")
