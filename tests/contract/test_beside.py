"""The script by which tests run beside tests, and CI's demo beside its check, hides no failure."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from support.consumer import eventually

BESIDE = Path(__file__).parents[1] / "beside.sh"
AT_A_TERMINAL = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"


def beside(behind: str, seen: str) -> tuple[int, list[str]]:
    """Exit status of the script, and the lines that it shows after its first."""
    done = subprocess.run(
        [BESIDE, behind, seen], capture_output=True, text=True, check=False, timeout=60
    )
    first, *lines = done.stdout.splitlines()
    assert behind in first
    return done.returncode, lines


def test_what_ran_behind_is_shown_after_what_was_seen() -> None:
    assert beside("echo behind", "sleep 0.5; echo seen") == (0, ["seen", "behind"])


def test_a_failure_behind_is_the_scripts_and_comes_last() -> None:
    assert beside("echo broken >&2; exit 3", "sleep 0.5; echo seen") == (3, ["seen", "broken"])


def test_a_failure_that_is_seen_ends_what_runs_behind(tmp_path: Path) -> None:
    started = tmp_path / "started"
    behind = f"sleep 600 & echo $! > {started}.part; mv {started}.part {started}; wait"
    seen = f"until [ -e {started} ]; do sleep 0.1; done; echo broken; exit 4"
    assert beside(behind, seen) == (4, ["broken"])
    eventually(lambda: not is_alive(int(started.read_text())), 20)


def test_what_runs_behind_has_no_terminal_to_wait_for() -> None:
    """Whoever reads from one that is another group's is stopped, and is waited for without end."""
    done = subprocess.run(
        [sys.executable, "-c", AT_A_TERMINAL, BESIDE, "read || echo none", "true"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    )
    assert done.stdout.splitlines()[1:] == ["none"]


def is_alive(process: int) -> bool:
    """A zombie whom nobody waits for is not."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False
