from __future__ import annotations

import time
from pathlib import Path

import pytest
from support.consumer import Consumer
from support.decided_tracks import ADDRESS, an_event
from support.mosquitto import Mosquitto

from edge_reid.delivery.outbox import Outbox
from edge_reid.delivery.outbox_sender import Delivery
from edge_reid.delivery.publisher import AgentFacts, Publisher
from edge_reid.delivery.rate_limit import BURST_S, RateLimit
from edge_reid.mqtt.connection import MqttTransport
from edge_reid.wire.events import CameraReport, camera_status_message

FACTS = AgentFacts("0123456789abcdef", gallery_version=3, started_utc_s=0.0)


class Stopwatch:
    """A clock that goes only when told to."""

    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.mark.parametrize("tick_s", [0.001, 0.02, 0.05])
def test_the_rate_is_kept_however_often_somebody_looks(tick_s: float) -> None:
    clock = Stopwatch()
    pacer, passed = RateLimit(50.0, clock), 0
    for _ in range(round(10 / tick_s)):
        while pacer.wait_s == 0:
            pacer.passed()
            passed += 1
        clock.now_s += tick_s
    assert passed == pytest.approx(500, abs=50 * BURST_S + 1)


def test_a_long_rest_earns_no_flood() -> None:
    clock = Stopwatch()
    pacer = RateLimit(50.0, clock)
    pacer.passed()
    clock.now_s += 3600
    burst = 0
    while pacer.wait_s == 0:
        pacer.passed()
        burst += 1
    assert burst <= 50 * BURST_S + 1


def test_no_rate_is_no_wait() -> None:
    pacer = RateLimit(None)
    pacer.passed()
    assert pacer.wait_s == 0


@pytest.mark.broker
def test_what_waited_drains_at_its_rate_and_news_overtakes_it(
    broker: Mosquitto, tmp_path: Path
) -> None:
    """40 events at 20 a second take two seconds. A state shown meanwhile does not wait for them,
    and an event of now comes after them: events keep their order.
    """
    with Outbox(tmp_path / "outbox.db") as outbox, Consumer(broker.broker()) as consumer:
        for track in range(1, 41):
            outbox.put(an_event(track))
        began_s = time.monotonic()
        with Publisher(
            MqttTransport(broker.broker()),
            outbox,
            ADDRESS,
            FACTS,
            delivery=Delivery(drain_per_s=20),
        ) as publisher:
            consumer.wait_for("gate/hit", count=5, timeout_s=30)
            publisher.publish(an_event(41))
            publisher.show(camera_status_message(ADDRESS, "gate", CameraReport("running"), 0.0))
            hits = consumer.wait_for("gate/hit", count=41, timeout_s=30)
            took_s = time.monotonic() - began_s
            assert publisher.flush(10) == 0
        topics = [message.topic.removeprefix("edge-reid/lab/") for message in consumer.messages]
    assert [hit["seq"] for hit in hits] == list(range(1, 42))
    assert [hit["replayed"] for hit in hits] == [True] * 40 + [False]
    assert took_s >= 40 / 20 - BURST_S  # never faster; how slow the machine is, is its own affair
    assert "gate/hit" in topics[topics.index("gate/status") :]
