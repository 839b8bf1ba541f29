"""A live agent in this process, to be asked over HTTP while it runs, and then stopped."""

from __future__ import annotations

import http.client
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from support.mosquitto import free_port

from edge_reid.agent.app import Outputs, run_agent
from edge_reid.agent.observers import Observer
from edge_reid.core.config.agent_settings import AgentSettings

PATIENCE_S = 90.0


class ScrapedAgent:
    """An agent with `[metrics]` on a free port, and whoever asks it.

    Args:
        table: what else its configuration has.
    """

    def __init__(self, **table: Any) -> None:
        self.port = free_port()
        metrics = {"listen": f"127.0.0.1:{self.port}"} | table.pop("metrics", {})
        made = {"site": "lab", "agent": "device"} | table | {"metrics": metrics}
        self.settings = AgentSettings.model_validate(made)

    def ask(self, path: str, **headers: str) -> tuple[int, str]:
        """Status and body of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def scrape(self) -> dict[str, Metric]:
        """The families by name, as Prometheus reads them."""
        status, text = self.ask("/metrics")
        assert status == 200, text
        return {family.name: family for family in text_string_to_metric_families(text)}

    def run_while(self, watch: Callable[[], None], *observers: Observer) -> None:
        """Run the agent until whoever watches it, in a thread, is done; then press Ctrl-C."""
        failed: list[BaseException] = []

        def watch_and_stop() -> None:
            try:
                self._await()
                watch()
            except BaseException as error:
                failed.append(error)
            os.kill(os.getpid(), signal.SIGINT)

        watching = threading.Thread(target=watch_and_stop)
        watching.start()
        with pytest.raises(KeyboardInterrupt):
            run_agent(self.settings, outputs=Outputs(), observers=observers)
        watching.join()
        if failed:
            raise failed[0]

    def _await(self) -> None:
        self.wait_for(lambda: True)

    def wait_for(self, is_so: Callable[[], bool]) -> None:
        """Ask again and again until it is so."""
        deadline_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline_s:
            try:
                self.ask("/healthz")
                if is_so():
                    return
            except OSError:  # it is not up yet
                pass
            time.sleep(0.2)
        raise AssertionError("it never came to be so")


def value(families: dict[str, Metric], name: str, **labels: str) -> float:
    """The one sample of this name with these labels."""
    samples = [
        sample
        for family in families.values()
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]
    (only,) = samples
    return float(only.value)
