"""Starts devices to be killed: processes forked from one that has imported all they need."""

from __future__ import annotations

import multiprocessing
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
DEVICES = ["support.cameraless_agent", "support.killed_device"]


def device_server(monkeypatch: pytest.MonkeyPatch) -> ForkServerContext:
    """There is one a process, so it has what all the tests of this process start."""
    monkeypatch.setenv("PYTHONPATH", str(TESTS))  # it finds nothing to preload otherwise
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(DEVICES)
    return server
