from __future__ import annotations

import pytest

from edge_reid.core.server_url import MQTT_PORTS, NATS_PORTS, ServerUrl


def test_the_nodes_of_a_cluster_stand_side_by_side() -> None:
    url = ServerUrl.parse("mqtts://a.example:99,b.example,[fe80::1]:7", MQTT_PORTS)
    assert url.scheme == "mqtts"
    assert url.nodes == (("a.example", 99), ("b.example", 8883), ("fe80::1", 7))


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("http://a", "should look like mqtt://host:1883 or mqtts://host:8883"),
        ("mqtt://", "should look like"),
        ("mqtt://a,", "should look like"),
        ("mqtt://,a", "should look like"),
        ("a:1883", "should look like"),
        ("mqtt://a,me:secret@b", "should hold no login"),
        ("mqtt://a:1883,b:0", "should have a port between 1 and 65535"),
        ("mqtt://a:70000", "should have a port between 1 and 65535"),
        ("mqtt://a:x", "should have a port between 1 and 65535"),
    ],
)
def test_a_wrong_one_is_said_and_its_secrets_are_not(url: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint) as caught:
        ServerUrl.parse(url, MQTT_PORTS)
    assert "secret" not in str(caught.value)


def test_nats_has_words_of_its_own() -> None:
    assert ServerUrl.parse("tls://a", NATS_PORTS).nodes == (("a", 4222),)
    with pytest.raises(ValueError, match="should look like nats://host:4222 or tls://host:4222"):
        ServerUrl.parse("mqtts://a", NATS_PORTS)
