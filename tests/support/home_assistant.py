"""A real Home Assistant, where `make home-assistant` has installed it."""

from __future__ import annotations

import json
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
from support.mosquitto import free_port

PYTHON = Path(__file__).parents[2] / "out" / "home-assistant" / "bin" / "python"
PROGRAM = Path(__file__).with_name("home_assistant_program.py")


class RealHomeAssistant:
    """At a broker from `with` on; skips the test where there is none."""

    def __init__(self, work: Path, broker_port: int) -> None:
        if not PYTHON.exists():
            pytest.skip("Home Assistant is not installed: make home-assistant")
        self.devices: list[str] = []
        self.states: dict[str, dict[str, Any]] = {}
        self.errors = ""
        """What it has complained of; whole once it has ended."""
        ports = str(broker_port), str(free_port())
        self._process = subprocess.Popen(
            [PYTHON, PROGRAM, work / "home", *ports],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._threads = [
            threading.Thread(target=follow, daemon=True)
            for follow in (self._follow_states, self._follow_errors)
        ]

    def __enter__(self) -> RealHomeAssistant:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        for thread in self._threads:
            thread.join()

    def state(self, entity: str) -> str | None:
        """Of an entity; None: there is no such one."""
        found = self.states.get(entity)
        return None if found is None else str(found["state"])

    def _follow_states(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            now = json.loads(line)
            self.devices, self.states = now["devices"], now["states"]

    def _follow_errors(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.errors += line
