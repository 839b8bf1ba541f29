"""The AsyncAPI document says what the table of topics and the payload classes say."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from support.decided_tracks import STRANGER, an_event
from support.node_packages import node_package

import edge_reid.wire
from edge_reid.core.types import HitType
from edge_reid.wire.asyncapi import OTHERS, PAYLOAD_OF, asyncapi_document
from edge_reid.wire.topics import TOPICS

SHIPPED = Path(edge_reid.wire.__file__).parent / "asyncapi.json"

PARSE = """
const { Parser } = require(process.argv[1]);
const text = require('fs').readFileSync(process.argv[2], 'utf8');
new Parser().parse(text).then(({ document, diagnostics }) => {
  const wrong = diagnostics.filter((found) => found.severity < 2).map((found) => found.message);
  const channels = document ? document.allChannels().all().map((one) => one.address()) : [];
  console.log(JSON.stringify({ wrong, channels }));
});
"""
"""Severities: 0 is an error, 1 a warning; above are hints."""


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(SHIPPED.read_text(encoding="utf-8"))
    return content


def test_what_is_shipped_is_what_the_classes_say(document: dict[str, Any]) -> None:
    assert document == json.loads(json.dumps(asyncapi_document())), "run make reference"


def test_every_topic_is_a_channel_with_its_parameters(document: dict[str, Any]) -> None:
    channels = {channel["address"]: channel for channel in document["channels"].values()}
    assert channels.keys() == {f"{{root}}/{{site}}/{topic.pattern}" for topic in TOPICS}
    for address, channel in channels.items():
        levels = {level.strip("{}") for level in address.split("/") if level.startswith("{")}
        assert channel["parameters"].keys() == levels
    assert PAYLOAD_OF.keys() | OTHERS.keys() == set(TOPICS)


def test_an_agent_sends_what_it_may_write_and_receives_the_rest(document: dict[str, Any]) -> None:
    operations = document["operations"].values()
    by_channel = {one["channel"]["$ref"].rpartition("/")[2]: one for one in operations}
    for name, channel in document["channels"].items():
        (topic,) = (one for one in TOPICS if channel["address"].endswith(f"}}/{one.pattern}"))
        operation = by_channel[name]
        is_sent = any(party.role == "agent" for party in topic.writers)
        assert operation["action"] == ("send" if is_sent else "receive")
        mqtt = operation["bindings"]["mqtt"]
        assert (mqtt["qos"], mqtt["retain"]) == (topic.qos, topic.is_retained)
        assert mqtt.get("messageExpiryInterval") == topic.expiry_s


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    for reference in references(document):
        node: Any = document
        assert reference.startswith("#/")
        for key in reference.removeprefix("#/").split("/"):
            node = node[key]


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        node = list(node.values())
    if isinstance(node, list):
        for inner in node:
            yield from references(inner)


def test_events_fit_their_schema_and_others_do_not(document: dict[str, Any]) -> None:
    def validate(name: str, content: dict[str, Any]) -> None:
        schema = {**document, "$ref": f"#/components/schemas/{name}"}
        jsonschema.Draft7Validator(schema).validate(content)

    hit = json.loads(an_event(1, type_=HitType.UPDATE).payload(1).to_json())
    unknown = json.loads(an_event(2, STRANGER).payload(2).to_json())
    validate("HitPayload", hit)
    validate("UnknownPayload", unknown)
    for name, content in (
        ("HitPayload", unknown),
        ("UnknownPayload", hit),
        ("HitPayload", {**hit, "box": [1, 2, 3]}),
        ("HitPayload", {**hit, "box": [1, 2, 3, "4"]}),
    ):
        with pytest.raises(jsonschema.ValidationError):
            validate(name, content)


@pytest.mark.node
def test_the_parser_of_asyncapi_finds_nothing_wrong(document: dict[str, Any]) -> None:
    command = ["node", "-e", PARSE, str(node_package("@asyncapi/parser")), str(SHIPPED)]
    found = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    assert found["wrong"] == []
    assert set(found["channels"]) == {one["address"] for one in document["channels"].values()}
