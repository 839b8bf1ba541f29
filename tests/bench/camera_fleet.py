"""Agents at cameras, of this version or an earlier one: `cameras.py` starts them and looks on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).parents[2]
START_TIMEOUT_S = 180
"""A busy machine may take so long until all cameras have been looked at."""


@dataclass(frozen=True)
class Fleet:
    """Cameras are shared out evenly."""

    cameras: int
    agents: int
    python: Path
    release: str
    checkout: Path = CHECKOUT
    """Whose agent this Python runs, if it has none of its own."""

    @property
    def each(self) -> int:
        """Cameras of an agent."""
        return self.cameras // self.agents


@dataclass(frozen=True)
class Running:
    """A fleet at work."""

    agents: list[subprocess.Popen[bytes]]
    folder: Path

    @property
    def pids(self) -> list[int]:
        return [agent.pid for agent in self.agents]

    def looks(self) -> list[dict[str, Any]]:
        """All so far: camera, number of the picture, moment (monotonic), events."""
        lines = (self.folder / "looks.jsonl").read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def await_looks(self, cameras: int) -> None:
        """Until every camera was looked at."""
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while len({look["camera"] for look in self.looks()}) < cameras:
            if any(agent.poll() is not None for agent in self.agents):
                raise RuntimeError(f"an agent has ended: {(self.folder / 'said').read_text()}")
            if time.monotonic() > deadline_s:
                raise RuntimeError(f"no look at every camera within {START_TIMEOUT_S} s")
            time.sleep(0.2)


@contextmanager
def running(fleet: Fleet, folder: Path, urls: Sequence[str]) -> Iterator[Running]:
    """Once every camera was looked at.

    Raises:
        RuntimeError: an agent ended, or some camera was never looked at.
    """
    gallery = folder / "gallery.db"
    make = "from edge_reid.cli.main import main; main()"
    words = ["gallery", "init", gallery]
    program, env = [fleet.python, "-c", make, *words], _environment(fleet)
    # not here: a program of -c finds in its own folder first
    subprocess.run(program, check=True, env=env, cwd=folder, stdout=subprocess.DEVNULL)
    (folder / "looks.jsonl").touch()
    at_work = Running([], folder)
    try:
        for number in range(fleet.agents):
            mine = range(number * fleet.each, (number + 1) * fleet.each)
            config = folder / f"agent-{number}.toml"
            config.write_text(_settings(gallery, {index: urls[index] for index in mine}))
            at_work.agents.append(_start(fleet, config, folder))
        at_work.await_looks(fleet.cameras)
        yield at_work
    finally:
        for agent in at_work.agents:
            agent.send_signal(signal.SIGTERM)
        for agent in at_work.agents:
            agent.wait(60)


def _settings(gallery: Path, urls: dict[int, str]) -> str:
    lines = ['site = "bench"', f'agent = "agent-{min(urls)}"', f'gallery = "{gallery}"']
    if len(urls) == 1:  # the form that 0.5.0 knows, too
        ((index, url),) = urls.items()
        lines += [f'camera = "camera-{index}"', f'source.uri = "{url}"']
        return "\n".join([*lines, "source.stall_timeout_s = 60"])
    for index, url in urls.items():
        source = f"cameras.camera-{index}.source"
        lines += [f'{source}.uri = "{url}"', f"{source}.stall_timeout_s = 60"]
    return "\n".join(lines)


def _start(fleet: Fleet, config: Path, folder: Path) -> subprocess.Popen[bytes]:
    agent = fleet.checkout / "tests" / "bench" / "cameras_agent.py"
    program = [fleet.python, agent, config, folder / "looks.jsonl"]
    with (folder / "said").open("ab") as said:
        return subprocess.Popen(program, env=_environment(fleet), stderr=said)


def _environment(fleet: Fleet) -> dict[str, str]:
    """In which another Python finds its own edge-reid, and this one that of the checkout."""
    tests, is_ours = fleet.checkout / "tests", fleet.python == Path(sys.executable)
    paths = [tests, fleet.checkout] if is_ours else [tests]
    return os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths))}
