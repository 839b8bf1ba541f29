"""The consumer that the README shows, as somebody has copied it."""

from __future__ import annotations

import re
import subprocess
import sys
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest
from support.consumer import eventually
from support.decided_tracks import STRANGER, an_event
from support.mosquitto import Mosquitto

from edge_reid import consumers
from edge_reid.mqtt.connection import Connection, connect
from edge_reid.mqtt.message import Message

pytestmark = pytest.mark.broker

README = Path(consumers.__file__).with_name("README.md")


def test_the_doorbell_rings_once_for_whoever_is_enrolled(broker: Mosquitto, tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    program, rings = tmp_path / "doorbell.py", tmp_path / "rings"
    program.write_text(example.replace("mqtt://127.0.0.1:1883", broker.url))
    with rings.open("w") as out, closing(connect(broker.broker())) as agent:
        doorbell = subprocess.Popen([sys.executable, program], stdout=out)
        try:
            tracks = count(1)
            eventually(lambda: publish(agent, next(tracks)) and rings.read_text() != "")
        finally:
            doorbell.terminate()
            doorbell.wait()
    rung = rings.read_text().splitlines()
    assert len(rung) == len(set(rung))
    assert all(re.fullmatch("ana at gate, track [0-9]+", ring) for ring in rung)


def publish(agent: Connection, number: int) -> bool:
    """Two events, each said twice."""
    for kind, event in (("hit", an_event(number)), ("unknown", an_event(number, STRANGER))):
        message = Message(f"edge-reid/lab/gate/{kind}", event.payload(number).to_json())
        for _ in range(2):
            agent.publish(message)
    while not agent.is_idle:
        agent.turn(0.1)
    return True
