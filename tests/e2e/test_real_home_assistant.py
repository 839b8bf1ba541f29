"""What a real Home Assistant makes of an agent: entities come, say what is so, and go."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from support.consumer import eventually
from support.decided_tracks import ADDRESS, a_hit, an_event
from support.home_assistant import RealHomeAssistant
from support.mosquitto import Mosquitto

from edge_reid.core.types import HitType
from edge_reid.delivery.announcements import Announcements
from edge_reid.delivery.outbox import Outbox
from edge_reid.delivery.publisher import AgentFacts, Publisher
from edge_reid.mqtt.connection import MqttTransport
from edge_reid.mqtt.message import Message
from edge_reid.vision.crops import crop_jpeg
from edge_reid.wire.events import CameraReport, Event, camera_status_message
from edge_reid.wire.home_assistant import HomeAssistant

GREY = np.full((64, 32, 3), 128, np.uint8)
FACTS = AgentFacts("0123456789abcdef", 3, started_utc_s=0.0, cameras=("gate",))
OURS = HomeAssistant("homeassistant", ADDRESS, ("gate",), device_trackers=True, pictures=True)
PATIENCE_S = 180.0
RUNNING, PERSONS, HIT, PICTURE = (
    "binary_sensor.gate_1_gate_running",
    "sensor.gate_1_gate_persons_in_view",
    "event.gate_1_gate_last_hit",
    "image.gate_1_gate_picture_of_the_last_hit",
)
IN_VIEW, WHERE, WHEN, TRACKER = (
    "binary_sensor.ana_in_view",
    "sensor.ana_last_seen_at",
    "sensor.ana_last_seen",
    "device_tracker.ana_tracker",
)


@pytest.mark.broker
@pytest.mark.home_assistant
def test_entities_come_with_an_agent_and_a_person_and_go_with_them(
    broker: Mosquitto, tmp_path: Path
) -> None:
    with RealHomeAssistant(tmp_path, broker.port) as home, Outbox(tmp_path / "out.db") as outbox:
        with Publisher(
            MqttTransport(broker.broker()),
            outbox,
            ADDRESS,
            FACTS,
            announcements=Announcements(OURS),
        ) as publisher:
            eventually(lambda: home.devices == ["gate-1"], PATIENCE_S)
            publisher.show(running(persons=2))
            eventually(lambda: home.state(RUNNING) == "on", PATIENCE_S)
            eventually(lambda: home.state(PERSONS) == "2", PATIENCE_S)
            eventually(lambda: home.state(PICTURE) == "unknown", PATIENCE_S)
            publisher.pass_on(Message(ADDRESS.picture("gate"), crop_jpeg(GREY)))
            eventually(lambda: str(home.state(PICTURE)).startswith("20"), PATIENCE_S)  # its time
            publisher.publish(an_event(1))
            eventually(lambda: home.state(IN_VIEW) == "on", PATIENCE_S)
            assert home.devices == ["ana", "gate-1"]
            assert home.state(WHERE) == "gate"
            assert home.state(WHEN) == "1970-01-01T00:00:03+00:00"
            eventually(lambda: home.state(TRACKER) == "home", PATIENCE_S)
            publisher.publish(Event(a_hit(1, type_=HitType.END), an_event(1).origin))
            eventually(lambda: home.state(IN_VIEW) == "off", PATIENCE_S)
            eventually(lambda: home.state(TRACKER) == "not_home", PATIENCE_S)
            hit = home.states[HIT]
            assert (hit["event_type"], hit["identity"], hit["camera"]) == ("end", "ana", "gate")
            publisher.retract((), set())
            eventually(lambda: home.devices == ["gate-1"], PATIENCE_S)
            assert not {IN_VIEW, WHERE, WHEN, TRACKER} & home.states.keys()
        eventually(lambda: home.state(RUNNING) == "unavailable", PATIENCE_S)
    assert "Error" not in home.errors, home.errors


def running(*, persons: int) -> Message:
    report = CameraReport("running", 10, 0, 5.0, time.time(), persons_in_view=persons)
    return camera_status_message(ADDRESS, "gate", report, time.time(), period_s=10.0)
