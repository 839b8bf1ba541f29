"""An agent that was configured through a named pipe, which gives its text once."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from subprocess import Popen

import pytest
from support.consumer import Consumer, eventually
from support.mjpeg_camera import MjpegCamera
from support.mosquitto import Mosquitto

from edge_reid.consumers.command_client import ask, new_command
from edge_reid.wire.topics import Address

pytestmark = [pytest.mark.e2e, pytest.mark.broker, pytest.mark.timeout(300)]

SETTINGS = """
site = "lab"
camera = "gate"
agent = "gate-1"
gallery = "{gallery}"
[source]
uri = "{camera}"
[mqtt]
url = "{url}"
[commands]
allow = ["reload"]
"""


def test_it_does_not_wait_for_somebody_to_write_when_it_is_told_to_reload(
    people: Path, broker: Mosquitto, start: Callable[..., Popen[str]], tmp_path: Path
) -> None:
    pipe, address = tmp_path / "agent.toml", Address("edge-reid", "lab", "gate-1")
    os.mkfifo(pipe)
    with MjpegCamera() as camera, Consumer(broker.broker(), address.agent_status) as status:
        text = SETTINGS.format(gallery=people, camera=camera.url, url=broker.url)
        threading.Thread(target=pipe.write_text, args=(text,)).start()
        start("run", "--config", pipe, "--quiet")
        eventually(lambda: status.payloads("status"), 60)
        for _ in range(2):
            result = ask(broker.broker(), address, new_command("reload"), timeout_s=20)
            assert result.outcome == "refused"
            assert "as it is read again on a reload, got a named pipe" in str(result.reason)
