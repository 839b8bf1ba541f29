"""A broker on loopback for as long as a with statement lasts: Mosquitto, else amqtt."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SEARCH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))
START_TIMEOUT_S = 20.0


@contextmanager
def loopback_broker(folder: Path) -> Iterator[tuple[str, str]]:
    """(URL, name of the program); its configuration and log go into `folder`."""
    port = _free_port()
    mosquitto = shutil.which("mosquitto", path=SEARCH)
    command = _mosquitto(mosquitto, folder, port) if mosquitto else _amqtt(folder, port)
    with (folder / "broker.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            _wait_for(port, process)
            yield f"mqtt://127.0.0.1:{port}", "Mosquitto" if mosquitto else "amqtt"
        finally:
            process.terminate()
            process.wait(timeout=10)


def _mosquitto(program: str, folder: Path, port: int) -> list[str]:
    config = folder / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n", encoding="utf-8")
    return [program, "-c", str(config)]


def _amqtt(folder: Path, port: int) -> list[str]:
    config = folder / "amqtt.yaml"
    config.write_text(
        f"listeners:\n  default:\n    type: tcp\n    bind: 127.0.0.1:{port}\n"
        "plugins:\n  amqtt.plugins.authentication.AnonymousAuthPlugin:\n"
        "    allow_anonymous: true\n",
        encoding="utf-8",
    )
    return [str(Path(sys.executable).with_name("amqtt")), "-c", str(config)]


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit("the broker did not start; its log says why: broker.log")
