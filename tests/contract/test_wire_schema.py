"""What is published is what the shipped schemas say, over a real broker."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import typer
from support.consumer import Consumer
from support.decided_tracks import ADDRESS, ORIGIN, STRANGER, a_hit, a_zone_event, an_event
from support.mosquitto import Mosquitto
from typer.testing import CliRunner

import edge_reid.wire
from edge_reid.cli.verbs.schema import schema
from edge_reid.core.errors import UsageError
from edge_reid.core.types import HitType, Known, Unknown, ZoneChangeType
from edge_reid.delivery.outbox import Outbox
from edge_reid.delivery.publisher import AgentFacts, Publisher
from edge_reid.mqtt.connection import MqttTransport
from edge_reid.wire.events import CameraReport, Event, OutgoingEvent, camera_status_message
from edge_reid.wire.payloads import EventPayload, parse_event

SHIPPED = Path(edge_reid.wire.__file__).parent / "json_schemas"
TOPICS = {
    "edge-reid.hit/1": r"edge-reid/lab/gate/hit",
    "edge-reid.unknown/1": r"edge-reid/lab/gate/unknown",
    "edge-reid.zone/1": r"edge-reid/lab/gate/zone",
    "edge-reid.camera/1": r"edge-reid/lab/gate/status",
    "edge-reid.agent/1": r"edge-reid/lab/agents/gate-1/status",
    "edge-reid.identity/1": r"edge-reid/lab/identities/[a-z0-9_-]+",
    "edge-reid.duplicate/1": r"edge-reid/lab/agents/gate-1/duplicate",
    "edge-reid.update/1": r"edge-reid/lab/agents/gate-1/update",
    "edge-reid.stored/1": r"edge-reid/lab/agents/gate-1/stored",
    "edge-reid.command/1": r"edge-reid/lab/agents/gate-1/command",
    "edge-reid.result/1": r"edge-reid/lab/agents/gate-1/result",
    "edge-reid.stranger/1": r"edge-reid/lab/agents/gate-1/strangers/anon-[0-9a-f]{6}-[0-9]+",
    "edge-reid.erasures/1": r"edge-reid/lab/agents/erasures",
}
EVERY_DAY = TOPICS.keys() - {
    *("edge-reid.duplicate/1", "edge-reid.stored/1"),
    *("edge-reid.command/1", "edge-reid.result/1"),
    "edge-reid.update/1",
    *("edge-reid.stranger/1", "edge-reid.erasures/1"),  # signed: tests/agent/test_stranger_sharing
}

LATER = {
    "edge-reid.hit/1": ["continues", "stranger", "zones", "corrects", "corrected_by"],
    "edge-reid.unknown/1": ["continues", "stranger", "zones"],
    "edge-reid.zone/1": ["continues"],
    "edge-reid.agent/1": [
        "commands",
        "strangers",
        "cameras",
        "camera_states",
        "camera_taken",
        "period_s",
        "events_refused",
        "refused",
    ],
    "edge-reid.camera/1": [
        "fault",
        "persons_in_view",
        "looks",
        "degraded",
        "streams",
        "drift",
        "inactive_until",
        "period_s",
    ],
    "edge-reid.identity/1": ["views"],
    "edge-reid.command/1": ["camera", "event_id"],
    "edge-reid.result/1": ["note"],
}
"""Fields that came after the first release."""


def shipped(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((SHIPPED / f"{name.replace('/', '-')}.json").read_text())
    return content


def test_the_verb_writes_the_schemas_that_are_shipped(tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(schema)
    result = CliRunner().invoke(app, ["--out", str(tmp_path / "new" / "folder")])
    assert result.exit_code == 0
    written = {path.name: path.read_text() for path in (tmp_path / "new" / "folder").iterdir()}
    assert written == {path.name: path.read_text() for path in SHIPPED.iterdir()}, (
        "the payload classes have changed: edge-reid schema --out edge_reid/wire/json_schemas"
    )
    printed = json.loads(CliRunner().invoke(app, []).stdout)
    assert printed == {name: shipped(name) for name in TOPICS}


def test_a_file_in_the_way_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="expected a folder"):
        schema(tmp_path / "file")


@pytest.mark.parametrize("name", TOPICS)
def test_the_schemas_are_schemas_and_every_field_of_the_first_release_is_required(
    name: str,
) -> None:
    content = shipped(name)
    jsonschema.Draft202012Validator.check_schema(content)
    later = [field for field, rule in content["properties"].items() if "x-since" in rule]
    assert content["required"] == [each for each in content["properties"] if each not in later]
    assert later == LATER.get(name, [])
    assert content["properties"]["schema"]["const"] == name


def test_an_event_of_an_older_agent_is_still_one() -> None:
    for event in (an_event(1), an_event(2, STRANGER)):
        content = json.loads(event.payload(1).to_json())
        del content["stranger"]
        jsonschema.validate(content, shipped(content["schema"]), jsonschema.Draft202012Validator)
        parsed = parse_event(json.dumps(content).encode())
        assert isinstance(parsed, EventPayload)
        assert parsed.stranger is None


@pytest.mark.broker
def test_everything_on_the_wire_fits_its_schema_and_its_topic(
    broker: Mosquitto, tmp_path: Path
) -> None:
    facts = AgentFacts(model_id="0123456789abcdef", gallery_version=3, started_utc_s=0.0)
    events: list[OutgoingEvent] = [
        a_zone_event(1),
        a_zone_event(1, ZoneChangeType.LOITERING),
        a_zone_event(1, ZoneChangeType.CROSSED),
        an_event(1),
        an_event(1, Known("Ana María", 0.9, 0.6, None, 5), HitType.UPDATE),
        an_event(1, type_=HitType.END),
        replace(
            an_event(5, type_=HitType.CORRECTION), corrects="379f03df", corrected_by="operator"
        ),
        an_event(2, STRANGER),
        an_event(3, Unknown(None, 0.6, 3), HitType.END),
        Event(replace(a_hit(4, STRANGER, HitType.END), stranger="anon-3fa2c1-12"), ORIGIN),
    ]
    with (
        Consumer(broker.broker()) as consumer,
        Outbox(tmp_path / "outbox.db") as outbox,
        Publisher(MqttTransport(broker.broker()), outbox, ADDRESS, facts) as publisher,
    ):
        report = CameraReport("running", 100, 2, 12.5, 7.0)
        publisher.show(camera_status_message(ADDRESS, "gate", CameraReport("starting"), 1.0))
        publisher.show(camera_status_message(ADDRESS, "gate", report, 2.0))
        for event in events:
            publisher.publish(event)
        assert publisher.flush(5) == 0
        publisher.close()
        consumer.wait_for("agents/gate-1/status", count=2)
    seen = set()
    for message in consumer.messages:
        payload = json.loads(message.body)
        jsonschema.validate(
            payload,
            shipped(payload["schema"]),
            jsonschema.Draft202012Validator,
            format_checker=jsonschema.FormatChecker(),
        )
        assert re.fullmatch(TOPICS[payload["schema"]], message.topic)
        seen.add(payload["schema"])
    assert seen == EVERY_DAY
