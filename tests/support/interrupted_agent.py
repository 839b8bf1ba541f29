"""An agent in this process that runs until somebody has seen enough, and presses Ctrl-C."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Sequence

import pytest

from edge_reid.agent.app import Outputs, run_agent
from edge_reid.agent.observers import Observer
from edge_reid.core.config.agent_settings import AgentSettings

_POLL_S = 0.05


def run_until(
    is_enough: Callable[[], bool],
    agent: AgentSettings,
    outputs: Outputs | None = None,
    *,
    observers: Sequence[Observer] = (),
    timeout_s: float = 120.0,
) -> float:
    """Run an agent, and press Ctrl-C when it is enough; seconds from then until it has ended."""
    pressed_s: list[float] = []
    was_enough, is_over = threading.Event(), threading.Event()

    def watch() -> None:
        deadline_s = time.monotonic() + timeout_s
        try:
            while not is_over.wait(_POLL_S) and time.monotonic() < deadline_s:
                if is_enough():
                    was_enough.set()
                    break
        finally:
            pressed_s.append(time.monotonic())
            if not is_over.is_set():
                os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=watch).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            run_agent(agent, outputs=outputs or Outputs(), observers=observers)
    finally:
        is_over.set()
    assert was_enough.is_set()
    return time.monotonic() - pressed_s[0]
