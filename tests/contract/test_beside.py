"""The script by which tests run beside tests, and CI's demo beside its check, hides no failure."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from support.consumer import eventually

BESIDE = Path(__file__).parents[1] / "beside.sh"
AT_A_TERMINAL = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"
IGNORING_NOTHING = """
import os, signal, sys
for ignored in (signal.SIGINT, signal.SIGHUP):
    signal.signal(ignored, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])
"""
"""A shell cannot trap what was ignored when it began: an interrupt, of whom a shell has started
behind itself; a hang-up, under nohup."""

READS = "read || echo none"


@contextmanager
def started_beside(behind: str, seen: str) -> Iterator[subprocess.Popen[str]]:
    """The script, under way; killed at the end, if it then still is."""
    words = [sys.executable, "-c", IGNORING_NOTHING, BESIDE, behind, seen]
    script = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        yield script
    finally:
        script.kill()
        script.wait()


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
    seen = f"until [ -e {started} ]; do sleep 0.1; done; echo broken; exit 4"
    assert beside(sleeper(started), seen) == (4, ["broken"])
    eventually(lambda: not is_alive(int(started.read_text())), 20)


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_to_the_script_alone_ends_both(sent: signal.Signals, tmp_path: Path) -> None:
    """As a CI sends it that has run out of patience, and knows of one process."""
    behind, seen = tmp_path / "behind", tmp_path / "seen"
    with started_beside(sleeper(behind), sleeper(seen)) as script:
        eventually(lambda: behind.exists() and seen.exists(), 20)
        script.send_signal(sent)
        assert script.wait(timeout=20) == 128 + sent
    for started in (behind, seen):
        eventually(lambda file=started: not is_alive(int(file.read_text())), 20)


def test_what_is_seen_says_how_it_ended_at_an_interrupt(tmp_path: Path) -> None:
    """Pytest then stops its servers, and tells what it has tested: it is given the time."""
    started = tmp_path / "started"
    seen = f"trap 'sleep 0.5; echo interrupted; exit 2' INT; touch {started}; sleep 600 & wait"
    with started_beside("sleep 600", seen) as script:
        eventually(started.exists, 20)
        script.send_signal(signal.SIGINT)
        assert script.communicate(timeout=20)[0].splitlines()[1:] == ["interrupted"]
    assert script.returncode == 2


@pytest.mark.parametrize("commands", [(READS, "true"), ("true", READS)], ids=["behind", "seen"])
def test_neither_has_a_terminal_to_wait_for(commands: tuple[str, str]) -> None:
    """Whoever reads from one that is another group's is stopped, and is waited for without end."""
    done = subprocess.run(
        [sys.executable, "-c", AT_A_TERMINAL, BESIDE, *commands],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    )
    assert done.stdout.splitlines()[1:] == ["none"]


def sleeper(started: Path) -> str:
    """A command that sleeps in a process of its own, whose number it writes once that is there.

    It is written behind the shell: one that waits for `mv` passes over an interrupt.
    """
    return f"sleep 600 & echo $! > {started}.part; mv {started}.part {started} & wait"


def is_alive(process: int) -> bool:
    """A zombie whom nobody waits for is not."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False
