"""How long `edge-reid fleet` takes at a large site: `PYTHONPATH=tests python tests/bench/fleet.py`.

Leaves the statuses of a thousand agents with four cameras each on a real Mosquitto, and times the
verb as it is typed; half a second of it is the wait for more.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from support.mosquitto import Mosquitto

from edge_reid.mqtt.connection import connect
from edge_reid.mqtt.message import Message
from edge_reid.wire.events import CameraReport, camera_status_message, rfc3339
from edge_reid.wire.payloads import AgentStatus, DeviceUpdate, GalleryState
from edge_reid.wire.topics import Address

AGENTS, CAMERAS = 1000, 4


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        broker = Mosquitto(Path(folder))
        broker.start()
        try:
            leave(broker)
            for words in ((), ("--json",), ("--state", "offline")):
                print(f"{AGENTS} agents, fleet {' '.join(words):16} {timed(broker, words)}")
        finally:
            broker.kill()


def leave(broker: Mosquitto) -> None:
    connection = connect(broker.broker())
    for number in range(AGENTS):
        for message in left_by(Address("edge-reid", "lab", f"device-{number:04}"), number):
            while not connection.room:
                connection.turn(0.1)
            connection.publish(message)
    while not connection.is_idle:
        connection.turn(0.1)
    connection.close()


def left_by(address: Address, number: int) -> Iterator[Message]:
    now_s = time.time()
    cameras = tuple(f"camera-{number}-{index}" for index in range(CAMERAS))
    own = {"site": address.site, "agent": address.agent, "at": rfc3339(now_s)}
    gallery = GalleryState(
        version=7,
        created_at=rfc3339(now_s),
        checked_at=rfc3339(now_s),
        source="mqtt",
        refused=None,
        erased_through=3,
    )
    status = AgentStatus(
        **own,
        state="online" if number % 10 else "offline",
        reason=None if number % 10 else "stopped",
        version="0.6.0",
        host=address.agent,
        session="0123456789abcdef",
        model_id="d29f7071d9ba8357",
        gallery_version=7,
        gallery=gallery,
        cameras=cameras,
        period_s=30,
        outbox_depth=0,
        outbox_bytes=0,
        events_dropped=0,
        started_at=rfc3339(now_s - 10_000),
    )
    update = DeviceUpdate(
        **own,
        release="0.6.0",
        target="pi-trixie",
        serial=3,
        wanted="0.6.0",
        state="current",
        reason=None,
        since=rfc3339(now_s),
    )
    yield Message(address.agent_status, status.to_json(), retain=True)
    yield Message(address.agent_update, update.to_json(), retain=True)
    for camera in cameras:
        yield camera_status_message(
            address, camera, CameraReport("running", fps=9.9), now_s, period_s=10
        )


def timed(broker: Mosquitto, words: tuple[str, ...]) -> str:
    command = [sys.executable, "-m", "edge_reid", "fleet", "--site", "lab", "--broker", broker.url]
    began_s, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([*command, *words], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return f"{time.monotonic() - began_s:.2f} s, CPU {cpu_s:.2f} s"


if __name__ == "__main__":
    main()
