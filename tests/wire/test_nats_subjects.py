"""Topics, rules and bridges in the words of other brokers."""

from __future__ import annotations

import itertools

import pytest
from support.secured_broker import load_certs

from edge_reid.wire.bridge_topics import bridge_lines
from edge_reid.wire.nats_subjects import SinkSubjects, subject, topic_of
from edge_reid.wire.topics import DISCOVERY, EVENTS, TOPICS

AT_THE_SITE = {
    f"edge-reid/lab/{pattern}"
    for pattern in ("+/picture", "agents/+/strangers/+", "agents/erasures")
}
"""Pictures and embeddings of unknown people stay there, and who is to forget them."""


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.pattern)
def test_a_topic_comes_back_as_it_went(topic: object) -> None:
    names = dict.fromkeys(("agent", "camera", "identity", "stranger", "sha256", "n"), "a-1_b")
    written = topic.name("over/reid", "lab", **names)  # type: ignore[attr-defined]
    assert subject(written) == written.replace("/", ".")
    assert topic_of("$MQTT.msgs." + subject(written)) == written


def test_no_two_groups_share_a_consumer() -> None:
    names = ("a", "b", "a-b", "a_b")
    shares = [
        SinkSubjects(root, site, group)
        for root, site, group in itertools.product((*names, "a/b"), (*names, None), names)
    ]
    durables = [share.durable(topic) for share in shares for topic in EVENTS]
    assert len(durables) == len(set(durables))
    assert not [name for name in durables if set(name) & set(". */\\>")]  # which NATS forbids


def test_a_sink_of_one_site_asks_for_that_one_only() -> None:
    requests = list(SinkSubjects("edge-reid", "lab", "archive").requests())
    created = [it for it in requests if ".CONSUMER.CREATE." in it]
    assert [it.rpartition("$MQTT.msgs.")[2] for it in created] == [
        "edge-reid.lab.*.hit",
        "edge-reid.lab.*.unknown",
        "edge-reid.lab.*.zone",
    ]


@pytest.mark.parametrize("role", ["agent", "reader", "publisher", "releaser", "commander"])
def test_only_sinks_may_use_the_client_port(role: str) -> None:
    holder = load_certs().Holder(role, "one", "lab", ("gate",) if role == "agent" else ())
    user = holder.nats_user("edge-reid")
    assert user.kinds == ["MQTT"]
    assert not [it for it in user.writes if it.startswith("$")]


def test_who_writes_nothing_is_told_so() -> None:
    """Without a list of what is allowed NATS would allow all."""
    text = "\n".join(load_certs().NatsUser("desk").lines())
    assert 'publish: { deny: ">" }' in text


def test_a_bridge_passes_every_topic_on_one_way() -> None:
    lines = [line.split() for line in bridge_lines("edge-reid", "lab")]
    filters = [pattern for _, pattern, _, _ in lines]
    assert len(filters) == len(set(filters)) == len(TOPICS) - len(AT_THE_SITE) + len(DISCOVERY)
    ways = {pattern: way for _, pattern, way, _ in lines}
    assert not AT_THE_SITE & ways.keys()
    assert ways["edge-reid/lab/+/hit"] == ways["edge-reid/lab/+/zone"] == "out"
    assert ways["edge-reid/lab/gallery/head"] == "in"
    assert ways["edge-reid/lab/agents/+/stored"] == "in"
