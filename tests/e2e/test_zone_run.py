"""The clip with a zone and a line, by way of a real broker, to a subscriber and into a store."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.area_runs import AreaRuns
from support.consumer import Consumer, eventually
from support.mosquitto import Mosquitto

from edge_reid.agent.app import Outputs, run_agent
from edge_reid.consumers.event_feed import Share
from edge_reid.consumers.mqtt_feed import MqttFeed
from edge_reid.consumers.sink import Sink
from edge_reid.consumers.store_urls import open_store, read_events
from edge_reid.consumers.zone_query import ZoneQuery
from edge_reid.wire.payloads import parse_event

AREAS = {
    "zones": [{"name": "left", "points": [[0, 0], [0.5, 0], [0.5, 1], [0, 1]], "loitering_s": 2.0}],
    "lines": [{"name": "middle", "points": [[0.5, 0], [0.5, 1]], "direction": "in"}],
}


@pytest.mark.broker
def test_what_happens_in_a_zone_reaches_whoever_follows_it(
    broker: Mosquitto, tmp_path: Path
) -> None:
    runs = AreaRuns(tmp_path)
    settings = runs.settings(**AREAS).model_copy(
        update={
            "mqtt": runs.settings().mqtt.model_copy(update={"url": broker.url}),
            "home_assistant": runs.settings().home_assistant.model_copy(update={"enabled": True}),
        }
    )
    lines, where = tmp_path / "events.jsonl", f"sqlite:///{tmp_path / 'hits.db'}"
    store = open_store(where)
    share = Share("edge-reid", "lab", "archive", "a")
    with (
        Consumer(broker.broker()) as consumer,
        Sink(MqttFeed(broker.broker(), share), store) as sink,
    ):
        eventually(lambda: consumer.is_subscribed, 60)
        summary = run_agent(settings, outputs=Outputs(events=str(lines)))
        assert (summary.dropped_events, summary.waiting_events) == (0, 0)
        written = [parse_event(line) for line in lines.read_bytes().splitlines()]
        eventually(lambda: [sink.turn(0.05), sink.stats.stored][1] == len(written), 60)
        heard = consumer.payloads("/gate/zone")
        (config,) = consumer.payloads("edge-reid-lab/device/config")
    store.close()
    zones = [event for event in written if event.schema_ == "edge-reid.zone/1"]
    assert {event.type for event in zones} == {"entered", "left", "loitering", "crossed"}
    assert [event["event_id"] for event in heard] == [event.event_id for event in zones]
    stored = [each.event.event_id for each in read_events(where, ZoneQuery())]
    assert sorted(stored) == sorted(event.event_id for event in zones)
    assert "gate_last_zone_event" in config["components"]
