"""`edge-reid` in a process of its own, which a test may kill, interrupt or starve of disk."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

_PATIENCE_S = 600.0


class VerbProcess:
    """A started `edge-reid WORDS`; a context manager that leaves no process behind.

    `prepare` is a Python statement that the new process runs first.
    """

    def __init__(
        self,
        *words: str | Path,
        prepare: str = "pass",
        env: dict[str, str] | None = None,
    ) -> None:
        # What a shell starts in the background ignores Ctrl-C, and so does what that starts.
        heed = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
        program = f"{heed}; {prepare}; from edge_reid.cli.main import main; main()"
        self.process = subprocess.Popen(
            [sys.executable, "-c", program, *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=env,
        )

    def __enter__(self) -> VerbProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    def await_step(self, run: Path, stage: int, step: int) -> None:
        """Wait until the run's checkpoints and curves are past a step of a stage."""
        self._await(lambda: _last_step(run) >= (stage, step), f"stage {stage}, step {step}")

    def _await(self, met: Callable[[], bool], what: str) -> None:
        end_s = time.monotonic() + _PATIENCE_S
        while not met():
            if self.process.poll() is not None:
                raise AssertionError(f"left before {what}: {self.process.communicate()[0]}")
            assert time.monotonic() < end_s, f"{what} never came"
            time.sleep(0.01)

    def stop(self, how: signal.Signals) -> tuple[int, str]:
        """Send a signal; returns exit code and everything that was printed."""
        self.process.send_signal(how)
        return self.leave()

    def leave(self) -> tuple[int, str]:
        """Wait for the end; returns exit code and everything that was printed."""
        printed, _ = self.process.communicate(timeout=_PATIENCE_S)
        return self.process.returncode, printed


def _last_step(run: Path) -> tuple[int, int]:
    curves = run / "curves.jsonl"
    lines = curves.read_text().splitlines(keepends=True) if curves.exists() else []
    whole = [json.loads(line) for line in lines if line.endswith("\n")]
    return (whole[-1]["stage"], whole[-1]["step"]) if whole else (0, 0)


def with_backend(name: str) -> dict[str, str]:
    """The environment of a process whose Keras uses another backend."""
    return os.environ | {"KERAS_BACKEND": name}
