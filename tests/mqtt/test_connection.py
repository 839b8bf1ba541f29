"""What a connection makes of a broker that does not keep to MQTT."""

from __future__ import annotations

import random
import resource

import pytest
from support.raw_broker import listen, said_by_a_broker

from edge_reid.mqtt.broker import RefusedError, UnreachableError

CONNACK = bytes([0x20, 3, 0, 0, 0])
PUBLISH_OF_A_TOPIC_LONGER_THAN_ITSELF = bytes([0x30, 4, 0x40, 2, 0x61, 0])
PUBLISH_ON_NO_UTF8 = bytes([0x30, 5, 0, 1, 0xFF, 0, 0x61])
PUBACK_OF_NO_KNOWN_REASON = bytes([0x40, 4, 0, 1, 0x7F, 0])


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (PUBLISH_OF_A_TOPIC_LONGER_THAN_ITSELF, "hung up; the connection is lost"),
        (PUBACK_OF_NO_KNOWN_REASON, "hung up; the connection is lost"),
        (PUBLISH_ON_NO_UTF8, "sends a topic that is not UTF-8"),
    ],
    ids=["longer than itself", "no known reason", "no UTF-8"],
)
def test_what_is_no_mqtt_ends_the_connection_with_a_reason(said: bytes, reason: str) -> None:
    with said_by_a_broker(said) as connection, pytest.raises(UnreachableError, match=reason):
        listen(connection)


OF_256_MB = bytes([0x30, 0xFF, 0xFF, 0xFF, 0x7F, 0, 1, 0x61, 0])
OF_QOS_2 = bytes([0x34, 6, 0, 1, 0x61, 0, 1, 0])


def test_a_message_of_256_mb_is_not_read() -> None:
    """Its length is no reason to make room for it."""
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with (
        said_by_a_broker(OF_256_MB + bytes(1 << 16), stays=True) as connection,
        pytest.raises(UnreachableError, match="expected messages of 1,048,576 bytes at most"),
    ):
        listen(connection)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb < 50_000


def test_what_nobody_asked_for_is_not_kept() -> None:
    """QoS 2 waits in memory until it is released, which need not be ever."""
    with (
        said_by_a_broker(OF_QOS_2, stays=True) as connection,
        pytest.raises(UnreachableError, match="sends with QoS 2, which nobody asked for"),
    ):
        listen(connection)


def test_anything_at_all_ends_in_an_error_of_ours() -> None:
    dice = random.Random(4)
    for _ in range(300):
        length = dice.randrange(24)
        packet = bytes([dice.randrange(256), length]) + dice.randbytes(length)
        with (
            said_by_a_broker(packet) as connection,
            pytest.raises((UnreachableError, RefusedError)),
        ):
            listen(connection)
